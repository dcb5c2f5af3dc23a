//! How long a policy took to its devices.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_types::{PolicyId, TenantId};
use roaring::RoaringBitmap;

use super::super::Standings;
use super::super::tally::slot;
use super::device::last_seen;
use crate::domain::standing::{
    Convergence, DeviceState, RevisionConvergence, STRAGGLER_EXAMPLES_MAX, StragglerReason, Stragglers,
};

/// Why a device in a state has not converged; `None` when it has.
const fn straggles(state: DeviceState) -> Option<StragglerReason> {
    match state {
        DeviceState::Confirmed | DeviceState::Waived => None,
        DeviceState::Failed => Some(StragglerReason::Failed),
        DeviceState::Refused => Some(StragglerReason::Refused),
        DeviceState::TamperProtected => Some(StragglerReason::TamperProtected),
        DeviceState::Conflict => Some(StragglerReason::Conflict),
        DeviceState::Unsupported => Some(StragglerReason::Unsupported),
        DeviceState::NeverDelivered
        | DeviceState::Delivered
        | DeviceState::Applying
        | DeviceState::Unknown => Some(StragglerReason::Applying),
    }
}

impl Standings {
    /// How long a policy took, by the revisions that devices should have now.
    #[must_use]
    pub fn convergence(&self, tenant: TenantId, id: PolicyId) -> Option<Convergence> {
        let policy = self.targets.policy(tenant, id)?;
        let targeted = self.targeted(id);
        let mut by_revision: BTreeMap<u64, RoaringBitmap> = BTreeMap::new();
        for part in self.resolutions.parts(id) {
            let devices = &targeted & part.devices;
            if !devices.is_empty() {
                *by_revision.entry(part.treatment.revision).or_default() |= devices;
            }
        }
        let revisions = by_revision.iter().rev().map(|(revision, devices)| {
            let states = self.split(id, policy, devices);
            let mut converged = Vec::new();
            let mut reasons: BTreeMap<StragglerReason, RoaringBitmap> = BTreeMap::new();
            for state in DeviceState::ALL {
                let found = &states[slot(state)];
                match straggles(state) {
                    None => converged.extend(found.iter().filter_map(|ordinal| self.took(ordinal))),
                    Some(StragglerReason::Applying) => {
                        let (offline, applying): (RoaringBitmap, RoaringBitmap) = self.offline(found);
                        *reasons.entry(StragglerReason::Offline).or_default() |= offline;
                        *reasons.entry(StragglerReason::Applying).or_default() |= applying;
                    }
                    Some(reason) => *reasons.entry(reason).or_default() |= found,
                }
            }
            let straggling: u64 = reasons.values().map(RoaringBitmap::len).sum();
            converged.sort_unstable();
            RevisionConvergence {
                revision: *revision,
                devices: devices.len(),
                converged: devices.len() - straggling,
                p50: quantile(&converged, 50),
                p95: quantile(&converged, 95),
                p99: quantile(&converged, 99),
                stragglers: self.stragglers(&reasons),
            }
        });
        Some(Convergence { revisions: revisions.collect() })
    }

    /// From the change to the first report of it; none of a device that has nothing to report.
    fn took(&self, ordinal: u32) -> Option<Duration> {
        let said = self.devices.rows.get(ordinal as usize)?.said.as_ref()?;
        let due = self.dues.get(ordinal as usize)?;
        Some(said.well.unwrap_or(said.first).since(due.since))
    }

    /// Devices that were not heard of since they should have what they should have, and the others.
    fn offline(&self, devices: &RoaringBitmap) -> (RoaringBitmap, RoaringBitmap) {
        devices.iter().partition(|ordinal| {
            let at = *ordinal as usize;
            let (Some(row), Some(due)) = (self.devices.rows.get(at), self.dues.get(at)) else { return true };
            last_seen(row, due).is_none_or(|seen| seen < due.since)
        })
    }

    fn stragglers(&self, reasons: &BTreeMap<StragglerReason, RoaringBitmap>) -> Vec<Stragglers> {
        let named = reasons.iter().filter(|(_, devices)| !devices.is_empty());
        let stragglers = named.map(|(reason, devices)| {
            let some = devices.iter().take(STRAGGLER_EXAMPLES_MAX);
            let examples = some.filter_map(|ordinal| Some(self.devices.rows.get(ordinal as usize)?.id));
            Stragglers { reason: *reason, devices: devices.len(), examples: examples.collect() }
        });
        stragglers.collect()
    }
}

/// The time that so many of 100 took at most.
fn quantile(sorted: &[Duration], of_100: usize) -> Option<Duration> {
    let place = (sorted.len() * of_100).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied()
}
