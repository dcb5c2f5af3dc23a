//! What the view keeps in the store.
//!
//! | key | value |
//! |---|---|
//! | `0x01`, ordinal (32 bits, big-endian) | the device's id, and a byte: 1 when it is gone |
//! | `0x02`, minute since 1970 (32 bits, big-endian) | ordinals last heard of in it: a roaring bitmap, portable |
//! | `0x03`, device | it is stale: the minute in which it was heard of before |
//! | `0x04`, device without an ordinal | [`EarlyRow`] |
//! | `0x05` | [`SettingsRow`] |

use std::time::Duration;

use muster_types::{DeviceId, RequestId, Timestamp};
use prost::Message;
use roaring::RoaringBitmap;

use super::{Early, Minute, Sightings};
use crate::domain::report_settings::{ReportSettings, Values};
use crate::store::{bitmap, decode_device, encode_bitmap, encode_device};
use crate::wire::text;

/// Key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The device with an ordinal.
    Device(u32),
    /// Devices last heard of in a minute.
    Group(Minute),
    /// A stale device.
    Stale(DeviceId),
    /// A device without an ordinal.
    Early(DeviceId),
    /// When devices count as stale or drifting.
    Settings,
}

impl Key {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Device(ordinal) => [&[1], &ordinal.to_be_bytes()[..]].concat(),
            Self::Group(Minute(minute)) => [&[2], &minute.to_be_bytes()[..]].concat(),
            Self::Stale(device) => [&[3], &device.as_bytes()[..]].concat(),
            Self::Early(device) => [&[4], &device.as_bytes()[..]].concat(),
            Self::Settings => vec![5],
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let number = || Some(u32::from_be_bytes(rest.try_into().ok()?));
        match kind {
            1 => number().map(Self::Device),
            2 => number().map(|minute| Self::Group(Minute(minute))),
            3 => DeviceId::from_slice(rest).ok().map(Self::Stale),
            4 => DeviceId::from_slice(rest).ok().map(Self::Early),
            5 => rest.is_empty().then_some(Self::Settings),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct EarlyRow {
    #[prost(uint32, tag = "1")]
    last: u32,
    #[prost(uint32, optional, tag = "2")]
    stale: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct SettingsRow {
    #[prost(uint64, tag = "1")]
    stale_after_seconds: u64,
    #[prost(uint32, tag = "2")]
    drift_after: u32,
    #[prost(uint64, tag = "3")]
    changes: u64,
    #[prost(sint64, tag = "4")]
    changed_micros: i64,
    #[prost(bytes = "vec", tag = "5")]
    changed_by: Vec<u8>,
}

impl Sightings {
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        let devices = (0..).zip(&self.devices).map(|(ordinal, _)| Key::Device(ordinal));
        let only_idle = self.idle.keys().filter(|minute| !self.watched.contains_key(minute));
        let groups = self.watched.keys().chain(only_idle).map(|minute| Key::Group(*minute));
        let stale = self.stale.keys().filter_map(|ordinal| self.devices.get(*ordinal as usize));
        let settings = self.settings.changed().map(|_| Key::Settings);
        devices
            .chain(groups)
            .chain(stale.map(|device| Key::Stale(*device)))
            .chain(self.early.keys().map(|device| Key::Early(*device)))
            .chain(settings)
    }

    pub(super) fn row(&self, key: Key) -> Option<Vec<u8>> {
        match key {
            Key::Device(ordinal) => {
                let device = self.devices.get(ordinal as usize)?;
                Some(encode_device(*device, self.gone.contains(ordinal)))
            }
            Key::Group(minute) => {
                let none = RoaringBitmap::new();
                let of = |groups: &super::Groups| groups.get(&minute).cloned();
                let group =
                    of(&self.watched).unwrap_or_else(|| none.clone()) | of(&self.idle).unwrap_or(none);
                (!group.is_empty()).then(|| encode_bitmap(&group))
            }
            Key::Stale(device) => {
                let Minute(since) = self.stale.get(self.ordinals.get(&device)?)?;
                Some(since.to_be_bytes().to_vec())
            }
            Key::Early(device) => {
                let Early { last: Minute(last), stale } = *self.early.get(&device)?;
                Some(EarlyRow { last, stale: stale.map(|Minute(since)| since) }.encode_to_vec())
            }
            Key::Settings => self.settings.changed().map(|changed| settings_row(&self.settings, changed)),
        }
    }

    pub(super) fn load(&mut self, key: Key, value: &[u8]) -> Result<(), String> {
        match key {
            Key::Device(ordinal) => {
                let (device, gone) = decode_device(value)?;
                let loaded = self.push_device(device)?;
                if gone {
                    self.gone.insert(loaded);
                }
                if loaded != ordinal {
                    return Err(format!("device {loaded} is missing"));
                }
            }
            Key::Group(minute) => {
                let group = bitmap(value)?;
                group.iter().for_each(|ordinal| self.set_last(ordinal, minute));
                super::put_in(&mut self.idle, minute, &(&group & &self.gone));
                super::put_in(&mut self.watched, minute, &(group - &self.gone));
            }
            Key::Stale(device) => {
                let ordinal = *self.ordinals.get(&device).ok_or("a stale device without an ordinal")?;
                let since = u32::from_be_bytes(value.try_into().map_err(text)?);
                self.set_stale(ordinal, Some(Minute(since)));
            }
            Key::Early(device) => {
                let EarlyRow { last, stale } = EarlyRow::decode(value).map_err(text)?;
                self.early.insert(device, Early { last: Minute(last), stale: stale.map(Minute) });
            }
            Key::Settings => self.settings = settings(value)?,
        }
        Ok(())
    }
}

fn settings_row(settings: &ReportSettings, (at, request): (Timestamp, RequestId)) -> Vec<u8> {
    let Values { stale_after, drift_after } = *settings.values();
    let row = SettingsRow {
        stale_after_seconds: stale_after.as_secs(),
        drift_after,
        changes: settings.changes(),
        changed_micros: at.micros(),
        changed_by: request.as_bytes().to_vec(),
    };
    row.encode_to_vec()
}

fn settings(value: &[u8]) -> Result<ReportSettings, String> {
    let SettingsRow { stale_after_seconds, drift_after, changes, changed_micros, changed_by } =
        SettingsRow::decode(value).map_err(text)?;
    let values = Values { stale_after: Duration::from_secs(stale_after_seconds), drift_after };
    let request = RequestId::from_slice(&changed_by).map_err(text)?;
    Ok(ReportSettings::restored(values, changes, (Timestamp::from_micros(changed_micros), request)))
}
