//! Types and their bounds.

use crate::file::{
    FieldFile, ItemFile, ItemTypeFile, ScalarFile, SettingFile, TypeFile, ValueFile, WireFile,
};
use crate::load::{Findings, named, rule};
use crate::model::{
    BoolWire, EnumValue, Field, FlagValue, ITEMS_MAX, Kind, ObjectSchema, Pattern, TEXT_CHARS_MAX, TextItems,
    WireScalar,
};

/// The type of a setting.
pub(super) fn of_setting(file: &SettingFile, findings: &mut Findings<'_>) -> Kind {
    kind(&Shape::of_setting(file), findings)
}

/// What settings and fields of objects have in common: a type and its bounds.
struct Shape<'a> {
    kind: TypeFile,
    values: Option<&'a [ValueFile]>,
    values_open: bool,
    values_ignore_case: bool,
    wire: Option<&'a WireFile>,
    min: Option<i64>,
    max: Option<i64>,
    unit: Option<&'a str>,
    min_length: Option<u32>,
    max_length: Option<u32>,
    max_items: Option<u32>,
    pattern: Option<&'a str>,
    item: Option<&'a ItemFile>,
}

impl<'a> Shape<'a> {
    fn of_setting(file: &'a SettingFile) -> Self {
        Self {
            kind: file.kind,
            values: file.values.as_deref(),
            values_open: file.values_open,
            values_ignore_case: file.values_ignore_case,
            wire: file.wire.as_ref(),
            min: file.min,
            max: file.max,
            unit: file.unit.as_deref(),
            min_length: file.min_length,
            max_length: file.max_length,
            max_items: file.max_items,
            pattern: file.pattern.as_deref(),
            item: file.item_schema.as_ref(),
        }
    }

    fn of_field(file: &'a FieldFile) -> Self {
        Self {
            kind: file.kind,
            values: file.values.as_deref(),
            values_open: false,
            values_ignore_case: false,
            wire: None,
            min: file.min,
            max: file.max,
            unit: None,
            min_length: file.min_length,
            max_length: file.max_length,
            max_items: None,
            pattern: None,
            item: None,
        }
    }

    /// Bounds that the type knows nothing of are mistakes: someone believes they hold.
    fn refuse_foreign_bounds(&self, findings: &mut Findings<'_>) {
        use TypeFile::{Bool, Enum, Flags, Integer, ObjectList, String, StringList};
        let given: [(&str, bool, &[TypeFile]); 9] = [
            ("values", self.values.is_some(), &[Enum, Flags, StringList]),
            ("values_open, values_ignore_case", self.values_open || self.values_ignore_case, &[StringList]),
            ("pattern", self.pattern.is_some(), &[String]),
            ("wire", self.wire.is_some(), &[Bool]),
            ("min, max", self.min.is_some() || self.max.is_some(), &[Integer]),
            ("unit", self.unit.is_some(), &[Integer]),
            ("min_length, max_length", self.min_length.is_some() || self.max_length.is_some(), &[String]),
            ("max_items", self.max_items.is_some(), &[StringList, ObjectList]),
            ("item_schema", self.item.is_some(), &[StringList, ObjectList]),
        ];
        for (field, present, types) in given {
            if present && !types.contains(&self.kind) {
                findings.add(field, "has no meaning for this type");
            }
        }
    }
}

fn kind(shape: &Shape<'_>, findings: &mut Findings<'_>) -> Kind {
    shape.refuse_foreign_bounds(findings);
    match shape.kind {
        TypeFile::Bool => Kind::Bool { wire: bool_wire(shape.wire, findings) },
        TypeFile::Enum => Kind::Enum { values: enum_values(shape, true, findings) },
        TypeFile::Flags => Kind::Flags { values: flag_values(shape, findings) },
        TypeFile::Integer => {
            let (Some(min), Some(max)) = (shape.min, shape.max) else {
                findings.add("min, max", "an integer needs both");
                return Kind::Integer { min: 0, max: 0, unit: None };
            };
            if min > max {
                findings.add("min, max", format!("min {min} is above max {max}"));
            }
            Kind::Integer { min, max, unit: shape.unit.map(str::to_owned) }
        }
        TypeFile::String => Kind::Text(TextItems {
            min_length: shape.min_length.unwrap_or(0),
            max_length: shape.max_length.unwrap_or(TEXT_CHARS_MAX),
            pattern: pattern(shape.pattern, "pattern", findings),
            format: None,
            values: Vec::new(),
            open: true,
            ignore_case: false,
            alone: None,
        }),
        TypeFile::StringList => Kind::TextList {
            items: text_items(shape, findings),
            max_items: shape.max_items.unwrap_or(ITEMS_MAX),
        },
        TypeFile::ObjectList => Kind::ObjectList {
            schema: object(shape, findings),
            max_items: shape.max_items.unwrap_or(ITEMS_MAX),
        },
    }
}

fn bool_wire(wire: Option<&WireFile>, findings: &mut Findings<'_>) -> BoolWire {
    match wire.map(|WireFile { no, yes }| (no, yes)) {
        None => BoolWire::Native,
        Some((ScalarFile::Integer(0), ScalarFile::Integer(1))) => BoolWire::Number,
        Some((ScalarFile::Text(no), ScalarFile::Text(yes))) if no == "false" && yes == "true" => {
            BoolWire::Word
        }
        Some(_) => {
            findings.add("wire", "expected 0 and 1, or the texts false and true");
            BoolWire::Native
        }
    }
}

fn enum_values(shape: &Shape<'_>, needed: bool, findings: &mut Findings<'_>) -> Vec<EnumValue> {
    let values: Vec<EnumValue> = shape
        .values
        .unwrap_or_default()
        .iter()
        .filter_map(|ValueFile { value, id, note }| {
            let wire = match value {
                ScalarFile::Integer(value) => WireScalar::Integer(*value),
                ScalarFile::Text(value) => WireScalar::Text(value.clone()),
                ScalarFile::Bool(_) => {
                    findings.add("values", format!("{id}: a value is a number or a text; quote it"));
                    return None;
                }
            };
            Some(EnumValue { id: id.clone(), wire, note: note.clone() })
        })
        .collect();
    if needed && values.is_empty() {
        findings.add("values", "an enum needs them");
    }
    for (index, value) in values.iter().enumerate() {
        let word = value.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if value.id.is_empty() || !word {
            findings.add("values", format!("{:?}: an id is made of a-z, 0-9 and _", value.id));
        }
        if values[..index].iter().any(|before| before.id == value.id || before.wire == value.wire) {
            findings.add("values", format!("{}: id or value occurs twice", value.id));
        }
    }
    values
}

fn flag_values(shape: &Shape<'_>, findings: &mut Findings<'_>) -> Vec<FlagValue> {
    enum_values(shape, true, findings)
        .into_iter()
        .filter_map(|EnumValue { id, wire, note: _ }| match wire {
            WireScalar::Integer(bits) if bits >= 0 => Some(FlagValue { id, bits }),
            WireScalar::Integer(_) | WireScalar::Text(_) => {
                findings.add("values", format!("{id}: a flag is a number of bits"));
                None
            }
        })
        .collect()
}

fn text_items(shape: &Shape<'_>, findings: &mut Findings<'_>) -> TextItems {
    if shape.item.is_some_and(|item| item.kind != ItemTypeFile::String || !item.fields.0.is_empty()) {
        findings.add("item_schema", "the items of a string_list are strings");
    }
    let values = enum_values(shape, false, findings);
    if values.iter().any(|value| matches!(value.wire, WireScalar::Integer(_))) {
        findings.add("values", "the items of a string_list are texts");
    }
    let alone = shape.item.and_then(|item| item.alone.clone()).map(|item| named(&values, item));
    TextItems {
        min_length: shape.item.and_then(|item| item.min_length).unwrap_or(1),
        max_length: shape.item.and_then(|item| item.max_length).unwrap_or(TEXT_CHARS_MAX),
        pattern: pattern(
            shape.item.and_then(|item| item.pattern.as_deref()),
            "item_schema.pattern",
            findings,
        ),
        format: shape.item.and_then(|item| item.format),
        ignore_case: shape.values_ignore_case,
        alone,
        open: shape.values_open || values.is_empty(),
        values,
    }
}

fn pattern(text: Option<&str>, field: &str, findings: &mut Findings<'_>) -> Option<Pattern> {
    match regex_lite::Regex::new(text?) {
        Ok(regex) => Some(Pattern(regex)),
        Err(error) => {
            findings.add(field, error.to_string());
            None
        }
    }
}

fn object(shape: &Shape<'_>, findings: &mut Findings<'_>) -> ObjectSchema {
    let Some(item) = shape.item.filter(|item| item.kind == ItemTypeFile::Object && !item.fields.0.is_empty())
    else {
        findings.add("item_schema", "an object_list needs one, of type object, with fields");
        return ObjectSchema { fields: Vec::new(), unique_by: None, require_any_of: Vec::new() };
    };
    let fields = item
        .fields
        .0
        .iter()
        .map(|(id, file)| {
            if file.kind == TypeFile::ObjectList {
                findings.add("item_schema", format!("{id}: a field is never an object_list"));
            }
            Field {
                id: id.clone(),
                key: file.key.clone(),
                kind: kind(&Shape::of_field(file), findings),
                default: None,
                required: file.required,
                recommended: file.recommended,
                used_when: file.used_when.clone(),
                constraints: rule::constraints(file.constraints.clone(), findings),
                note: file.note.clone(),
            }
        })
        .collect();
    ObjectSchema { fields, unique_by: item.unique_by.clone(), require_any_of: item.require_any_of.clone() }
}
