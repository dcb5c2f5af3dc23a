//! What the last verification of each view found, asked at each scrape.

use std::fmt;

use muster_eventlog::project::Views;
use muster_types::Service;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::Metrics;

/// Shows `view_mismatch` of each view that was verified: rows that were not what the log gives.
pub(crate) fn show(views: Vec<(Service, Views)>, metrics: &Metrics) {
    metrics.registry(|registry| registry.register_collector(Box::new(Mismatches(views))));
}

#[derive(Debug)]
struct Mismatches(Vec<(Service, Views)>);

impl Collector for Mismatches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Rows of a view that were not what the log gives when it was last verified";
        let mut family = encoder.encode_descriptor("view_mismatch", help, None, MetricType::Gauge)?;
        for (service, views) in &self.0 {
            for view in views.all() {
                let Some(differing) = view.differing() else { continue };
                let labels = [("service", service.as_str()), ("view", view.name())];
                let rows = i64::try_from(differing).unwrap_or(i64::MAX);
                ConstGauge::new(rows).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
