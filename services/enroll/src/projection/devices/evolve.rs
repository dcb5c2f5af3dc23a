//! What enroll's own events change of a device.

use muster_proto::enroll::v1 as pb;
use muster_types::{EnrollmentCode, Timestamp};

use super::row::{Rare, device_type};
use super::seen::seconds;
use super::{Devices, rows, said};
use crate::domain::enrollment::{Event, ManagedBy};
use crate::domain::facts::DeviceFacts;
use crate::domain::tags;
use crate::domain::verdict::Traits;

impl Devices {
    /// Folds an event of a device that is here.
    pub(super) fn evolve(&mut self, number: u32, change: Event, at: Timestamp) {
        match change {
            Event::Onboarded { token: _, key_digest: _, facts, request: _ } => {
                self.stands(number, pb::EnrollmentStatus::Pending, EnrollmentCode::Pending, "");
                self.rarely(number, |rare| rare.merged_into = None);
                self.say(number, facts, at);
            }
            Event::FactsChanged { facts } => self.say(number, facts, at),
            Event::Permitted { scope_version: _ } => {
                self.stands(number, pb::EnrollmentStatus::Pending, EnrollmentCode::Pending, "");
            }
            Event::Succeeded { spiffe_id, managed_by, code, scope_version: _ } => {
                self.stands(number, pb::EnrollmentStatus::Succeeded, code, "");
                self.authority(number, managed_by, at);
                self.update(number, |row, tables| row.spiffe_id = tables.swap_spiffe_id(row, &spiffe_id));
            }
            Event::Refused { code, message, scope_version: _, request: _ } => {
                self.stands(number, pb::EnrollmentStatus::Refused, code, &message);
            }
            Event::AuthorityChanged { from: _, to, code: _ } => self.authority(number, to, at),
            Event::Tagged { added, removed } => self.update(number, |row, tables| {
                let kept = tags::missing(tables.tags.get(row.tags), &removed);
                row.tags = tables.tags.hold(tags::sorted(kept.into_iter().chain(added)).into());
            }),
            Event::TroubleReported { troubles } => {
                self.rarely(number, |rare| rare.troubles = troubles.into());
            }
            Event::OffboardingRequested { expire_time } => {
                self.stands(number, pb::EnrollmentStatus::Offboarding, EnrollmentCode::Offboarding, "");
                self.rarely(number, |rare| rare.offboarding_expire_time = Some(expire_time));
            }
            Event::Offboarded(_) => {
                self.goes(number, pb::EnrollmentStatus::Offboarded, EnrollmentCode::Offboarded);
            }
            Event::Deleted => self.goes(number, pb::EnrollmentStatus::Deleted, EnrollmentCode::Deleted),
            Event::Merged { into } => {
                self.goes(number, pb::EnrollmentStatus::Deleted, EnrollmentCode::Merged);
                self.rarely(number, |rare| rare.merged_into = Some(into));
            }
            // It is gone until it comes.
            Event::ReenrollmentAllowed => {}
        }
    }

    fn stands(&mut self, number: u32, status: pb::EnrollmentStatus, code: EnrollmentCode, message: &str) {
        self.update(number, |row, tables| {
            row.status = status;
            row.code = code;
            row.message = rows::swap(&mut tables.texts, row.message, message.into());
        });
        self.rarely(number, |rare| rare.offboarding_expire_time = None);
    }

    fn goes(&mut self, number: u32, status: pb::EnrollmentStatus, code: EnrollmentCode) {
        self.stands(number, status, code, "");
        self.update(number, |row, tables| row.spiffe_id = tables.swap_spiffe_id(row, ""));
    }

    fn authority(&mut self, number: u32, to: ManagedBy, at: Timestamp) {
        self.update(number, |row, _| {
            let to = to.into();
            if row.managed_by != to {
                (row.managed_by, row.authority_change_time) = (to, at);
            }
        });
    }

    fn say(&mut self, number: u32, facts: DeviceFacts, at: Timestamp) {
        let (digest, traits) = (facts.digest(), Traits::of(&facts));
        let device_type = device_type(traits.class);
        let class = self.classes.hold(self.rows[number as usize].tenant, traits);
        self.update(number, |row, tables| {
            row.class = class;
            row.heard = row.heard.max(seconds(at));
            if row.facts_digest != digest {
                row.facts_digest = digest;
                row.facts_change_time = at;
            }
            let facts = pb::DeviceFacts::from(facts);
            row.device_type = device_type;
            row.platform = facts.platform();
            let (common, own) = said::split(facts);
            row.own = own;
            row.common = rows::swap(&mut tables.common, row.common, common);
        });
    }

    fn rarely(&mut self, number: u32, change: impl FnOnce(&mut Rare)) {
        let rare = self.rare.entry(number).or_default();
        change(rare);
        if *rare == Rare::default() {
            self.rare.remove(&number);
        }
    }
}
