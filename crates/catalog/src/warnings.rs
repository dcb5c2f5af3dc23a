//! What a policy may do and whoever writes it should know.

use std::collections::BTreeMap;
use std::fmt;

use muster_types::{SettingId, SettingValue};

use crate::applicability::Channel;
use crate::check::across;
use crate::model::{Catalogue, EnumValue, Kind, ObjectSchema, Profile, Setting, Status};
use crate::platforms::Edition;

/// Something worth knowing of a policy's settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The setting's id, or the profile's.
    pub subject: String,
    /// What, as a fragment.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, text } = self;
        write!(f, "{subject}: {text}")
    }
}

impl Catalogue {
    /// What is allowed in a policy that passed [`Catalogue::check`] and may still surprise: settings that mean something only
    /// beside others, that some devices are not given under an edition of the rules, that should no longer be used, or
    /// of which it is open what they mean. Sorted, each once; of an unknown profile nothing.
    #[must_use]
    pub fn warnings(
        &self,
        profile: &str,
        settings: &BTreeMap<SettingId, SettingValue>,
        rules_as_of: Edition,
    ) -> Vec<Warning> {
        let Some(profile) = self.profile(profile) else { return Vec::new() };
        let mut warnings = Vec::new();
        let of_profile = profile.channels_as_of(rules_as_of).ssm;
        if !of_profile.deliverable() && !settings.is_empty() {
            let text = format!(
                "not applied to devices without MDM under the {rules_as_of} rules: the profile is {}",
                of_profile.explain()
            );
            warnings.push(Warning { subject: profile.id.clone(), text });
        }
        for (id, value) in settings {
            let Some(setting) = profile.setting(id.setting()) else { continue };
            let texts = [delivery(profile, setting, rules_as_of), standing(setting), choice(setting, value)];
            let texts =
                texts.into_iter().flatten().chain(unsaid(setting, value)).chain(not_honoured(setting, value));
            warnings.extend(texts.map(|text| Warning { subject: id.to_string(), text }));
        }
        warnings.extend(across::open_ends(profile, settings).into_iter().map(|(id, needed)| Warning {
            subject: id.to_string(),
            text: format!("means something only where {needed}, which this policy does not set"),
        }));
        warnings.sort();
        warnings.dedup();
        warnings
    }
}

fn delivery(profile: &Profile, setting: &Setting, rules_as_of: Edition) -> Option<String> {
    let own = setting.channels_as_of(rules_as_of).ssm;
    if own.deliverable() || !profile.channels_as_of(rules_as_of).ssm.deliverable() {
        return None;
    }
    let other = setting.delivered(profile, Channel::Ssm, rules_as_of.other()).deliverable();
    let rules = if other { format!(" under the {rules_as_of} rules") } else { String::new() };
    Some(format!("not applied to devices without MDM{rules}: it is {}", own.explain()))
}

fn standing(setting: &Setting) -> Option<String> {
    match setting.status {
        Status::Current => None,
        Status::Legacy => Some("legacy: kept for what is in use".to_owned()),
        Status::Deprecated => Some("deprecated".to_owned()),
    }
}

fn choice(setting: &Setting, value: &SettingValue) -> Option<String> {
    let (Kind::Enum { values }, SettingValue::Text(chosen)) = (&setting.kind, value) else { return None };
    let EnumValue { note, .. } = values.iter().find(|value| value.id == *chosen)?;
    note.as_ref().map(|note| format!("{chosen}: {note}"))
}

/// Most items of one list that are told of.
const ITEMS_TOLD_MAX: usize = 20;

fn not_honoured(setting: &Setting, value: &SettingValue) -> Vec<String> {
    let (Kind::ObjectList { schema, .. }, SettingValue::Objects(items)) = (&setting.kind, value) else {
        return Vec::new();
    };
    let found = items.iter().enumerate().flat_map(|(index, item)| {
        across::not_honoured(schema, item).into_iter().map(move |(field, text, form)| {
            format!("[{index}].{field}: {text} is not honoured: expected {form}")
        })
    });
    found.take(ITEMS_TOLD_MAX).collect()
}

/// Fields that items should have and some have not.
fn unsaid(setting: &Setting, value: &SettingValue) -> Vec<String> {
    let (Kind::ObjectList { schema, .. }, SettingValue::Objects(items)) = (&setting.kind, value) else {
        return Vec::new();
    };
    let ObjectSchema { fields, .. } = schema;
    let recommended = fields.iter().filter(|field| field.recommended);
    recommended
        .filter_map(|field| {
            let used = |item: &BTreeMap<String, SettingValue>| {
                field.used_when.as_ref().is_none_or(
                    |when| matches!(item.get(&when.field), Some(SettingValue::Text(value)) if *value == when.value),
                )
            };
            let without = items.iter().filter(|item| used(item) && !item.contains_key(&field.id)).count();
            (without > 0).then(|| {
                let note = field.note.as_deref().unwrap_or("set it");
                format!("{without} of {} items do not say {}; {note}", items.len(), field.id)
            })
        })
        .collect()
}
