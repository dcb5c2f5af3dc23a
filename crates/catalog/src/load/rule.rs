//! Rules across settings and fields.

use muster_types::SettingValue;

use crate::file::{BesideFile, ConditionFile, ConstraintFile, FormFile, NeedsFile};
use crate::load::{Findings, value};
use crate::model::{Condition, Constraint, Kind, Rule, Setting};

/// Reads rules. Their values are as they are written until the types of those they name are known.
pub(super) fn constraints(files: Vec<ConstraintFile>, findings: &mut Findings<'_>) -> Vec<Constraint> {
    files
        .into_iter()
        .map(|ConstraintFile { words, not_with, needs, beside, form }| {
            let rules = [
                not_with.map(|other| Rule::NotWith { other }),
                needs.map(|NeedsFile { own, id, values }| Rule::Needs {
                    own: own.map(value::raw),
                    condition: condition(ConditionFile { id, values }),
                }),
                beside.map(|BesideFile { own, any_of }| Rule::Beside { own: own.map(value::raw), any_of }),
                form.map(|FormFile { format, unless }| Rule::Form { format, unless: unless.map(condition) }),
            ];
            let mut rules = rules.into_iter().flatten();
            let rule = rules.next();
            if rules.next().is_some() {
                findings
                    .add("constraints", format!("{words}: takes one of not_with, needs, beside and form"));
            }
            Constraint { words, rule }
        })
        .collect()
}

fn condition(file: ConditionFile) -> Condition {
    let ConditionFile { id, values } = file;
    Condition { other: id, values: values.into_iter().map(value::raw).collect() }
}

/// Gives all values in rules the form of the domain.
pub(super) fn link(settings: &mut [Setting]) {
    let kinds: Vec<(String, Kind)> =
        settings.iter().map(|setting| (setting.id.setting().to_owned(), setting.kind.clone())).collect();
    for setting in settings {
        if let Some(depends) = &mut setting.depends_on {
            domain_values(&kinds, depends.setting.setting(), &mut depends.values);
        }
        for constraint in &mut setting.constraints {
            link_rule(constraint, &setting.kind, &kinds);
        }
        if let Kind::ObjectList { schema, .. } = &mut setting.kind {
            let fields: Vec<_> =
                schema.fields.iter().map(|field| (field.id.clone(), field.kind.clone())).collect();
            for field in &mut schema.fields {
                for constraint in &mut field.constraints {
                    link_rule(constraint, &field.kind, &fields);
                }
            }
        }
    }
}

fn link_rule(constraint: &mut Constraint, own_kind: &Kind, kinds: &[(String, Kind)]) {
    match &mut constraint.rule {
        None | Some(Rule::NotWith { .. } | Rule::Form { unless: None, .. }) => {}
        Some(Rule::Form { unless: Some(condition), .. }) => {
            domain_values(kinds, &condition.other, &mut condition.values);
        }
        Some(Rule::Beside { own, .. }) => *own = own.take().map(|own| value::domain(own_kind, own)),
        Some(Rule::Needs { own, condition }) => {
            *own = own.take().map(|own| value::domain(own_kind, own));
            domain_values(kinds, &condition.other, &mut condition.values);
        }
    }
}

fn domain_values(kinds: &[(String, Kind)], other: &str, values: &mut [SettingValue]) {
    let Some((_, kind)) = kinds.iter().find(|(name, _)| name == other) else { return };
    for written in values {
        *written = value::domain(kind, written.clone());
    }
}
