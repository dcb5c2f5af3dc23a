//! What admins decide, folded: policies, assignments, waivers, and how devices check in.

use muster_eventlog::Envelope;
use muster_eventlog::command::State;
use muster_eventlog::project::{Dirty, FoldError};
use muster_types::{DeviceId, PolicyId, WaiverId};

use super::{CheckIns, Fleet};
use crate::domain::assignment::{self, Assigned, Assignment};
use crate::domain::check_in_settings::{self, CheckInSettings};
use crate::domain::policy::Policy;
use crate::domain::resolve::{PolicyRow, Waived, Whom};
use crate::domain::waiver::{self, Target, Waiver};
use crate::store;

impl Fleet {
    pub(super) fn policy_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let id = PolicyId::from_uuid(event.stream.id);
        let Some(decoded) = decode::<Policy>(event)? else { return Ok(()) };
        let row = PolicyRow::after(self.tables.policy(id).map(|row| &**row), decoded);
        let row = row.ok_or_else(|| FoldError::new(event, "the policy was not created"))?;
        self.put_policy(id, row);
        self.touch(self.tables.reached(id), event);
        dirty.mark(store::policy_key(id));
        Ok(())
    }

    /// Takes a policy in and keeps the names in step.
    pub(super) fn put_policy(&mut self, id: PolicyId, row: PolicyRow) {
        if let Some(before) = self.tables.policy(id) {
            self.names.remove(&(before.display_name.clone(), id));
        }
        self.names.insert((row.display_name.clone(), id));
        self.tables.put_policy(id, row);
    }

    pub(super) fn assignment_changed(
        &mut self,
        event: &Envelope,
        dirty: &mut Dirty,
    ) -> Result<(), FoldError> {
        let (policy, group) = match decode::<Assignment>(event)? {
            None => return Ok(()),
            Some(assignment::Event::Assigned { policy, group, tie, at }) => {
                self.tables.assign(policy, group, Assigned { tie, at });
                (policy, group)
            }
            Some(assignment::Event::Unassigned { policy, group }) => {
                self.tables.unassign(policy, group);
                (policy, group)
            }
        };
        self.touch(self.tables.targeted(Whom::Group(group)), event);
        dirty.mark(store::assignment_key(policy, group));
        Ok(())
    }

    pub(super) fn waiver_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let Some(decoded) = decode::<Waiver>(event)? else { return Ok(()) };
        let id = WaiverId::from_uuid(event.stream.id);
        let known =
            || self.waivers.get(&id).cloned().ok_or_else(|| FoldError::new(event, "it was not granted"));
        let row = match decoded {
            waiver::Event::Granted { grant, origin } => waiver::Known { grant, origin, end: None },
            waiver::Event::Revoked { origin } => {
                waiver::Known { end: Some(waiver::End::Revoked(origin.at)), ..known()? }
            }
            waiver::Event::Expired { at } => {
                waiver::Known { end: Some(waiver::End::Expired(at)), ..known()? }
            }
        };
        // It takes effect, or its effect ends: both concern the same devices.
        if let Some(whom) = self.whom(row.grant.target) {
            self.touch(self.tables.targeted(whom), event);
        }
        self.put_waiver(id, row);
        dirty.mark(store::waiver_key(id));
        Ok(())
    }

    /// Takes a waiver in; it exempts as long as it is active and its device has an ordinal.
    pub(super) fn put_waiver(&mut self, id: WaiverId, row: waiver::Known) {
        let waiver::Grant { exempt, target, approver: _, expire } = &row.grant;
        if row.is_active() {
            self.expiries.insert((*expire, id));
            if let Target::Device(device) = target {
                self.device_waivers.entry(*device).or_default().insert(id);
            }
            if let Some(whom) = self.whom(*target) {
                self.tables.waive(id, Waived { exempt: exempt.clone(), whom });
            }
        } else {
            self.expiries.remove(&(*expire, id));
            self.tables.end_waiver(id);
            if let Target::Device(device) = target
                && let Some(waivers) = self.device_waivers.get_mut(device)
            {
                waivers.remove(&id);
                if waivers.is_empty() {
                    self.device_waivers.remove(device);
                }
            }
        }
        self.waivers.insert(id, row);
    }

    fn whom(&self, target: Target) -> Option<Whom> {
        match target {
            Target::Group(group) => Some(Whom::Group(group)),
            Target::Device(device) => self.ordinal(device).map(Whom::Device),
        }
    }

    /// Waivers that named a device before it had an ordinal take effect.
    pub(super) fn name_in_waivers(&mut self, device: DeviceId, ordinal: u32) {
        for id in self.device_waivers.get(&device).into_iter().flatten() {
            if let Some(row) = self.waivers.get(id) {
                let exempt = row.grant.exempt.clone();
                self.tables.waive(*id, Waived { exempt, whom: Whom::Device(ordinal) });
            }
        }
    }

    pub(super) fn check_ins_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let Some(decoded) = decode::<CheckInSettings>(event)? else { return Ok(()) };
        let check_in_settings::Event::Changed { values, origin } = decoded;
        let changes = self.check_ins.changes + 1;
        self.put_check_ins(CheckIns { values, changes, update_time: Some(origin.at) });
        dirty.mark(store::check_in_settings_key());
        Ok(())
    }

    pub(super) fn put_check_ins(&mut self, row: CheckIns) {
        self.watches.cap(row.values.hints_per_second);
        self.check_ins = row;
    }
}

fn decode<S: State>(event: &Envelope) -> Result<Option<S::Event>, FoldError> {
    S::decode(event).map_err(|reason| FoldError::new(event, reason))
}
