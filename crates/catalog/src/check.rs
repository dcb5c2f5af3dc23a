//! Policies against the catalogue: all mistakes at once, each naming setting, value and what is allowed.

pub(crate) mod across;
pub(crate) mod value;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};

use crate::model::{Catalogue, Channels, MergeMode, Profile, Setting, Support};
use crate::near::nearest;

use value::Mismatch;
pub(crate) use value::{check_value, quote};

/// Kinds of profiles that the catalogue leaves out, since an MDM alone carries them (Microsoft's pages on security settings
/// management, 2025-08-27).
const MDM_ONLY: [&str; 5] = [
    "device-control",
    "app-and-browser-isolation",
    "exploit-protection",
    "account-protection",
    "disk-encryption",
];

/// One thing that is wrong with a policy's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What kind of mistake.
    pub code: ErrorCode,
    /// The setting's id as given, or the profile's where the profile is unknown.
    pub subject: String,
    /// Where within the value, for example `[2].path`; empty for the whole.
    pub at: String,
    /// The value, cut to 120 characters; empty where no value is at fault.
    pub value: String,
    /// What is allowed instead, as a fragment.
    pub allowed: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code: _, subject, at, value, allowed } = self;
        write!(f, "{subject}{at}: ")?;
        if !value.is_empty() {
            write!(f, "{value} is not allowed: ")?;
        }
        f.write_str(allowed)
    }
}

impl std::error::Error for Violation {}

impl Catalogue {
    /// Checks what a policy of a profile would set, and gives it in canonical form, sorted by id.
    ///
    /// Canonical: an empty list is `Strings`; an item of an open list that has a name stands under its name. What is in
    /// canonical form is accepted as it is. What is allowed and may still surprise is told by [`Catalogue::warnings`].
    ///
    /// # Errors
    /// Every [`Violation`], in the order of the settings given.
    pub fn check(
        &self,
        profile: &str,
        settings: impl IntoIterator<Item = (SettingId, SettingValue)>,
    ) -> Result<BTreeMap<SettingId, SettingValue>, Vec<Violation>> {
        let Some(profile) = self.profile(profile) else { return Err(vec![self.profile_unknown(profile)]) };
        let mut accepted = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut violations = Vec::new();
        for (id, value) in settings {
            if !seen.insert(id.clone()) {
                violations.push(Violation {
                    code: ErrorCode::SettingDuplicate,
                    subject: id.to_string(),
                    at: String::new(),
                    value: String::new(),
                    allowed: "is set twice; set it once".to_owned(),
                });
                continue;
            }
            match self.check_one(profile, &id, &value) {
                Ok(value) => {
                    accepted.insert(id, value);
                }
                Err(mut found) => violations.append(&mut found),
            }
        }
        violations.append(&mut across::within_policy(profile, &accepted));
        if violations.is_empty() { Ok(accepted) } else { Err(violations) }
    }

    fn check_one(
        &self,
        profile: &Profile,
        id: &SettingId,
        value: &SettingValue,
    ) -> Result<SettingValue, Vec<Violation>> {
        let refused = |code, allowed: String| {
            vec![Violation {
                code,
                subject: id.to_string(),
                at: String::new(),
                value: String::new(),
                allowed,
            }]
        };
        if id.profile() != profile.id {
            let allowed = match self.setting(id) {
                Some(_) => format!("belongs to profile {}, this policy is of {}", id.profile(), profile.id),
                None => unknown(profile, id),
            };
            return Err(refused(ErrorCode::SettingUnknown, allowed));
        }
        let Some(setting) = profile.setting(id.setting()) else {
            return Err(refused(ErrorCode::SettingUnknown, unknown(profile, id)));
        };
        if setting.merge == MergeMode::PartOfItem {
            let allowed = "is a field of a list's items; set it within the list".to_owned();
            return Err(refused(ErrorCode::SettingUnknown, allowed));
        }
        if !setting.settable() {
            return Err(refused(ErrorCode::SettingNotOnChannel, not_on_channel(setting)));
        }
        setting.check(value)
    }

    fn profile_unknown(&self, profile: &str) -> Violation {
        let known = self.profiles.keys().map(String::as_str);
        Violation {
            code: ErrorCode::ProfileUnknown,
            subject: quote(profile),
            at: String::new(),
            value: String::new(),
            allowed: match nearest(profile, known.clone()) {
                _ if MDM_ONLY.iter().any(|kind| profile.contains(kind)) => {
                    "profiles of this kind are for MDM only: no other channel carries them".to_owned()
                }
                Some(near) => format!("no such profile; did you mean {near}?"),
                None => format!("no such profile; there are {}", known.collect::<Vec<_>>().join(", ")),
            },
        }
    }
}

impl Setting {
    /// Checks a value against the setting's type and bounds alone, and gives it in canonical form.
    ///
    /// # Errors
    /// Every [`Violation`] within the value.
    pub fn check(&self, value: &SettingValue) -> Result<SettingValue, Vec<Violation>> {
        check_value(&self.kind, value).map_err(|mismatches| {
            mismatches
                .into_iter()
                .map(|Mismatch { code, at, found, allowed }| Violation {
                    code,
                    subject: self.id.to_string(),
                    at,
                    value: if self.secret { "the value".to_owned() } else { found },
                    allowed: if code == ErrorCode::SettingsInconsistent {
                        allowed
                    } else {
                        format!("expected {allowed}")
                    },
                })
                .collect()
        })
    }
}

fn not_on_channel(setting: &Setting) -> String {
    if setting.read_only {
        return "can be read, not set".to_owned();
    }
    let Channels { ssm, mdm } = setting.channels;
    let in_mdm = if mdm == Support::NotApplicable {
        String::new()
    } else {
        format!(", and in an MDM {}", mdm.explain())
    };
    format!("cannot be delivered to devices without MDM: it is {}{in_mdm}", ssm.explain())
}

fn unknown(profile: &Profile, id: &SettingId) -> String {
    let known =
        profile.settings.iter().filter(|setting| setting.settable()).map(|setting| setting.id.as_str());
    match nearest(id.as_str(), known) {
        Some(near) => format!("no such setting; did you mean {near}?"),
        None => format!("no such setting in profile {}", profile.id),
    }
}
