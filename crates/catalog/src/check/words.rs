//! What a type allows, in words.

use crate::model::{EnumValue, FlagValue, Kind, TextItems};

/// Most values that a message lists.
const LISTED_MAX: usize = 20;

/// What a type allows, as a fragment: `an integer from 1 to 64 (threads)`.
pub(crate) fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Bool { .. } => "true or false".to_owned(),
        Kind::Enum { values } => format!("one of {}", listed(values)),
        Kind::Flags { values } => {
            let names: Vec<_> = values
                .iter()
                .map(|FlagValue { id, bits }| format!("{bits} ({id})"))
                .take(LISTED_MAX)
                .collect();
            format!("an integer, the sum of {}", names.join(", "))
        }
        Kind::Integer { min, max, unit: Some(unit) } => {
            format!("an integer from {min} to {max} ({})", unit.replace('_', " "))
        }
        Kind::Integer { min, max, unit: None } => format!("an integer from {min} to {max}"),
        Kind::Text(items) => describe_text(items),
        Kind::TextList { items, max_items } => {
            format!("a list of at most {max_items} texts, each {}", describe_text(items))
        }
        Kind::ObjectList { schema, max_items } => {
            let fields: Vec<_> = schema.fields.iter().map(|field| field.id.as_str()).collect();
            format!("a list of at most {max_items} objects with the fields {}", fields.join(", "))
        }
    }
}

pub(super) fn describe_text(items: &TextItems) -> String {
    if !items.open {
        return format!("one of {}", listed(&items.values));
    }
    let mut text = format!("a text of {} to {} characters", items.min_length, items.max_length);
    if let Some(pattern) = &items.pattern {
        text.push_str(&format!(" of the form {}", pattern.as_str()));
    }
    if let Some(format) = items.format {
        format.describe().clone_into(&mut text);
    }
    if !items.values.is_empty() {
        text.push_str(&format!(", or one of {}", listed(&items.values)));
    }
    text
}

fn listed(values: &[EnumValue]) -> String {
    let mut names: Vec<_> = values.iter().map(|value| value.id.as_str()).take(LISTED_MAX).collect();
    if values.len() > LISTED_MAX {
        names.push("…");
    }
    names.join(", ")
}
