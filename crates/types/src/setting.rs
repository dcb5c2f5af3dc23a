//! Settings: the id under which the catalogue knows one, and the value it is given.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest setting id, in bytes.
pub const SETTING_ID_BYTES_MAX: usize = 160;

/// A setting's catalogue id, `{profile}/{setting}`, for example `linux-antivirus/enforcement_level`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SettingId(Arc<str>);

/// Text that is no setting id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a setting id: expected profile/setting, for example linux-antivirus/enforcement_level, found {found:?}"
)]
pub struct InvalidSettingId {
    /// What stood there, cut to 160 characters.
    pub found: String,
}

impl SettingId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The profile, for example `linux-antivirus`.
    #[must_use]
    pub fn profile(&self) -> &str {
        self.0.split_once('/').map_or("", |(profile, _)| profile)
    }

    /// The setting within its profile, for example `enforcement_level`.
    #[must_use]
    pub fn setting(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, setting)| setting)
    }
}

impl FromStr for SettingId {
    type Err = InvalidSettingId;

    fn from_str(text: &str) -> Result<Self, InvalidSettingId> {
        let word = |s: &str| {
            !s.is_empty()
                && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        match text.split_once('/') {
            Some((profile, setting))
                if text.len() <= SETTING_ID_BYTES_MAX && word(profile) && word(setting) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidSettingId { found: text.chars().take(SETTING_ID_BYTES_MAX).collect() }),
        }
    }
}

impl fmt::Display for SettingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SettingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SettingId({})", self.0)
    }
}

impl<'de> Deserialize<'de> for SettingId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A value of any type the catalogue knows. Untagged in files and JSON: `true`, `8`, `"high"`, `["a"]`, `[{…}]`.
///
/// Which types fit which setting is the catalogue's to say; an empty list is `Strings`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Of a `bool` setting.
    Boolean(bool),
    /// Of an `integer` or `flags` setting.
    Integer(i64),
    /// Of a `string` or `enum` setting; of an enum the value's catalogue id.
    Text(String),
    /// Of a `string_list` setting.
    Strings(Vec<String>),
    /// Of an `object_list` setting: each object's fields by name; a field is never an object list.
    Objects(Vec<BTreeMap<String, SettingValue>>),
}

impl SettingValue {
    /// The type's name as the catalogue writes it, for messages.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "bool",
            Self::Integer(_) => "integer",
            Self::Text(_) => "string",
            Self::Strings(_) => "string_list",
            Self::Objects(_) => "object_list",
        }
    }

    /// Feeds the canonical encoding to a hash: type tag, then lengths and bytes, big-endian. Equal values, equal bytes.
    pub fn hash_canonical(&self, hasher: &mut Sha256) {
        match self {
            Self::Boolean(value) => hasher.update([1, u8::from(*value)]),
            Self::Integer(value) => {
                hasher.update([2]);
                hasher.update(value.to_be_bytes());
            }
            Self::Text(value) => {
                hasher.update([3]);
                hash_text(hasher, value);
            }
            Self::Strings(values) => {
                hasher.update([4]);
                hasher.update((values.len() as u64).to_be_bytes());
                values.iter().for_each(|value| hash_text(hasher, value));
            }
            Self::Objects(values) => {
                hasher.update([5]);
                hasher.update((values.len() as u64).to_be_bytes());
                for object in values {
                    hasher.update((object.len() as u64).to_be_bytes());
                    for (name, value) in object {
                        hash_text(hasher, name);
                        value.hash_canonical(hasher);
                    }
                }
            }
        }
    }
}

fn hash_text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text.as_bytes());
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
            Self::Strings(values) => write!(f, "[{}]", values.join(", ")),
            Self::Objects(values) => {
                f.write_str("[")?;
                for (i, object) in values.iter().enumerate() {
                    f.write_str(if i == 0 { "{" } else { ", {" })?;
                    for (j, (name, value)) in object.iter().enumerate() {
                        write!(f, "{}{name}: {value}", if j == 0 { "" } else { ", " })?;
                    }
                    f.write_str("}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The etag of a set of settings: SHA-256 over the canonical encoding of `(id, value)` in the order given, which
/// callers keep sorted by id. Nothing else goes in: no time, no names.
#[must_use]
pub fn etag<'a>(settings: impl IntoIterator<Item = (&'a SettingId, &'a SettingValue)>) -> crate::Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"muster.settings.v1");
    for (id, value) in settings {
        hash_text(&mut hasher, id.as_str());
        value.hash_canonical(&mut hasher);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_profile_and_setting() {
        let id: SettingId = "linux-antivirus/enforcement_level".parse().unwrap();
        assert_eq!((id.profile(), id.setting()), ("linux-antivirus", "enforcement_level"));
        for bad in ["", "x", "/x", "x/", "a/b/c", "A/b", "a b/c"] {
            assert!(bad.parse::<SettingId>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn values_keep_their_type_through_json() {
        let text = r#"[true,8,"high",["a"],[{"path":"/run","is_directory":true}]]"#;
        let values: Vec<SettingValue> = serde_json::from_str(text).unwrap();
        assert_eq!(
            values.iter().map(SettingValue::type_name).collect::<Vec<_>>(),
            ["bool", "integer", "string", "string_list", "object_list"]
        );
    }

    #[test]
    fn the_etag_tells_values_and_their_boundaries_apart() {
        let id: SettingId = "p/s".parse().unwrap();
        let strings = |v: &[&str]| SettingValue::Strings(v.iter().map(ToString::to_string).collect());
        let (a, b) = (strings(&["ab", "c"]), strings(&["a", "bc"]));
        assert_ne!(etag([(&id, &a)]), etag([(&id, &b)]));
        assert_ne!(etag([(&id, &SettingValue::Integer(1))]), etag([(&id, &SettingValue::Boolean(true))]));
    }
}
