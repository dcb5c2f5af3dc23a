//! How far views are behind the log, asked at each scrape.

use std::fmt;

use muster_types::Service;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::{Metrics, Readiness};

/// Shows `projection_lag` of each view: events of a log that it has not folded, as far as known.
pub(crate) fn show(readiness: Readiness, metrics: &Metrics) {
    metrics.registry(|registry| registry.register_collector(Box::new(Lag(readiness))));
}

struct Lag(Readiness);

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lag")
    }
}

impl Collector for Lag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Events of a log that a view has not folded";
        let mut family = encoder.encode_descriptor("projection_lag", help, None, MetricType::Gauge)?;
        for (view, progress) in self.0.views() {
            for service in Service::ALL {
                let lag = i64::try_from(progress.lag(service)).unwrap_or(i64::MAX);
                let labels = [("view", view), ("log", service.as_str())];
                ConstGauge::new(lag).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
