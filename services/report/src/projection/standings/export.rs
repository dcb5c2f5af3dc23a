//! A picture of a policy's devices, from which rows are made without the view's lock.

use std::sync::Arc;

use muster_types::{PolicyId, SettingId, TenantId};
use roaring::RoaringBitmap;

use super::answers::{code, last_seen, why_withheld};
use super::column::Column;
use super::devices::Row;
use super::due::Due;
use super::judge::{Class, Outcome, Spoken, outcome};
use super::pool::{NONE, held};
use super::resolutions::{Resolution, Wanted};
use super::split::ByState;
use super::statuses::{Entry, List};
use super::tally::slot;
use super::{SettingIds, Standings};
use crate::domain::standing::{DeviceFilter, DeviceState, PolicyDevice};

/// Devices of a policy that fit a filter, as they stood when it was taken. It shares with the view what does not change
/// meanwhile; what changes is copied by the view, a few hundred kilobytes at a time. Send it to the task that writes.
#[derive(Debug)]
pub struct Export {
    /// The policy's name for people.
    pub display_name: String,
    /// Id of its profile in the catalogue.
    pub profile: String,
    /// Its latest revision.
    pub revision: u64,
    policy: PolicyId,
    fitting: RoaringBitmap,
    states: ByState,
    stale: RoaringBitmap,
    rows: Column<Row>,
    dues: Column<Due>,
    texts: Column<Option<Arc<str>>>,
    settings: SettingIds,
    entries: Column<Option<Entry>>,
    lists: Column<Option<List>>,
    resolutions: Column<Option<Arc<Resolution>>>,
}

impl Standings {
    /// A picture of a policy's devices that fit a filter.
    #[must_use]
    pub fn export(&self, tenant: TenantId, id: PolicyId, filter: &DeviceFilter) -> Option<Export> {
        let policy = self.targets.policy(tenant, id)?;
        let targeted = self.targeted(id);
        let states = self.split(id, policy, &targeted);
        let DeviceFilter { verdicts, states: wanted, host_name_prefix, stale, setting, setting_states } =
            filter;
        let mut fitting = targeted.clone();
        if !verdicts.is_empty() || !wanted.is_empty() {
            let fits = |state: &DeviceState| {
                (verdicts.is_empty() || verdicts.contains(&state.verdict()))
                    && (wanted.is_empty() || wanted.contains(state))
            };
            let named = DeviceState::ALL.iter().filter(|state| fits(state));
            fitting = named.fold(RoaringBitmap::new(), |all, state| all | &states[slot(*state)]);
        }
        match stale {
            Some(true) => fitting &= &self.devices.stale,
            Some(false) => fitting -= &self.devices.stale,
            None => {}
        }
        if let Some(setting) = setting {
            let with = self.with_setting(id, setting, &targeted, setting_states)?;
            fitting &= with;
        }
        if !host_name_prefix.is_empty() {
            let prefix = host_name_prefix.to_lowercase();
            let fits = |ordinal: &u32| {
                self.devices
                    .rows
                    .get(*ordinal as usize)
                    .is_some_and(|row| begins_with(&row.facts.host, &prefix))
            };
            fitting = fitting.iter().filter(fits).collect();
        }
        Some(Export {
            display_name: policy.display_name.clone(),
            profile: policy.profile.clone(),
            revision: policy.revision,
            policy: id,
            fitting,
            states,
            stale: &targeted & &self.devices.stale,
            rows: self.devices.rows.clone(),
            dues: self.dues.clone(),
            texts: self.words.texts.items().clone(),
            settings: self.words.settings.items().clone(),
            entries: self.statuses.entries.items().clone(),
            lists: self.statuses.lists.items().clone(),
            resolutions: self.resolutions.all().clone(),
        })
    }

    /// Targeted devices that stand so with a setting of a policy; none when the policy does not have it.
    fn with_setting(
        &self,
        id: PolicyId,
        setting: &SettingId,
        targeted: &RoaringBitmap,
        states: &[crate::domain::device_status::SettingState],
    ) -> Option<RoaringBitmap> {
        let policy = self.targets.policies.get(&id)?;
        if policy.settings.binary_search(setting).is_err() {
            return Some(RoaringBitmap::new());
        }
        if states.is_empty() {
            return Some(targeted.clone());
        }
        let split = self.split_setting(id, policy, setting, targeted);
        let named = states.iter().map(|state| &split[*state as usize - 1]);
        Some(named.fold(RoaringBitmap::new(), |all, devices| all | devices))
    }
}

fn begins_with(host: &str, lower: &str) -> bool {
    if host.is_ascii() {
        let (host, lower) = (host.as_bytes(), lower.as_bytes());
        return host.get(..lower.len()).is_some_and(|start| start.eq_ignore_ascii_case(lower));
    }
    host.to_lowercase().starts_with(lower)
}

impl Export {
    /// How many rows there are altogether.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.fitting.len()
    }

    /// Whether there are rows after the one of an ordinal.
    #[must_use]
    pub fn is_more(&self, after: u32) -> bool {
        self.fitting.max().is_some_and(|max| max > after)
    }

    /// The rows by ordinal, from the one after `after` on; made one at a time as they are asked for.
    pub fn rows(&self, after: Option<u32>) -> impl Iterator<Item = PolicyDevice> + Send + '_ {
        let mut ordinals = self.fitting.iter();
        if let Some(after) = after {
            ordinals.advance_to(after);
        }
        let ordinals = ordinals.skip_while(move |ordinal| Some(*ordinal) == after);
        ordinals.filter_map(|ordinal| self.row(ordinal))
    }

    fn row(&self, ordinal: u32) -> Option<PolicyDevice> {
        let row = self.rows.get(ordinal as usize)?;
        let due = self.dues.get(ordinal as usize).copied().unwrap_or_default();
        let by_state = DeviceState::ALL.into_iter();
        let state = by_state.zip(&self.states).find(|(_, devices)| devices.contains(ordinal))?.0;
        Some(PolicyDevice {
            ordinal,
            device: row.id,
            host_name: row.facts.host.to_string(),
            state,
            reason: self.reason(row, &due, state),
            report_time: row.said.as_ref().map(|said| said.time),
            last_seen_time: last_seen(row, &due),
            stale: self.stale.contains(ordinal),
            desired_time: due.desired.resolution().map(|_| due.since),
            platform: row.facts.platform,
            os_version: self.text(row.facts.os_version).to_owned(),
            manufacturer: self.text(row.facts.maker).to_owned(),
            model: self.text(row.facts.model).to_owned(),
        })
    }

    fn text(&self, at: u32) -> &str {
        if at == NONE { "" } else { held::<Arc<str>>(&self.texts, at) }
    }

    /// The code of the first setting that makes the state what it is, or of the refusal.
    fn reason(&self, row: &Row, due: &Due, state: DeviceState) -> String {
        let said = row.said.as_ref();
        let resolution = due.desired.resolution().map(|at| held(&self.resolutions, at));
        match (state, resolution) {
            (DeviceState::Confirmed, _) => String::new(),
            (DeviceState::Refused, _) => {
                let refusal = said.map_or("", |said| self.text(said.refused));
                if refusal.is_empty() { code(state) } else { refusal }.to_owned()
            }
            (DeviceState::Unknown, _) | (_, None) => code(state).to_owned(),
            (_, Some(resolution)) => {
                let found = self.first(resolution, row, due, state);
                found.filter(|reason| !reason.is_empty()).unwrap_or_else(|| code(state).to_owned())
            }
        }
    }

    fn first(&self, resolution: &Resolution, row: &Row, due: &Due, state: DeviceState) -> Option<String> {
        let place = resolution.policies.iter().position(|(policy, _)| *policy == self.policy)?;
        let place = u32::try_from(place).ok()?;
        let of_policy = |wanted: &Wanted| wanted.winners.contains(&place) || wanted.losers.contains(&place);
        let kept = resolution.withheld.iter().filter(|kept| kept.candidates.contains(&place));
        let kept = kept.filter(|kept| Outcome::of_withheld(kept.reason).device_state(Class::Spoken) == state);
        let kept = kept.map(|kept| (kept.setting, why_withheld(kept.reason).to_owned())).next();
        let said = row.said.as_ref();
        let current = said.is_some_and(|said| said.etag == resolution.etag);
        let class = Class::of(due, said, Some(resolution.etag));
        let list = said.map(|said| held(&self.lists, said.list));
        let mut spoken = list.map(|list| Spoken::of(list, &self.entries, &self.settings));
        let mut in_force = resolution.settings.iter().filter(|wanted| of_policy(wanted));
        let unwell = in_force.find_map(|wanted| {
            let entry = spoken.as_mut().and_then(|spoken| spoken.next(wanted.setting));
            let outcome = outcome(entry, wanted.value, current)?;
            let so = outcome.device_state(class) == state;
            let reason = entry.filter(|_| outcome != Outcome::Unmet).and_then(Entry::status);
            so.then(|| (wanted.setting, reason.map(|status| status.reason).unwrap_or_default()))
        });
        // Both are sorted by setting: the first of both.
        let id = |setting: u32| held(&self.settings, setting);
        match (kept, unwell) {
            (Some(kept), Some(unwell)) if id(unwell.0) < id(kept.0) => Some(unwell.1),
            (Some(kept), _) => Some(kept.1),
            (None, unwell) => unwell.map(|(_, reason)| reason),
        }
    }
}
