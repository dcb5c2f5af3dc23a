//! How one device stands.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_catalog::Catalogue;
use muster_errors::ErrorCode;
use muster_types::{DeviceId, SettingId, TenantId, Timestamp, WithheldReason};

use super::super::Standings;
use super::super::devices::{Row, Said};
use super::super::drifts::Drift;
use super::super::due::Due;
use super::super::judge::{Class, Outcome, outcome};
use super::super::resolutions::{Kept, Resolution, Wanted};
use crate::domain::device_status::{SettingState, SettingStatus, Status};
use crate::domain::standing::{DeviceStanding, DeviceState, Reported, SettingStanding, Source, Stage};

/// How far a device's clock may be off for its times to be believed.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(5 * 60);

/// A device as a whole, for its settings.
struct Whole<'a> {
    class: Class,
    said: Option<&'a Said>,
    current: bool,
    refusal: &'a str,
    due: &'a Due,
    drifts: &'a [Drift],
}

impl Standings {
    /// How a device stands with each setting, or with one.
    #[must_use]
    pub fn device(
        &self,
        tenant: TenantId,
        device: DeviceId,
        setting: Option<&SettingId>,
    ) -> Option<DeviceStanding> {
        let (ordinal, row) = self.devices.row(device)?;
        if self.words.tenant_of(row.tenant) != Some(tenant) {
            return None;
        }
        let due = ordinal.and_then(|ordinal| self.dues.get(ordinal as usize)).copied().unwrap_or_default();
        let resolution = due.desired.resolution().map(|at| &**self.resolutions.of(at));
        let etag = resolution.map(|resolution| resolution.etag);
        let said = row.said.as_ref();
        let current = said.filter(|said| Some(said.etag) == etag);
        let delivered_time = due.delivered(etag);
        let refusal = said.map_or("", |said| self.words.text_of(said.refused));
        let class = Class::of(&due, said, etag);
        let since = resolution.map(|_| due.since);
        let whole = Whole {
            class,
            said,
            current: current.is_some(),
            refusal,
            due: &due,
            drifts: self.drifts.of(device),
        };
        Some(DeviceStanding {
            device,
            host_name: row.facts.host.to_string(),
            reported: said.map(|said| self.reported(said)),
            state: ordinal.and_then(|at| self.tally.of(at)).map_or(DeviceState::Unknown, |known| known.state),
            desired_etag: etag.map(|etag| *self.words.digests.of(etag)),
            desired_time: since,
            delivered_time,
            applied_time: current.and_then(|said| believed(said, delivered_time)),
            confirmed_time: current.map(|said| said.first),
            last_seen_time: last_seen(row, &due),
            stale: row.stale,
            settings: self.device_settings(resolution, &whole, setting),
        })
    }

    /// What a device said, as it said it.
    fn reported(&self, said: &Said) -> Reported {
        let Said { list, etag, refused, version, applied, time, position, .. } = said;
        let status = Status {
            policy_etag: *self.words.digests.of(*etag),
            policy_version: *version,
            apply_time: *applied,
            settings: self.statuses.statuses(*list),
            refused_reason: self.words.text_of(*refused).to_owned(),
        };
        Reported { status, time: *time, position: *position }
    }

    fn device_settings(
        &self,
        resolution: Option<&Resolution>,
        whole: &Whole<'_>,
        only: Option<&SettingId>,
    ) -> Vec<SettingStanding> {
        let asked = |id: &SettingId| only.is_none_or(|only| only == id);
        let said = whole.said.map(|said| self.statuses.lists.of(said.list));
        let entries =
            said.iter().flat_map(|list| &*list.sorted).map(|entry| self.statuses.entries.of(*entry));
        let mut found: BTreeMap<&SettingId, SettingStanding> = BTreeMap::new();
        for entry in entries {
            let id = self.words.settings.of(entry.setting);
            if let Some(status) = asked(id).then(|| entry.status()).flatten() {
                found.insert(id, unasked(status, whole.drifts));
            }
        }
        let Some(resolution) = resolution else { return found.into_values().collect() };
        let age = |place| self.ages.of(whole.due.ages, place, whole.due.since);
        for (place, wanted) in resolution.settings.iter().enumerate() {
            let id = self.words.settings.of(wanted.setting);
            if asked(id) {
                let told = found.remove(id);
                found.insert(id, self.in_force(resolution, (wanted, age(place)), whole, told));
            }
        }
        for (place, kept) in (resolution.settings.len()..).zip(resolution.withheld.iter()) {
            let id = self.words.settings.of(kept.setting);
            if asked(id) {
                let told = found.remove(id);
                found.insert(id, self.withheld(resolution, (kept, age(place)), whole, told));
            }
        }
        found.into_values().collect()
    }

    fn in_force(
        &self,
        resolution: &Resolution,
        (wanted, since): (&Wanted, Timestamp),
        whole: &Whole<'_>,
        told: Option<SettingStanding>,
    ) -> SettingStanding {
        let id = self.words.settings.of(wanted.setting);
        let list = whole.said.map(|said| self.statuses.lists.of(said.list));
        let mut entries = list.iter().flat_map(|list| &*list.sorted).map(|at| self.statuses.entries.of(*at));
        let entry = entries.find(|entry| entry.setting == wanted.setting);
        let outcome = outcome(entry, wanted.value, whole.current);
        let confirmed = entry.is_some() && outcome != Some(Outcome::Unmet);
        let refused = whole.class == Class::Refused;
        let stage = match whole.class {
            _ if confirmed => Stage::Confirmed,
            Class::Unknown | Class::Idle | Class::Never => Stage::NeverDelivered,
            Class::Delivered | Class::Applying | Class::Spoken | Class::Refused => Stage::Delivered,
        };
        let state = outcome.map_or(SettingState::Succeeded, |outcome| outcome.state(refused));
        let reason = match outcome {
            None => String::new(),
            Some(_) if confirmed => told.as_ref().map(|told| told.reason.clone()).unwrap_or_default(),
            Some(_) if refused && !whole.refusal.is_empty() => whole.refusal.to_owned(),
            Some(outcome) => code(outcome.device_state(whole.class)).to_owned(),
        };
        let winners = wanted.winners.iter().map(|place| (*place, true));
        let losers = wanted.losers.iter().map(|place| (*place, false));
        SettingStanding {
            desired: self.words.value_of(wanted.value),
            state,
            stage: Some(stage),
            reason,
            sources: self.sources(resolution, winners.chain(losers)),
            desired_time: Some(since),
            unasked: false,
            ..told.unwrap_or_else(|| silent(id, whole.drifts))
        }
    }

    fn withheld(
        &self,
        resolution: &Resolution,
        (kept, since): (&Kept, Timestamp),
        whole: &Whole<'_>,
        told: Option<SettingStanding>,
    ) -> SettingStanding {
        let id = self.words.settings.of(kept.setting);
        let state = Outcome::of_withheld(kept.reason).state(false);
        let told = told.unwrap_or_else(|| silent(id, whole.drifts));
        let same = told.state == state && !told.reason.is_empty();
        let reason = if same { told.reason.clone() } else { why_withheld(kept.reason).to_owned() };
        // What is withheld in part was put together as in force before: those sources stay.
        let candidates = kept.candidates.iter().map(|place| (*place, false));
        let mut sources = told.sources.clone();
        for source in self.sources(resolution, candidates) {
            if sources.iter().all(|known| known.policy != source.policy) {
                sources.push(source);
            }
        }
        SettingStanding {
            state,
            reason,
            sources,
            stage: None,
            desired_time: Some(since),
            unasked: false,
            ..told
        }
    }

    fn sources(&self, resolution: &Resolution, places: impl Iterator<Item = (u32, bool)>) -> Vec<Source> {
        let source = |(place, winner): (u32, bool)| {
            let (policy, revision) = *resolution.policies.get(place as usize)?;
            let known = self.targets.policies.get(&policy);
            let display_name = known.map(|known| known.display_name.clone()).unwrap_or_default();
            Some(Source { policy, display_name, revision, winner })
        };
        places.filter_map(source).collect()
    }
}

fn merge_mode(id: &SettingId) -> &'static str {
    Catalogue::builtin().setting(id).map_or("", |setting| setting.merge.as_str())
}

/// A setting that the device spoke of, as if nobody had asked.
fn unasked(status: SettingStatus, drifts: &[Drift]) -> SettingStanding {
    let SettingStatus { id, desired: _, observed, state, reason, message, corrections } = status;
    let drift_suspected = drifts.iter().any(|drift| drift.setting == id);
    let merge_mode = merge_mode(&id);
    SettingStanding {
        id,
        desired: None,
        observed,
        state,
        stage: None,
        reason,
        message,
        merge_mode,
        sources: Vec::new(),
        desired_time: None,
        corrections,
        drift_suspected,
        unasked: true,
    }
}

/// A setting that the device did not speak of.
fn silent(id: &SettingId, drifts: &[Drift]) -> SettingStanding {
    let status = SettingStatus {
        id: id.clone(),
        desired: None,
        observed: None,
        state: SettingState::Pending,
        reason: String::new(),
        message: String::new(),
        corrections: 0,
    };
    unasked(status, drifts)
}

/// When a device was last heard of: seen, or heard to speak.
pub(in crate::projection::standings) fn last_seen(row: &Row, due: &Due) -> Option<Timestamp> {
    due.seen.max(row.said.as_ref().map(|said| said.time))
}

/// The time that a device says it had applied its policy, if it can be.
fn believed(said: &Said, delivered: Option<Timestamp>) -> Option<Timestamp> {
    let can_be = |applied: &Timestamp| {
        *applied <= said.time.plus(CLOCK_OFF_MAX)
            && delivered.is_none_or(|delivered| applied.plus(CLOCK_OFF_MAX) >= delivered)
    };
    said.applied.filter(can_be)
}

/// The code of a state that no device gave a code for.
pub(in crate::projection::standings) const fn code(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Confirmed => "",
        DeviceState::Failed => "FAILED",
        DeviceState::Refused => "REFUSED",
        DeviceState::TamperProtected => ErrorCode::TamperProtected.as_str(),
        DeviceState::Conflict => ErrorCode::SettingConflict.as_str(),
        DeviceState::NeverDelivered => "NEVER_DELIVERED",
        DeviceState::Delivered => "DELIVERED",
        DeviceState::Applying => "APPLYING",
        DeviceState::Unknown => "UNKNOWN",
        DeviceState::Unsupported => ErrorCode::SettingNotApplicable.as_str(),
        DeviceState::Waived => ErrorCode::SettingWaived.as_str(),
    }
}

/// The code of why a setting is withheld: what the device says of it too, once it does.
pub(in crate::projection::standings) const fn why_withheld(reason: WithheldReason) -> &'static str {
    match reason {
        WithheldReason::Conflict => ErrorCode::SettingConflict.as_str(),
        WithheldReason::Platform
        | WithheldReason::Channel
        | WithheldReason::DomainController
        | WithheldReason::AgentVersion
        | WithheldReason::Rules => ErrorCode::SettingNotApplicable.as_str(),
        WithheldReason::Waived => ErrorCode::SettingWaived.as_str(),
        WithheldReason::TamperProtected => ErrorCode::TamperProtected.as_str(),
    }
}
