//! Everything that is known of a setting, in Markdown.

use crate::applicability::Channel;
use crate::check::words::describe as allowed;
use crate::docs::markdown::{cell, full_stop, line, row, sentence};
use crate::model::{
    Confidence, Constraint, EnumValue, Field, Kind, MergeMode, Profile, Rule, Setting, Status, Tamper,
    TamperCondition,
};
use crate::platforms::Edition;

/// Everything the catalogue knows of the setting, in Markdown.
#[must_use]
pub fn describe(profile: &Profile, setting: &Setting) -> String {
    let mut text = format!("# {}\n\n`{}`\n\n", setting.name, setting.id);
    text.push_str("| | |\n|---|---|\n");
    row(&mut text, "Type", &format!("{}: {}", setting.kind.type_name(), allowed(&setting.kind)));
    row(&mut text, "Default", &default_text(setting));
    for channel in Channel::ALL {
        delivery(profile, setting, channel, &mut text);
    }
    if profile.refused_on_domain_controllers(Channel::Ssm) {
        row(&mut text, "On domain controllers", "not applied to those without MDM");
    }
    row(&mut text, "Merge", &format!("`{}`. {}", setting.merge.as_str(), setting.merge.explain()));
    row(&mut text, "Tamper protection", tamper(setting));
    rows_where_known(setting, &mut text);
    places(setting, &mut text);
    tables(setting, &mut text);
    if let Some(notes) = &setting.notes {
        text.push_str(&format!("\n{}\n", full_stop(&sentence(notes))));
    }
    text
}

fn delivery(profile: &Profile, setting: &Setting, channel: Channel, text: &mut String) {
    let name = sentence(channel.devices());
    let current = setting.delivered(profile, channel, Edition::Current);
    row(text, &name, current.explain());
    let earlier = setting.delivered(profile, channel, Edition::September2023);
    if earlier.deliverable() != current.deliverable() {
        row(text, &format!("{name}, rules of 2023-09"), earlier.explain());
    }
}

fn tables(setting: &Setting, text: &mut String) {
    if let Kind::ObjectList { schema, .. } = &setting.kind {
        text.push_str("\n| field | on the device | type | |\n|---|---|---|---|\n");
        for field in &schema.fields {
            let (id, key, kind) = (&field.id, cell(&field.key), cell(&allowed(&field.kind)));
            line(text, &format!("| {id} | {key} | {kind} | {} |", cell(&remarks(field))));
        }
    }
    if let Kind::Enum { values } = &setting.kind
        && values.iter().any(|EnumValue { id, wire, .. }| *id != wire.to_string())
    {
        text.push_str("\n| value | on the device | |\n|---|---|---|\n");
        for EnumValue { id, wire, note } in values {
            line(text, &format!("| {id} | {wire} | {} |", cell(note.as_deref().unwrap_or_default())));
        }
    }
}

fn remarks(field: &Field) -> String {
    let when = match (&field.used_when, field.required) {
        (Some(when), true) => format!("required where {} is {}", when.field, when.value),
        (Some(when), false) => format!("where {} is {}", when.field, when.value),
        (None, true) => "required".to_owned(),
        (None, false) => String::new(),
    };
    let default = field.default.as_ref().map(|value| format!("default {value}")).unwrap_or_default();
    let rules = field.constraints.iter().map(|Constraint { words, rule }| match rule {
        Some(Rule::Needs { own: None, condition }) if words.is_empty() => {
            format!("only where {}", condition.words())
        }
        Some(_) | None => words.clone(),
    });
    let note = field.note.clone().unwrap_or_default();
    let remarks = [when, default].into_iter().chain(rules).chain([note]);
    remarks.filter(|remark| !remark.is_empty() && remark != "default ").collect::<Vec<_>>().join("; ")
}

fn rows_where_known(setting: &Setting, text: &mut String) {
    if let Some(note) = &setting.merge_note {
        row(text, "Merge note", note);
    }
    if let Some(version) = &setting.min_agent {
        row(text, "Since agent", version);
    }
    if let Some(depends) = &setting.depends_on {
        let values: Vec<_> = depends.values.iter().map(ToString::to_string).collect();
        row(text, "Means something where", &format!("`{}` is {}", depends.setting, values.join(" or ")));
    }
    for constraint in &setting.constraints {
        row(text, "Rule", &constraint.words);
    }
    match setting.status {
        Status::Current => row(text, "Status", "current"),
        Status::Legacy => row(text, "Status", "legacy"),
        Status::Deprecated => row(text, "Status", "deprecated"),
    }
    if setting.read_only {
        row(text, "Status", "can be read, not set");
    }
    for (name, fact) in &setting.rule_facts {
        row(text, &sentence(&name.replace('_', " ")), &fact.replace('_', " "));
    }
}

fn places(setting: &Setting, text: &mut String) {
    let lands = &setting.lands;
    for (name, place) in [
        ("JSON path", &lands.json_path),
        ("Property list key", &lands.plist_key),
        ("CSP", &lands.csp),
        ("Registry", &lands.registry),
        ("Rule GUID", &setting.rule_guid),
        ("PowerShell", &lands.mp_preference),
        ("Definition", &lands.definition_id),
    ] {
        if let Some(place) = place {
            row(text, name, &format!("`{place}`"));
        }
    }
    match setting.confidence {
        Confidence::Verified => row(text, "Known", "read in a source"),
        Confidence::Derived => row(text, "Known", "derived from a source, not stated in it"),
        Confidence::AuthorKnowledge => row(text, "Known", "to the authors; in no source"),
    }
}

fn default_text(setting: &Setting) -> String {
    match &setting.default {
        Some(value) => match value.to_string() {
            empty if empty.is_empty() => "empty".to_owned(),
            value => format!("`{value}`"),
        },
        None if setting.merge == MergeMode::PartOfItem => "none".to_owned(),
        None => "none; unset leaves it to the product".to_owned(),
    }
}

const fn tamper(setting: &Setting) -> &'static str {
    match (setting.tamper_protected, setting.tamper_condition) {
        (Tamper::No, _) => "does not lock it",
        (Tamper::Yes, _) => "locks it",
        (Tamper::Conditional, Some(TamperCondition::ExclusionsLocked)) => {
            "locks it where it is on for exclusions too"
        }
        (Tamper::Conditional, None) => "locks it under conditions",
        (Tamper::Switch, _) => "this is its switch",
    }
}
