//! Rows of the view, and how they are taken back.

use muster_types::GroupId;
use roaring::RoaringBitmap;

use super::Membership;
use super::directory::tellable;
use crate::domain::membership::Index;
use crate::domain::rule::{Attribute, Property, Rule};
use crate::store::membership::{self as store, DeviceRow, GroupRow, Key};

impl Membership {
    pub(super) fn keys(&self, row: &mut dyn FnMut(Key)) {
        (0..self.fleet.index().count()).for_each(|ordinal| row(Key::Device(ordinal)));
        self.drafts.keys().for_each(|device| row(Key::Draft(*device)));
        self.unlinked.keys().for_each(|record| row(Key::Record(*record)));
        self.groups.iter().for_each(|group| row(Key::Group(*group)));
    }

    pub(super) fn encode(&self, key: Key) -> Option<Vec<u8>> {
        match key {
            Key::Device(ordinal) => Some(store::encode_device(&self.device_row(ordinal)?)),
            Key::Draft(device) => {
                let told = self.drafts.get(&device)?.iter();
                Some(store::encode_told(&told.map(|(of, told)| (*of, told.clone())).collect()))
            }
            Key::Record(record) => {
                let told = self.unlinked.get(&record)?.iter();
                Some(store::encode_told(&told.map(|(of, told)| (*of, Some(told.clone()))).collect()))
            }
            Key::Group(group) => Some(store::encode_group(&self.group_row(group)?)),
        }
    }

    fn device_row(&self, ordinal: u32) -> Option<DeviceRow> {
        let index = self.fleet.index();
        let own = Property::all().filter(|property| Index::is_own(*property));
        let own = own.map(|property| (property, index.told(ordinal, property)));
        let directory = tellable()
            .filter_map(|property| Some((property, Some(index.told_by_directory(ordinal, property)?))));
        let device_id = index.told_by_directory(ordinal, self.names.device_id);
        Some(DeviceRow {
            device: index.device(ordinal)?,
            present: index.present().contains(ordinal),
            revoked: self.revoked.contains(ordinal),
            untold: index.is_untold(ordinal),
            linked: self.links.get(ordinal),
            own: own.filter(|(_, told)| *told != Some(Attribute::Unknown)).collect(),
            directory: directory.chain(device_id.map(|id| (self.names.device_id, Some(id)))).collect(),
        })
    }

    fn group_row(&self, group: GroupId) -> Option<GroupRow> {
        self.groups.get(&group)?;
        Some(match self.fleet.rules().get(group) {
            Some(rule) => GroupRow::Dynamic(rule.text().into()),
            None => GroupRow::Static(self.fleet.index().members(group).cloned().unwrap_or_default()),
        })
    }

    pub(super) fn load(&mut self, key: Key, value: &[u8]) -> Result<(), String> {
        match key {
            Key::Device(ordinal) => self.load_device(ordinal, store::decode_device(value)?),
            Key::Draft(device) => {
                self.drafts.insert(device, store::decode_told(value)?.into_iter().collect());
                Ok(())
            }
            Key::Record(record) => {
                let told = store::decode_told(value)?.into_iter();
                let told = told.filter_map(|(property, attribute)| Some((property, attribute?)));
                self.unlinked.insert(record, told.collect());
                Ok(())
            }
            Key::Group(group) => self.load_group(group, store::decode_group(value)?),
        }
    }

    fn load_device(&mut self, ordinal: u32, row: DeviceRow) -> Result<(), String> {
        let DeviceRow { device, present, revoked, untold, linked, own, directory } = row;
        if self.fleet.index().count() != ordinal || self.fleet.admit(device) != ordinal {
            return Err(format!("the device with ordinal {} is missing", self.fleet.index().count()));
        }
        for (property, attribute) in own {
            self.fleet.tell(ordinal, property, attribute.as_ref());
        }
        for (property, attribute) in directory {
            self.fleet.tell_by_directory(ordinal, property, attribute.as_ref());
        }
        self.fleet.set_untold(ordinal, untold);
        self.fleet.set_present(ordinal, present);
        if revoked {
            self.revoked.insert(ordinal);
        }
        if let Some(linked) = linked {
            self.links.insert(linked, ordinal);
        }
        Ok(())
    }

    fn load_group(&mut self, group: GroupId, row: GroupRow) -> Result<(), String> {
        self.groups.insert(group);
        match row {
            GroupRow::Dynamic(rule) => {
                self.fleet.define(group, Rule::parse(&rule).map_err(|error| error.to_string())?);
            }
            GroupRow::Static(members) => {
                self.fleet.members_changed(group, &members, &RoaringBitmap::new());
            }
        }
        Ok(())
    }
}
