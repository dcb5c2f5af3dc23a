//! The numbers of the enroll service.

use muster_errors::ErrorCode;
use muster_runtime::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

type Labels = [(&'static str, &'static str); 1];

/// Counters, registered once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct EnrollMetrics {
    onboardings: Family<Labels, Counter>,
    onboardings_shed: Family<Labels, Counter>,
    fact_reports: Family<Labels, Counter>,
    tokens_issued: Counter,
}

impl EnrollMetrics {
    /// Registers the numbers.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let numbers = Self::default();
        metrics.registry(|registry| {
            let registry = registry.sub_registry_with_prefix("enroll");
            registry.register(
                "onboardings",
                "Onboarding calls, by what came of them",
                numbers.onboardings.clone(),
            );
            registry.register(
                "onboardings_shed",
                "Onboarding calls refused before any work, by the limit that was reached",
                numbers.onboardings_shed.clone(),
            );
            registry.register(
                "fact_reports",
                "Facts reported, by whether they changed",
                numbers.fact_reports.clone(),
            );
            registry.register("tokens_issued", "Onboarding tokens made", numbers.tokens_issued.clone());
        });
        numbers
    }

    /// Counts an onboarding that went through.
    pub fn onboarded(&self, repeat: bool) {
        self.onboardings.get_or_create(&[("outcome", if repeat { "repeat" } else { "new" })]).inc();
    }

    /// Counts an onboarding that did not.
    pub fn onboarding_failed(&self, code: ErrorCode) {
        self.onboardings.get_or_create(&[("outcome", code.as_str())]).inc();
    }

    /// Counts an onboarding that the budget refused.
    pub fn onboarding_shed(&self, limit: &'static str) {
        self.onboardings_shed.get_or_create(&[("limit", limit)]).inc();
    }

    /// Counts a report of facts.
    pub fn facts_reported(&self, changed: bool) {
        self.fact_reports.get_or_create(&[("outcome", if changed { "changed" } else { "same" })]).inc();
    }

    /// Counts a token that was made.
    pub fn token_issued(&self) {
        self.tokens_issued.inc();
    }
}
