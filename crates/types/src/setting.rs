//! Settings: the id under which the catalogue knows one, and the value it is given.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Canonical;

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

/// Why a setting that policies carry does not come to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithheldReason {
    /// Policies want different values.
    Conflict = 1,
    /// The policy is for another platform.
    Platform = 2,
    /// The setting cannot be delivered on this channel.
    Channel = 3,
    /// The profile is refused on domain controllers.
    DomainController = 4,
    /// The security product on the device is older than the first that knows the setting.
    AgentVersion = 5,
    /// A waiver exempts the device.
    Waived = 6,
    /// Tamper protection is on and would not let this channel change the setting.
    TamperProtected = 7,
    /// The rules in force for the tenant name it as not applied.
    Rules = 8,
}

impl WithheldReason {
    /// Whether the device is told, and reports it: settings of other platforms are none of its business.
    #[must_use]
    pub const fn is_told(self) -> bool {
        !matches!(self, Self::Platform)
    }
}

/// The etag of a set of settings: SHA-256 over the canonical encoding of `(id, value)` in the order given, which
/// callers keep sorted by id. Nothing else goes in: no time, no names.
#[must_use]
pub fn etag<'a>(settings: impl IntoIterator<Item = (&'a SettingId, &'a SettingValue)>) -> crate::Digest {
    etag_of_result(settings, [])
}

/// The etag of what is resolved for a device: its settings as in [`etag`], and what is withheld from it as far as it is told
/// ([`WithheldReason::is_told`]), each id once, in the order given, which callers keep sorted by id. With nothing
/// withheld it is the [`etag`] of the settings.
#[must_use]
pub fn etag_of_result<'a>(
    settings: impl IntoIterator<Item = (&'a SettingId, &'a SettingValue)>,
    withheld: impl IntoIterator<Item = (&'a SettingId, WithheldReason)>,
) -> crate::Digest {
    let mut canonical = Canonical::new(b"muster.settings.v1");
    for (id, value) in settings {
        canonical.setting(id);
        canonical.value(value);
    }
    let withheld = withheld.into_iter().filter(|(_, reason)| reason.is_told());
    for (place, (id, reason)) in withheld.enumerate() {
        if place == 0 {
            // No setting's id is empty: what follows is never taken for settings.
            canonical.bytes(b"");
        }
        canonical.setting(id);
        canonical.put(&[reason as u8]);
    }
    canonical.digest()
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
    fn the_etag_tells_what_is_withheld_as_far_as_the_device_is_told() {
        let (a, b): (SettingId, SettingId) = ("p/a".parse().unwrap(), "p/b".parse().unwrap());
        let value = SettingValue::Boolean(true);
        let with = |withheld: &[(&SettingId, WithheldReason)]| {
            etag_of_result([(&a, &value)], withheld.iter().copied())
        };
        assert_eq!(with(&[]), etag([(&a, &value)]));
        assert_eq!(with(&[(&b, WithheldReason::Platform)]), with(&[]));
        assert_ne!(with(&[(&b, WithheldReason::Conflict)]), with(&[]));
        assert_ne!(with(&[(&b, WithheldReason::Conflict)]), with(&[(&b, WithheldReason::Waived)]));
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
