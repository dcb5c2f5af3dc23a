//! How many registrations stand how, counted when the numbers are read.

use std::fmt;

use muster_runtime::Metrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::domain::registration::Kind;
use crate::projection::registrations::Which;
use crate::queries::Queries;

/// What counts.
struct Standings(Queries);

/// Has registrations counted by where they stand and what they rest on, for as long as the process lives.
pub fn count(metrics: &Metrics, queries: Queries) {
    metrics.registry(|registry| registry.register_collector(Box::new(Standings(queries))));
}

impl Collector for Standings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Registrations, by where they stand and what they rest on";
        let mut family =
            encoder.encode_descriptor("identity_registrations", help, None, MetricType::Gauge)?;
        for (which, state) in [
            (Which::Active, "active"),
            (Which::Quarantined, "quarantined"),
            (Which::Revoked, "revoked"),
            (Which::Removed, "removed"),
        ] {
            for (kind, name) in [(Kind::Synthetic, "synthetic"), (Kind::Full, "full")] {
                let labels = [("state", state), ("kind", name)];
                let count = ConstGauge::new(self.0.registration_count(which, kind));
                count.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Standings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standings").finish_non_exhaustive()
    }
}
