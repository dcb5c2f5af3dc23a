//! The list that a profile's settings are the fields of.

use crate::applicability::AgentLevel;
use crate::file::{ListFile, MergeFile};
use crate::load::Findings;
use crate::model::{
    Channels, Condition, Confidence, Constraint, DependsOn, Field, ITEMS_MAX, Kind, MergeMode, ObjectSchema,
    Rule, Setting, Status, Support, Tamper,
};

/// Composes the list. What can only be read is no field of it.
pub(super) fn compose(
    stem: &str,
    file: ListFile,
    settings: &mut [Setting],
    max_items: Option<u32>,
    findings: &mut Findings<'_>,
) -> Option<Setting> {
    let ListFile { id, key, name, group, field_prefix, unique_by, required, lands, merge, notes } = file;
    let MergeFile { mode: merge, note: merge_note } = merge;
    let id = match format!("{stem}/{id}").parse() {
        Ok(id) => id,
        Err(error) => {
            findings.add("list.id", format!("{error}"));
            return None;
        }
    };
    for setting in settings.iter() {
        if !setting.id.setting().starts_with(&field_prefix) {
            findings.add("list.field_prefix", format!("{} does not begin with it", setting.id.setting()));
        }
        if setting.merge != MergeMode::PartOfItem {
            findings.add("list", format!("{}: the mode of a field is part_of_item", setting.id.setting()));
        }
    }
    let short = |name: &str| name.strip_prefix(&field_prefix).unwrap_or(name).to_owned();
    let fields = settings
        .iter()
        .filter(|setting| !setting.read_only)
        .map(|setting| {
            let id = short(setting.id.setting());
            Field {
                key: setting.key.clone(),
                kind: setting.kind.clone(),
                default: setting.default.clone(),
                required: required.contains(&id),
                recommended: false,
                used_when: None,
                constraints: constraints(setting, short),
                note: setting.notes.clone(),
                id,
            }
        })
        .collect();
    Some(Setting {
        id,
        key,
        name,
        group,
        kind: Kind::ObjectList {
            schema: ObjectSchema { fields, unique_by: Some(unique_by), require_any_of: Vec::new() },
            max_items: max_items.unwrap_or(ITEMS_MAX),
        },
        default: None,
        lands,
        merge,
        merge_note,
        tamper_protected: Tamper::No,
        tamper_condition: None,
        channels: Channels { ssm: Support::Supported, mdm: Support::Supported },
        channels_2023_09: None,
        min_agent: None,
        agent_level: AgentLevel::default(),
        depends_on: None,
        constraints: Vec::new(),
        status: Status::Current,
        secret: false,
        read_only: false,
        rule_guid: None,
        rule_facts: std::collections::BTreeMap::new(),
        notes,
        confidence: Confidence::Derived,
        composed: true,
    })
}

/// A field's rules name the other fields as the object does.
fn constraints(setting: &Setting, short: impl Fn(&str) -> String) -> Vec<Constraint> {
    let within = |condition: &Condition| {
        let Condition { other, values } = condition;
        Condition { other: short(other), values: values.clone() }
    };
    let rules = setting.constraints.iter().map(|Constraint { words, rule }| Constraint {
        words: words.clone(),
        rule: rule.as_ref().map(|rule| match rule {
            Rule::NotWith { other } => Rule::NotWith { other: short(other) },
            Rule::Needs { own, condition } => Rule::Needs { own: own.clone(), condition: within(condition) },
            Rule::Beside { own, any_of } => {
                let any_of = any_of.iter().map(|other| short(other)).collect();
                Rule::Beside { own: own.clone(), any_of }
            }
            Rule::Form { format, unless } => {
                Rule::Form { format: *format, unless: unless.as_ref().map(within) }
            }
        }),
    });
    let depends = setting.depends_on.iter().map(|DependsOn { setting, values }| {
        let condition = Condition { other: short(setting.setting()), values: values.clone() };
        Constraint { words: String::new(), rule: Some(Rule::Needs { own: None, condition }) }
    });
    rules.chain(depends).collect()
}
