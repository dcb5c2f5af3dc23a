//! The numbers of the report service.

use muster_errors::ErrorCode;
use muster_runtime::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

type Labels = [(&'static str, &'static str); 1];

/// Counters, registered once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ReportMetrics {
    reports: Family<Labels, Counter>,
    absences: Family<Labels, Counter>,
}

impl ReportMetrics {
    /// Registers the numbers.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let numbers = Self::default();
        metrics.registry(|registry| {
            let registry = registry.sub_registry_with_prefix("report");
            registry.register("reports", "Reports of devices, by what came of them", numbers.reports.clone());
            registry.register(
                "absences",
                "Devices that went stale or returned, as told to the log",
                numbers.absences.clone(),
            );
        });
        numbers
    }

    /// Counts a report that was taken in.
    pub fn reported(&self, changed: bool) {
        self.reports.get_or_create(&[("outcome", if changed { "changed" } else { "same" })]).inc();
    }

    /// Counts a report that was not.
    pub fn refused(&self, code: ErrorCode) {
        self.reports.get_or_create(&[("outcome", code.as_str())]).inc();
    }

    /// Counts devices of which it was told that they went stale or returned.
    pub fn absent(&self, what: &'static str, devices: usize) {
        self.absences.get_or_create(&[("what", what)]).inc_by(devices as u64);
    }
}
