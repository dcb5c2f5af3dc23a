//! Rows: what is stored of the view, and taking it back.

use muster_types::GroupId;

use super::{Fleet, Group};
use crate::store::{self, Key};

/// A place among the ordinals whose device's row did not come yet.
const NOBODY: u32 = u32::MAX;

impl Fleet {
    pub(super) fn define(&mut self, id: GroupId, defined: bool) {
        if defined {
            self.defined.insert(id);
        } else {
            self.defined.remove(&id);
        }
        // Whoever was ever defined has a row.
        self.tables.members_mut(id);
    }

    pub(super) fn each_key(&self, row: &mut dyn FnMut(&[u8])) {
        self.devices.iter().for_each(|device| row(&store::device_key(device.id)));
        self.tables.groups().for_each(|id| row(&store::group_key(id)));
        self.tables.policies().for_each(|(id, _)| row(&store::policy_key(id)));
        let assignments = self.tables.all_assignments();
        assignments.for_each(|(policy, group, _)| row(&store::assignment_key(policy, group)));
        self.waivers.keys().for_each(|id| row(&store::waiver_key(*id)));
        row(&store::check_in_settings_key());
        row(&store::rules_key());
    }

    pub(super) fn encode(&self, key: Key) -> Option<Vec<u8>> {
        match key {
            Key::Device(id) => self.find(id).map(|device| store::encode_device(&device.told)),
            Key::Group(id) => {
                self.tables.members(id).map(|members| store::encode_group(self.knows_group(id), members))
            }
            Key::Policy(id) => self.made(id).map(store::encode_policy),
            Key::Assignment(policy, group) => {
                self.tables.assigned(policy, group).map(store::encode_assignment)
            }
            Key::Waiver(id) => self.waiver(id).map(store::encode_waiver),
            Key::CheckInSettings => Some(store::encode_check_ins(&self.check_ins)),
            Key::Rules => Some(store::encode_rules(self.tables.rules())),
        }
    }

    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match store::read_key(key).ok_or("not the key of a row")? {
            Key::Device(id) => {
                let told = store::decode_device(value)?;
                let number = self.number(id);
                self.devices[number as usize].told = told;
                let Some(ordinal) = told.ordinal else { return Ok(()) };
                self.tables.reclass(ordinal, None, self.facts_of(&told));
                self.place(ordinal, number)
            }
            Key::Group(id) => {
                let Group { defined, members } = store::decode_group(value)?;
                *self.tables.members_mut(id) = members;
                self.define(id, defined);
                Ok(())
            }
            Key::Policy(id) => {
                self.put_policy(id, store::decode_policy(value)?);
                Ok(())
            }
            Key::Assignment(policy, group) => {
                self.tables.assign(policy, group, store::decode_assignment(value)?);
                Ok(())
            }
            Key::Waiver(id) => {
                self.put_waiver(id, store::decode_waiver(value)?);
                Ok(())
            }
            Key::CheckInSettings => {
                self.put_check_ins(store::decode_check_ins(value)?);
                Ok(())
            }
            Key::Rules => {
                self.tables.set_rules(store::decode_rules(value)?);
                Ok(())
            }
        }
    }

    fn place(&mut self, ordinal: u32, number: u32) -> Result<(), String> {
        let place = ordinal as usize;
        if place >= self.by_ordinal.len() {
            self.by_ordinal.resize(place + 1, NOBODY);
            self.results.grow(self.by_ordinal.len());
        }
        if self.by_ordinal[place] != NOBODY {
            return Err(format!("two devices have ordinal {ordinal}"));
        }
        self.by_ordinal[place] = number;
        Ok(())
    }
}
