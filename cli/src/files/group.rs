//! `kind: Group`.

use muster_errors::ErrorCode;
use muster_identity::domain::rule::Rule;

use super::fields::{Fields, Reader, Text};
use super::mistake::Place;
use super::node::{Node, Value};

/// Most devices that a static group may name in a file.
pub const DEVICES_MAX: usize = 10_000;

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupSpec {
    /// Those that a rule lets in.
    Rule(String),
    /// Those that are named, by id or host name.
    Static(Vec<Named>),
}

/// Something that is named, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name or id.
    pub name: String,
    /// Where.
    pub place: Place,
}

impl Named {
    pub(super) fn of(reader: &Reader<'_>, text: Text) -> Self {
        Self { name: text.text, place: reader.place(text.at) }
    }
}

impl GroupSpec {
    /// Reads `spec`.
    pub(super) fn read(reader: &mut Reader<'_>, spec: Node) -> Option<Self> {
        let mut fields = Fields::of(reader, "spec", spec, &["rule", "static"])?;
        let at = fields.at;
        match (fields.take("rule"), fields.take("static")) {
            (Some(rule), None) => Self::read_rule(reader, rule),
            (None, Some(devices)) => Self::read_static(reader, devices),
            (Some(_), Some(devices)) => {
                reader.wrong(devices.at, "a group has either a rule or static devices, not both");
                None
            }
            (None, None) => {
                reader.wrong(at, "a group needs a rule, or static: {devices: […]}");
                None
            }
        }
    }

    fn read_rule(reader: &mut Reader<'_>, rule: Node) -> Option<Self> {
        let Text { at, text } = Text::of(reader, "rule", rule)?;
        // A block of text ends with a line end that nobody means.
        let text = text.trim().to_owned();
        match Rule::parse(&text) {
            Ok(_) => Some(Self::Rule(text)),
            Err(error) => {
                let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
                let character = error.offset + 1;
                let message = format!("{} at character {character} of the rule{hint}", error.message);
                reader.mistake(ErrorCode::RuleInvalid, reader.within(at, &text, error.offset), message);
                None
            }
        }
    }

    fn read_static(reader: &mut Reader<'_>, devices: Node) -> Option<Self> {
        let mut fields = Fields::of(reader, "static", devices, &["devices"])?;
        let devices = fields.need(reader, "devices")?;
        let Value::List(items) = devices.value else {
            reader.wrong(devices.at, format!("devices: expected a list, found {}", devices.value.kind()));
            return None;
        };
        if items.len() > DEVICES_MAX {
            reader.wrong(devices.at, format!("devices: more than {DEVICES_MAX}; use a rule for so many"));
            return None;
        }
        let mut named: Vec<Named> = Vec::with_capacity(items.len());
        for item in items {
            if let Some(text) = Text::of(reader, "devices", item) {
                named.push(Named::of(reader, text));
            }
        }
        Some(Self::Static(named))
    }
}
