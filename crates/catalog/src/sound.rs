//! What must hold across fields, settings and files.

use std::collections::BTreeMap;

use muster_types::SettingValue;

use crate::check::check_value;
use crate::load::{Findings, Mistake};
use crate::model::{
    Catalogue, Channels, Condition, Constraint, DependsOn, Kind, MergeMode, ObjectSchema, Platform, Profile,
    Rule, Setting, Tamper,
};

/// Adds a mistake for everything that does not hold.
pub(crate) fn check(catalogue: &Catalogue, mistakes: &mut Vec<Mistake>) {
    let mut landings = BTreeMap::new();
    for profile in catalogue.profiles.values() {
        let mut findings = Findings::of_file(&profile.id, mistakes);
        if profile.platform != Platform::Windows && profile.file.is_none() {
            findings.add("file", "settings of this platform land in a file; name it");
        }
        check_earlier(profile.channels, profile.channels_2023_09, &mut findings);
        for setting in &profile.settings {
            findings.enter(setting.id.setting());
            check_earlier(setting.channels, setting.channels_2023_09, &mut findings);
            check_setting(profile, setting, &mut findings);
            check_landing(profile, setting, &mut landings, &mut findings);
            findings.leave();
        }
    }
}

fn check_earlier(current: Channels, earlier: Option<Channels>, findings: &mut Findings<'_>) {
    if earlier == Some(current) {
        findings.add("channels_as_of", "says what is the case without it");
    }
}

fn check_setting(profile: &Profile, setting: &Setting, findings: &mut Findings<'_>) {
    if let Some(Err(mismatches)) = setting.default.as_ref().map(|default| check_value(&setting.kind, default))
    {
        for mismatch in mismatches {
            findings.add("default", format!("{} is not {}", mismatch.found, mismatch.allowed));
        }
    }
    match &setting.kind {
        Kind::Text(items) | Kind::TextList { items, .. } if items.min_length > items.max_length => {
            findings.add("min_length, max_length", "the least is above the greatest");
        }
        Kind::ObjectList { schema, .. } => check_schema(schema, findings),
        Kind::Bool { .. }
        | Kind::Enum { .. }
        | Kind::Flags { .. }
        | Kind::Integer { .. }
        | Kind::Text(_)
        | Kind::TextList { .. } => {}
    }
    if setting.tamper_condition.is_some() && setting.tamper_protected != Tamper::Conditional {
        findings.add("tamper_condition", "belongs to tamper_protected: conditional");
    }
    let keyed = matches!(&setting.kind, Kind::ObjectList { schema, .. } if schema.unique_by.is_some());
    if setting.merge == MergeMode::ByKey && !keyed {
        findings.add("merge.mode", "by_key needs an object_list with unique_by");
    }
    if setting.merge == MergeMode::Union
        && !matches!(setting.kind, Kind::TextList { .. } | Kind::ObjectList { .. })
    {
        findings.add("merge.mode", "union needs a list");
    }
    check_dependency(profile, setting, findings);
}

fn check_dependency(profile: &Profile, setting: &Setting, findings: &mut Findings<'_>) {
    let kind_of = |name: &str| profile.setting(name).map(|other| &other.kind);
    if let Some(DependsOn { setting: other, values }) = &setting.depends_on {
        let condition = Condition { other: other.setting().to_owned(), values: values.clone() };
        check_condition("depends_on", &condition, &kind_of, findings);
    }
    check_rules("constraints", &setting.constraints, &setting.kind, &kind_of, findings);
}

fn check_rules<'a>(
    place: &str,
    constraints: &[Constraint],
    own_kind: &Kind,
    kind_of: &impl Fn(&str) -> Option<&'a Kind>,
    findings: &mut Findings<'_>,
) {
    for Constraint { words: _, rule } in constraints {
        match rule {
            None | Some(Rule::Form { unless: None, .. }) => {}
            Some(Rule::NotWith { other }) => {
                if kind_of(other).is_none() {
                    findings.add(place, format!("not_with: there is no {other}"));
                }
            }
            Some(Rule::Beside { own, any_of }) => {
                check_own(place, own.as_ref(), own_kind, findings);
                for other in any_of.iter().filter(|other| kind_of(other).is_none()) {
                    findings.add(place, format!("any_of: there is no {other}"));
                }
            }
            Some(Rule::Needs { own, condition }) => {
                check_own(place, own.as_ref(), own_kind, findings);
                check_condition(place, condition, kind_of, findings);
            }
            Some(Rule::Form { unless: Some(condition), .. }) => {
                check_condition(place, condition, kind_of, findings);
            }
        }
    }
}

fn check_own(place: &str, own: Option<&SettingValue>, own_kind: &Kind, findings: &mut Findings<'_>) {
    if let Some(own) = own.filter(|own| check_value(own_kind, own).is_err()) {
        findings.add(place, format!("own: {own} is no value of it"));
    }
}

fn check_condition<'a>(
    place: &str,
    condition: &Condition,
    kind_of: &impl Fn(&str) -> Option<&'a Kind>,
    findings: &mut Findings<'_>,
) {
    let Condition { other, values } = condition;
    let Some(kind) = kind_of(other) else {
        findings.add(place, format!("id: there is no {other}"));
        return;
    };
    for value in values {
        if check_value(kind, value).ok().as_ref() != Some(value) {
            findings.add(place, format!("values: {value} is no value of {other}"));
        }
    }
}

fn check_schema(schema: &ObjectSchema, findings: &mut Findings<'_>) {
    let kind_of = |name: &str| schema.field(name).map(|field| &field.kind);
    for field in &schema.fields {
        check_rules("item_schema", &field.constraints, &field.kind, &kind_of, findings);
    }
    for (index, field) in schema.fields.iter().enumerate() {
        if schema.fields[..index].iter().any(|before| before.id == field.id || before.key == field.key) {
            findings.add("item_schema", format!("{}: field or key occurs twice", field.id));
        }
        let Some(when) = &field.used_when else { continue };
        let known = schema.field(&when.field).is_some_and(|other| {
            other.required
                && matches!(&other.kind, Kind::Enum { values } if values.iter().any(|value| value.id == when.value))
        });
        if !known {
            findings.add(
                "item_schema",
                format!("{}: used_when names no value of a required enum field of the object", field.id),
            );
        }
    }
    for name in schema.unique_by.iter().chain(&schema.require_any_of) {
        if schema.field(name).is_none() {
            findings.add("item_schema", format!("{name} is no field of the object"));
        }
    }
}

/// In one file on the device a key belongs to one setting, and no key lies inside another's value.
fn check_landing<'a>(
    profile: &'a Profile,
    setting: &'a Setting,
    landings: &mut BTreeMap<(&'a str, &'a str), &'a Setting>,
    findings: &mut Findings<'_>,
) {
    let (field, path) = match profile.platform {
        Platform::Linux => ("lands.json_path", setting.lands.json_path.as_deref()),
        Platform::Macos => ("lands.plist_key", setting.lands.plist_key.as_deref()),
        Platform::Windows => return,
    };
    let Some(path) = path else {
        findings.add(field, "is missing");
        return;
    };
    if path.split('.').any(|segment| segment.is_empty() || segment == "[]") {
        findings.add(field, format!("{path:?} has an empty part"));
    }
    if path.contains("[]") != (setting.merge == MergeMode::PartOfItem) {
        findings.add(field, "[] stands in the path of a field of a list's items, and nowhere else");
    }
    let file = profile.file.as_deref().unwrap_or_default();
    if let Some(other) = landings.insert((file, path), setting) {
        findings.add(field, format!("{path} is also where {} lands", other.id));
    }
    let inside = path.match_indices('.').find_map(|(end, _)| landings.get(&(file, &path[..end])));
    if let Some(other) = inside {
        findings.add(field, format!("{path} lies inside {}", other.id));
    }
}
