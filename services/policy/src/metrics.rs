//! The numbers of the policy service.

use muster_runtime::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::checkin::Why;

type Labels = [(&'static str, &'static str); 1];

/// Counters and gauges, registered once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PolicyMetrics {
    check_ins: Family<Labels, Counter>,
    not_modified: Counter,
    resolved: Counter,
    results: Gauge,
    watches: Gauge,
    watches_refused: Counter,
    hints: Counter,
    hints_waiting: Gauge,
    duplicates: Counter,
    seen: Counter,
    resolutions_told: Counter,
    deliveries_told: Counter,
    past_bytes: Gauge,
}

impl PolicyMetrics {
    /// Registers the numbers.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let numbers = Self::default();
        metrics.registry(|registry| {
            let registry = registry.sub_registry_with_prefix("policy");
            let Self {
                check_ins,
                not_modified,
                resolved,
                results,
                watches,
                watches_refused,
                hints,
                hints_waiting,
                duplicates,
                seen,
                resolutions_told,
                deliveries_told,
                past_bytes,
            } = numbers.clone();
            registry.register(
                "check_ins_answered_with_policy",
                "Check-ins that got a policy, by why",
                check_ins,
            );
            registry.register("check_ins_not_modified", "Check-ins with nothing new", not_modified);
            registry.register("resolved", "Distinct inputs resolved", resolved);
            registry.register("results", "Distinct results that devices share", results);
            registry.register("watches", "Open watches", watches);
            registry.register(
                "watches_refused",
                "Watches refused because too many were open",
                watches_refused,
            );
            registry.register("hints", "Hints given to open watches", hints);
            let help = "Hints that wait for their turn under the cap";
            registry.register("hints_waiting", help, hints_waiting);
            registry.register("duplicates", "Identities seen to live on two machines", duplicates);
            registry.register("past_bytes", "Memory of what is kept to explain past moments", past_bytes);
            registry.register("devices_seen", "Devices told to the log as seen", seen);
            let help = "Devices told to the log with what they should have";
            registry.register("resolutions_told", help, resolutions_told);
            let help = "Devices told to the log with what was delivered to them";
            registry.register("deliveries_told", help, deliveries_told);
        });
        numbers
    }

    /// Counts a check-in with nothing new.
    pub fn not_modified(&self) {
        self.not_modified.inc();
    }

    /// Counts a check-in that got a policy, by why.
    pub fn policy_sent(&self, why: Why) {
        self.check_ins.get_or_create(&[("reason", why.as_str())]).inc();
    }

    /// Counts a distinct input that was resolved.
    pub fn resolved(&self) {
        self.resolved.inc();
    }

    /// Distinct inputs resolved so far.
    #[must_use]
    pub fn resolutions(&self) -> u64 {
        self.resolved.get()
    }

    /// Says how many distinct results devices share.
    pub fn results(&self, count: usize) {
        self.results.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Says how many watches are open.
    pub fn watches_open(&self, count: usize) {
        self.watches.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a watch that was refused.
    pub fn watch_refused(&self) {
        self.watches_refused.inc();
    }

    /// Counts an identity that lives on two machines.
    pub fn duplicate(&self) {
        self.duplicates.inc();
    }

    /// Counts devices that the log was told of.
    pub fn presence_told(&self, devices: u64) {
        self.seen.inc_by(devices);
    }

    /// Counts devices that the log was told of, with what they should have.
    pub fn resolutions_told(&self, devices: u64) {
        self.resolutions_told.inc_by(devices);
    }

    /// Counts devices that the log was told of, with what was delivered to them.
    pub fn deliveries_told(&self, devices: u64) {
        self.deliveries_told.inc_by(devices);
    }

    /// Says how much memory the past takes.
    pub fn past_bytes(&self, bytes: usize) {
        self.past_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Says how many hints wait for their turn.
    pub fn hints_waiting(&self, count: usize) {
        self.hints_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a hint.
    pub fn hinted(&self) {
        self.hints.inc();
    }
}
