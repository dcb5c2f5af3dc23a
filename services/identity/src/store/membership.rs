//! Rows of the view of memberships.
//!
//! | key | value |
//! |---|---|
//! | `0x07`, ordinal (32 bits, big-endian) | `DeviceValue` |
//! | `0x08`, device id | `ToldValue`: what enroll told of a device that nobody trusted yet |
//! | `0x09`, directory device id | `ToldValue`: what a directory told of a device that none here is |
//! | `0x0a`, group id | `GroupValue` |
//!
//! Properties are told by their places in the language's table.

use muster_types::{DeviceId, DirectoryDeviceId, GroupId};
use prost::Message;
use roaring::RoaringBitmap;

use crate::domain::rule::{Attribute, Property};
use crate::wire;

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A device that was ever trusted, by its ordinal.
    Device(u32),
    /// A device that nobody trusted yet.
    Draft(DeviceId),
    /// A device of a directory that none here is.
    Record(DirectoryDeviceId),
    /// A group.
    Group(GroupId),
}

const DEVICE: u8 = 7;
const DRAFT: u8 = 8;
const RECORD: u8 = 9;
const GROUP: u8 = 10;

impl Key {
    /// Calls `use_key` with the key's bytes.
    pub fn with_bytes<T>(self, use_key: impl FnOnce(&[u8]) -> T) -> T {
        let id = |first: u8, id: &[u8; 16]| {
            let mut key = [first; 17];
            key[1..].copy_from_slice(id);
            key
        };
        match self {
            Self::Device(ordinal) => {
                let mut key = [DEVICE; 5];
                key[1..].copy_from_slice(&ordinal.to_be_bytes());
                use_key(&key)
            }
            Self::Draft(device) => use_key(&id(DRAFT, device.as_bytes())),
            Self::Record(record) => use_key(&id(RECORD, record.as_bytes())),
            Self::Group(group) => use_key(&id(GROUP, group.as_bytes())),
        }
    }

    /// Reads a key.
    #[must_use]
    pub fn read(key: &[u8]) -> Option<Self> {
        let (first, rest) = key.split_first()?;
        Some(match *first {
            DEVICE => Self::Device(u32::from_be_bytes(rest.try_into().ok()?)),
            DRAFT => Self::Draft(DeviceId::from_slice(rest).ok()?),
            RECORD => Self::Record(DirectoryDeviceId::from_slice(rest).ok()?),
            GROUP => Self::Group(GroupId::from_slice(rest).ok()?),
            _ => return None,
        })
    }
}

/// What is told of some properties; `None` is absent.
pub type Told = Vec<(Property, Option<Attribute>)>;

/// A device that was ever trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// The device.
    pub device: DeviceId,
    /// Whether it is registered now.
    pub present: bool,
    /// Whether its certificates were ended.
    pub revoked: bool,
    /// Whether a directory has it, but has not told of it.
    pub untold: bool,
    /// Its record in a directory.
    pub linked: Option<DirectoryDeviceId>,
    /// What the device itself and services told; what is not here was not collected.
    pub own: Told,
    /// What its directory told.
    pub directory: Told,
}

/// A group: one with a rule, or the members of a static one.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupRow {
    /// Its rule.
    Dynamic(Box<str>),
    /// Its members.
    Static(RoaringBitmap),
}

#[derive(Clone, PartialEq, Message)]
struct AttributeValue {
    #[prost(uint32, tag = "1")]
    property: u32,
    /// 0: absent, 1: unknown, 2: false, 3: true, 4: a text, 5: texts.
    #[prost(uint32, tag = "2")]
    form: u32,
    #[prost(string, repeated, tag = "3")]
    texts: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ToldValue {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<AttributeValue>,
}

#[derive(Clone, PartialEq, Message)]
struct DeviceValue {
    #[prost(bytes = "vec", tag = "1")]
    device: Vec<u8>,
    #[prost(bool, tag = "2")]
    present: bool,
    #[prost(bool, tag = "3")]
    revoked: bool,
    #[prost(bool, tag = "4")]
    untold: bool,
    #[prost(bytes = "vec", optional, tag = "5")]
    linked: Option<Vec<u8>>,
    #[prost(message, optional, tag = "6")]
    own: Option<ToldValue>,
    #[prost(message, optional, tag = "7")]
    directory: Option<ToldValue>,
}

#[derive(Clone, PartialEq, Message)]
struct GroupValue {
    #[prost(string, optional, tag = "1")]
    rule: Option<String>,
    #[prost(bytes = "vec", tag = "2")]
    members: Vec<u8>,
}

/// What is told, as a row.
#[must_use]
pub fn encode_told(told: &Told) -> Vec<u8> {
    told_value(told).encode_to_vec()
}

/// What is told, from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_told(value: &[u8]) -> Result<Told, String> {
    told(ToldValue::decode(value).map_err(wire::text)?)
}

/// A device as a row.
#[must_use]
pub fn encode_device(row: &DeviceRow) -> Vec<u8> {
    let DeviceRow { device, present, revoked, untold, linked, own, directory } = row;
    let value = DeviceValue {
        device: device.as_bytes().to_vec(),
        present: *present,
        revoked: *revoked,
        untold: *untold,
        linked: linked.map(|id| id.as_bytes().to_vec()),
        own: Some(told_value(own)),
        directory: Some(told_value(directory)),
    };
    value.encode_to_vec()
}

/// A device from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_device(value: &[u8]) -> Result<DeviceRow, String> {
    let DeviceValue { device, present, revoked, untold, linked, own, directory } =
        DeviceValue::decode(value).map_err(wire::text)?;
    Ok(DeviceRow {
        device: DeviceId::from_slice(&device).map_err(wire::text)?,
        present,
        revoked,
        untold,
        linked: linked.map(|id| DirectoryDeviceId::from_slice(&id).map_err(wire::text)).transpose()?,
        own: told(own.unwrap_or_default())?,
        directory: told(directory.unwrap_or_default())?,
    })
}

/// A group as a row.
#[must_use]
pub fn encode_group(row: &GroupRow) -> Vec<u8> {
    let value = match row {
        GroupRow::Dynamic(rule) => GroupValue { rule: Some(rule.to_string()), members: Vec::new() },
        GroupRow::Static(members) => GroupValue { rule: None, members: wire::bitmap_bytes(members) },
    };
    value.encode_to_vec()
}

/// A group from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_group(value: &[u8]) -> Result<GroupRow, String> {
    let GroupValue { rule, members } = GroupValue::decode(value).map_err(wire::text)?;
    Ok(match rule {
        Some(rule) => GroupRow::Dynamic(rule.into()),
        None => GroupRow::Static(wire::bitmap(&members)?),
    })
}

fn told_value(told: &Told) -> ToldValue {
    let attribute = |(property, attribute): &(Property, Option<Attribute>)| {
        let (form, texts) = match attribute {
            None => (0, Vec::new()),
            Some(Attribute::Unknown) => (1, Vec::new()),
            Some(Attribute::Bool(value)) => (2 + u32::from(*value), Vec::new()),
            Some(Attribute::Text(text)) => (4, vec![text.to_string()]),
            Some(Attribute::Collection(items)) => (5, items.iter().map(ToString::to_string).collect()),
        };
        let property = u32::try_from(property.index()).expect("there are few properties");
        AttributeValue { property, form, texts }
    };
    ToldValue { attributes: told.iter().map(attribute).collect() }
}

fn told(value: ToldValue) -> Result<Told, String> {
    let attribute = |AttributeValue { property, form, texts }: AttributeValue| {
        let property = Property::all().nth(property as usize).ok_or("no such property")?;
        let mut texts = texts.into_iter().map(String::into_boxed_str);
        let attribute = match form {
            0 => None,
            1 => Some(Attribute::Unknown),
            2 | 3 => Some(Attribute::Bool(form == 3)),
            4 => Some(Attribute::Text(texts.next().ok_or("a text is missing")?)),
            5 => Some(Attribute::Collection(texts.collect())),
            other => return Err(format!("no form of attributes: {other}")),
        };
        Ok((property, attribute))
    };
    value.attributes.into_iter().map(attribute).collect()
}
