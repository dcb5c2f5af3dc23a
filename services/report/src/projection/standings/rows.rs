//! The view's rows, and the view out of its rows.

use muster_types::{DeviceId, TenantId, Timestamp};
use prost::Message as _;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::Standings;
use super::devices::{Facts, Row, Said};
use super::due::{self, Due};
use super::pool::NONE;
use crate::store::{self, FactsRow, Key, SaidRow};
use crate::wire::text;

impl Row {
    fn is_known(&self) -> bool {
        let Facts { host, platform, os_version, maker, model } = &self.facts;
        !host.is_empty() || platform.is_some() || [os_version, maker, model].iter().any(|text| **text != NONE)
    }
}

impl Standings {
    pub(super) fn each_row(&self, row: &mut dyn FnMut(&[u8])) {
        let mut put = |key: Key| row(&key.to_bytes());
        self.resolutions.all().iter().flatten().for_each(|resolution| put(Key::Resolution(resolution.id)));
        self.targets.policies.keys().for_each(|policy| put(Key::Policy(*policy)));
        self.targets.assignments.keys().for_each(|(policy, group)| put(Key::Assignment(*policy, *group)));
        self.targets.groups.keys().for_each(|group| put(Key::Group(*group)));
        (0..).zip(self.devices.rows.iter()).for_each(|(ordinal, _)| put(Key::Device(ordinal)));
        for device in self.devices.all() {
            if device.said.is_some() {
                put(Key::Said(device.id));
            }
            if device.is_known() {
                put(Key::Facts(device.id));
            }
            if device.stale {
                put(Key::Stale(device.id));
            }
        }
        due::chunks(&self.dues).for_each(|chunk| put(Key::Dues(chunk)));
        self.drifts.devices().for_each(|device| put(Key::Drifts(device)));
        self.latest.iter().for_each(|_| put(Key::Latest));
        self.statuses.row_keys(row);
    }

    pub(super) fn row_of(&self, key: &[u8]) -> Option<Vec<u8>> {
        match Key::from_bytes(key)? {
            Key::Entry(content) => self.statuses.entry_row(content),
            Key::List(content) => self.statuses.list_row(content),
            Key::Resolution(id) => Some(self.resolutions.of(self.resolutions.find(&id)?).raw.to_vec()),
            Key::Policy(policy) => self.targets.policies.get(&policy).map(store::encode_policy),
            Key::Assignment(policy, group) => {
                self.targets.assignments.get(&(policy, group)).map(|intent| store::encode_intent(*intent))
            }
            Key::Group(group) => self.targets.groups.get(&group).map(store::encode_bitmap),
            Key::Device(ordinal) => {
                let row = self.devices.rows.get(ordinal as usize)?;
                let tenant = self.words.tenant_of(row.tenant)?;
                Some(store::encode_trusted(row.id, self.devices.gone.contains(ordinal), tenant))
            }
            Key::Said(device) => self.said_row(self.devices.row(device)?.1),
            Key::Facts(device) => self.facts_row(self.devices.row(device)?.1),
            Key::Dues(chunk) => due::encode(chunk, &self.dues, &self.ages, &self.resolutions, &self.words),
            Key::Drifts(device) => {
                let drifts = self.drifts.of(device);
                (!drifts.is_empty()).then(|| store::encode_drifts(drifts))
            }
            Key::Stale(device) => {
                let (_, row) = self.devices.row(device)?;
                let tenant = self.words.tenant_of(row.tenant)?;
                row.stale.then(|| tenant.as_str().as_bytes().to_vec())
            }
            Key::Latest => self.latest.map(|latest| latest.micros().to_be_bytes().to_vec()),
        }
    }

    fn said_row(&self, row: &Row) -> Option<Vec<u8>> {
        let said = row.said.as_ref()?;
        let Said { list, etag, refused, version, applied, time, position, first, well, unknown } = said;
        let row = SaidRow {
            tenant: self.words.tenant_of(row.tenant)?.to_string(),
            list: self.statuses.lists.of(*list).content.to_vec(),
            etag: self.words.digests.of(*etag).to_vec(),
            version: *version,
            applied: applied.map(Timestamp::micros),
            refused: self.words.text_of(*refused).to_owned(),
            time: time.micros(),
            position: *position,
            first: first.micros(),
            well: well.map(Timestamp::micros),
            unknown: unknown.as_deref().unwrap_or_default().to_vec(),
        };
        Some(row.encode_to_vec())
    }

    fn facts_row(&self, row: &Row) -> Option<Vec<u8>> {
        if !row.is_known() {
            return None;
        }
        let Facts { host, platform, os_version, maker, model } = &row.facts;
        let row = FactsRow {
            tenant: self.words.tenant_of(row.tenant)?.to_string(),
            host: host.to_string(),
            platform: platform.map(store::encode_platform).unwrap_or_default(),
            os_version: self.words.text_of(*os_version).to_owned(),
            maker: self.words.text_of(*maker).to_owned(),
            model: self.words.text_of(*model).to_owned(),
        };
        Some(row.encode_to_vec())
    }

    pub(super) fn take_back(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match Key::from_bytes(key).ok_or("not the key of a row")? {
            Key::Entry(_) => self.statuses.load_entry(value, &mut self.words)?,
            Key::List(_) => self.statuses.load_list(value, &self.words)?,
            Key::Resolution(id) => {
                self.resolutions.tell(id, value, &mut self.words)?;
            }
            Key::Policy(policy) => {
                self.targets.policies.insert(policy, store::decode_policy(value)?);
            }
            Key::Assignment(policy, group) => {
                self.targets.assignments.insert((policy, group), store::decode_intent(value)?);
            }
            Key::Group(group) => {
                self.targets.groups.insert(group, store::bitmap(value)?);
            }
            Key::Device(ordinal) => self.load_device(ordinal, value)?,
            Key::Said(device) => self.load_said(device, value)?,
            Key::Facts(device) => self.load_facts(device, value)?,
            Key::Dues(chunk) => self.load_dues(chunk, value)?,
            Key::Drifts(device) => {
                let ordinal = self.devices.ordinal(device);
                for drift in store::decode_drifts(value)? {
                    self.drifts.suspect(device, ordinal, drift);
                }
            }
            Key::Stale(device) => {
                let tenant = std::str::from_utf8(value).map_err(text)?.parse().map_err(text)?;
                let tenant = self.words.tenant(tenant);
                let (ordinal, row) = self.devices.row_mut(device, tenant);
                row.stale = true;
                self.devices.stale.extend(ordinal);
            }
            Key::Latest => {
                let micros = i64::from_be_bytes(value.try_into().map_err(text)?);
                self.latest = Some(Timestamp::from_micros(micros));
            }
        }
        Ok(())
    }

    fn load_device(&mut self, ordinal: u32, value: &[u8]) -> Result<(), String> {
        let (device, gone, tenant) = store::decode_trusted(value)?;
        let tenant = self.words.tenant(tenant);
        let loaded = self.devices.push(device, tenant)?;
        if gone {
            self.devices.gone.insert(loaded);
        }
        if loaded == ordinal { Ok(()) } else { Err(format!("device {loaded} is missing")) }
    }

    fn load_said(&mut self, device: DeviceId, value: &[u8]) -> Result<(), String> {
        let row = SaidRow::decode(value).map_err(text)?;
        let SaidRow { tenant, list, etag, version, applied, refused, time, position, first, well, unknown } =
            row;
        let list = list.try_into().map_err(|_| "a list that is cut off")?;
        let etag = etag.try_into().map_err(|_| "an etag that is cut off")?;
        let tenant = self.words.tenant(tenant.parse::<TenantId>().map_err(text)?);
        let said = Said {
            list: self.statuses.load_holder(list)?,
            etag: self.words.digests.intern(etag),
            refused: self.words.text(&refused),
            version,
            applied: applied.map(Timestamp::from_micros),
            time: Timestamp::from_micros(time),
            position,
            first: Timestamp::from_micros(first),
            well: well.map(Timestamp::from_micros),
            unknown: (!unknown.is_empty()).then(|| unknown.into()),
        };
        self.devices.row_mut(device, tenant).1.said = Some(said);
        Ok(())
    }

    fn load_facts(&mut self, device: DeviceId, value: &[u8]) -> Result<(), String> {
        let FactsRow { tenant, host, platform, os_version, maker, model } =
            FactsRow::decode(value).map_err(text)?;
        let platform = if platform.is_empty() { None } else { Some(store::decode_platform(&platform)?) };
        let tenant = self.words.tenant(tenant.parse().map_err(text)?);
        let facts = Facts {
            host: host.into(),
            platform,
            os_version: self.words.text(&os_version),
            maker: self.words.text(&maker),
            model: self.words.text(&model),
        };
        self.put_facts(device, tenant, facts);
        Ok(())
    }

    fn load_dues(&mut self, chunk: u32, value: &[u8]) -> Result<(), String> {
        let first = chunk.checked_mul(due::CHUNK).filter(|first| *first < due::ORDINALS_MAX);
        let first = first.ok_or("no fleet has so many devices")?;
        while self.dues.len() < first as usize {
            self.dues.push(Due::default());
        }
        let mut moved: FxHashMap<u32, RoaringBitmap> = FxHashMap::default();
        let Self { ages, resolutions, words, .. } = self;
        for (ordinal, due) in (first..).zip(due::decode(value, ages, resolutions, words)?) {
            if let Some(resolution) = due.desired.resolution() {
                moved.entry(resolution).or_default().insert(ordinal);
            }
            self.dues.push(due);
        }
        for (resolution, devices) in moved {
            self.resolutions.move_devices(None, Some(resolution), &devices);
        }
        Ok(())
    }
}
