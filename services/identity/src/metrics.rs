//! The numbers of the identity service.

pub mod standings;

use muster_errors::ErrorCode;
use muster_runtime::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::domain::registration::Command;

type Labels = [(&'static str, &'static str); 1];

/// Why a certificate was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A device came in.
    Established,
    /// A device renewed.
    Renewed,
    /// A device turned out to be another one.
    Merged,
}

/// Counters, registered once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct IdentityMetrics {
    certificates_issued: Family<Labels, Counter>,
    certificates_activated: Counter,
    renewals_refused: Family<Labels, Counter>,
    proofs: Family<Labels, Counter>,
    registration_changes: Family<Labels, Counter>,
    membership_changes: Counter,
    reactions: Family<Labels, Counter>,
}

impl IdentityMetrics {
    /// Registers the numbers.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let numbers = Self::default();
        metrics.registry(|registry| numbers.add(registry.sub_registry_with_prefix("identity")));
        numbers
    }

    fn add(&self, registry: &mut Registry) {
        let help = "Certificates issued to devices, by why";
        registry.register("certificates_issued", help, self.certificates_issued.clone());
        let help = "Certificates that devices used for the first time";
        registry.register("certificates_activated", help, self.certificates_activated.clone());
        let help = "Renewals of certificates refused, by error code";
        registry.register("renewals_refused", help, self.renewals_refused.clone());
        let help = "Proofs of registrations seen, by outcome";
        registry.register("proofs", help, self.proofs.clone());
        let help = "Changes of registrations, by what was done";
        registry.register("registration_changes", help, self.registration_changes.clone());
        let help = "Changes of groups' members";
        registry.register("membership_changes", help, self.membership_changes.clone());
        let help = "Events of other services that something was done about, by what";
        registry.register("reactions", help, self.reactions.clone());
    }

    /// Counts a certificate.
    pub fn certificate_issued(&self, cause: Cause) {
        let cause = match cause {
            Cause::Established => "established",
            Cause::Renewed => "renewed",
            Cause::Merged => "merged",
        };
        self.certificates_issued.get_or_create(&[("cause", cause)]).inc();
    }

    /// Counts a first use of a certificate.
    pub fn certificate_activated(&self) {
        self.certificates_activated.inc();
    }

    /// Counts a renewal that was refused.
    pub fn renewal_refused(&self, code: ErrorCode) {
        self.renewals_refused.get_or_create(&[("code", code.as_str())]).inc();
    }

    /// Counts a proof, good or refused.
    pub fn proof_seen(&self, outcome: Result<(), ErrorCode>) {
        let outcome = outcome.map_or_else(ErrorCode::as_str, |()| "good");
        self.proofs.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts a change of a registration.
    pub fn registration_changed(&self, command: &Command) {
        let change = match command {
            Command::Establish { .. } => "established",
            Command::Renew { .. } => "renewed",
            Command::Activate { .. } => "activated",
            Command::Revoke { .. } => "revoked",
            Command::Promote(_) => "promoted",
            Command::Remove(_) | Command::MergeInto(_) => "removed",
            Command::SuspectClone { .. } => "clone_suspected",
            Command::ResolveClone { .. } => "clone_resolved",
        };
        self.registration_changes.get_or_create(&[("change", change)]).inc();
    }

    /// Counts a change of a group's members.
    pub fn membership_changed(&self) {
        self.membership_changes.inc();
    }

    /// Counts something that was done because of another service's event.
    pub fn reacted(&self, reaction: &'static str) {
        self.reactions.get_or_create(&[("reaction", reaction)]).inc();
    }
}
