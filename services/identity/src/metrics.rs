//! The numbers of the identity service.

use muster_runtime::Metrics;
use prometheus_client::metrics::counter::Counter;

/// Counters, registered once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct IdentityMetrics {
    certificates_issued: Counter,
    membership_changes: Counter,
}

impl IdentityMetrics {
    /// Registers the numbers.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let numbers = Self::default();
        metrics.registry(|registry| {
            let registry = registry.sub_registry_with_prefix("identity");
            let help = "Certificates issued to devices";
            registry.register("certificates_issued", help, numbers.certificates_issued.clone());
            let help = "Changes of groups' members";
            registry.register("membership_changes", help, numbers.membership_changes.clone());
        });
        numbers
    }

    /// Counts a certificate.
    pub fn certificate_issued(&self) {
        self.certificates_issued.inc();
    }

    /// Counts a change of a group's members.
    pub fn membership_changed(&self) {
        self.membership_changes.inc();
    }
}
