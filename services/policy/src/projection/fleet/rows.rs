//! Taking stored rows back.

use super::Fleet;
use crate::store::{self, Key};

/// A place among the ordinals whose device's row did not come yet.
const NOBODY: u32 = u32::MAX;

impl Fleet {
    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match store::read_key(key).ok_or("not the key of a row")? {
            Key::Device(id) => {
                let told = store::decode_device(value)?;
                let number = self.number(id);
                self.devices[number as usize].told = told;
                self.reclass(None, told.class());
                told.ordinal.map_or(Ok(()), |ordinal| self.place(ordinal, number))
            }
            Key::Group(id) => {
                self.groups.insert(id, store::decode_group(value)?);
                Ok(())
            }
            Key::Policy(id) => {
                let row = store::decode_policy(value)?;
                self.names.insert((row.display_name.clone(), id));
                self.policies.insert(id, row);
                Ok(())
            }
            Key::Assignment(policy, group) => {
                self.assign(policy, group, store::decode_assignment(value)?);
                Ok(())
            }
        }
    }

    fn place(&mut self, ordinal: u32, number: u32) -> Result<(), String> {
        let place = ordinal as usize;
        if place >= self.by_ordinal.len() {
            self.by_ordinal.resize(place + 1, NOBODY);
        }
        if self.by_ordinal[place] != NOBODY {
            return Err(format!("two devices have ordinal {ordinal}"));
        }
        self.by_ordinal[place] = number;
        Ok(())
    }
}
