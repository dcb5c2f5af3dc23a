//! `muster group test-rule`: offline.

use std::fs;

use muster_errors::{ErrorCode, Fault};
use muster_identity::domain::rule::{
    Attribute, Attributes as _, Described, Explained, Kind, Property, Rule, RuleError, Value as Has,
};
use serde_json::{Map, Value, json};

use crate::flags::Output;

/// Largest file of a device, in bytes.
const DEVICE_BYTES_MAX: u64 = 1024 * 1024;
/// Key of a device under which the properties stand that were not collected.
const UNKNOWN: &str = "unknown";

/// A rule and a device.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The rule, for example 'device.deviceOSType -eq "Linux"'
    #[arg(long)]
    rule: String,
    /// The device: a JSON object of rule properties, or @FILE with one. What it leaves out is absent; what stands in the
    /// list "unknown" was not collected, as in {"deviceOSType": "Linux", "unknown": ["displayName"]}
    #[arg(long, value_name = "JSON|@FILE")]
    device: String,
    /// How to print
    #[command(flatten)]
    output: Output,
}

/// Prints what the rule says of the device, and ends well whatever that is.
///
/// # Errors
/// `RULE_INVALID` when the rule does not hold, which is printed too; `ARGUMENT_INVALID` when the device cannot be read.
pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let Options { rule, device, output } = options;
    let device = read(device).map_err(|problem| Fault::invalid_field("--device", problem))?;
    let parsed = Rule::parse(rule);
    super::verdict::print(&verdict(&parsed, &device), output.format)?;
    parsed.map(drop).map_err(|error| Fault::new(ErrorCode::RuleInvalid, error.to_string()))
}

/// What programs read.
fn verdict(rule: &Result<Rule, RuleError>, device: &Described) -> Value {
    match rule {
        Ok(rule) => json!({
            "result": rule.says_of(device).known(),
            "error": null,
            "explain": rule.explain(device).iter().map(|part| explained(part, device)).collect::<Vec<_>>(),
        }),
        Err(RuleError { kind, message, offset, length, hint }) => json!({
            "result": null,
            "error": {
                "kind": kind.as_str(),
                "message": message,
                "offset": offset,
                "length": length,
                "hint": hint,
            },
            "explain": [],
        }),
    }
}

fn explained(part: &Explained, device: &Described) -> Value {
    let Explained { expression, offset, length, property, depth, result } = part;
    let mut line = json!({
        "expression": expression,
        "result": result.known(),
        "depth": depth,
        "offset": offset,
        "length": length,
    });
    if let Some(property) = property {
        line["property"] = property.name().into();
        line["device_has"] = match device.value(*property) {
            Has::Unknown | Has::Absent => Value::Null,
            Has::Bool(value) => value.into(),
            Has::Text(text) => text.into(),
            Has::Collection(items) => items.iter().map(|item| &**item).collect(),
        };
    }
    line
}

fn read(text: &str) -> Result<Described, String> {
    let Some(path) = text.strip_prefix('@') else { return device(text) };
    let failed = |error: std::io::Error| format!("cannot read {path}: {error}");
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > DEVICE_BYTES_MAX {
        return Err(format!("{path} has {bytes} bytes, the limit is {DEVICE_BYTES_MAX}"));
    }
    device(&fs::read_to_string(path).map_err(failed)?)
}

fn device(text: &str) -> Result<Described, String> {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))?;
    let mut device = Described::default();
    for (name, value) in &object {
        if name == UNKNOWN {
            for property in texts(value).ok_or("unknown: expected a list of property names")? {
                device.tell(named(&property)?, Attribute::Unknown);
            }
        } else {
            let property = named(name)?;
            if let Some(attribute) = attribute(property, value)? {
                device.tell(property, attribute);
            }
        }
    }
    Ok(device)
}

fn named(name: &str) -> Result<Property, String> {
    let name = name.strip_prefix("device.").unwrap_or(name);
    Property::named(name).ok_or_else(|| format!("devices have no property {name:?}"))
}

/// What is told of a property; nothing for null.
fn attribute(property: Property, value: &Value) -> Result<Option<Attribute>, String> {
    let attribute = match (property.kind(), value) {
        (_, Value::Null) => return Ok(None),
        (Kind::Bool, Value::Bool(value)) => Some(Attribute::Bool(*value)),
        (Kind::Text, Value::String(text)) => Some(Attribute::Text(text.as_str().into())),
        (Kind::Collection | Kind::Groups, value) => texts(value).map(Attribute::Collection),
        (Kind::Bool | Kind::Text, _) => None,
    };
    let expected = match property.kind() {
        Kind::Text => "a text",
        Kind::Bool => "true or false",
        Kind::Collection | Kind::Groups => "a list of texts",
    };
    attribute.map(Some).ok_or_else(|| format!("{property}: expected {expected}, found {value}"))
}

fn texts(value: &Value) -> Option<Box<[Box<str>]>> {
    value.as_array()?.iter().map(|item| item.as_str().map(Into::into)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(rule: &str, of: &str) -> Value {
        verdict(&Rule::parse(rule), &device(of).expect(of))
    }

    #[test]
    fn a_verdict_is_true_false_or_null_and_explains_each_part() {
        let rule = r#"(device.deviceOSType -eq "Linux") -and (device.displayName -contains "sql")"#;
        let inside = says(rule, r#"{"deviceOSType": "linux", "displayName": "SQL-1"}"#);
        assert_eq!((&inside["result"], &inside["error"]), (&json!(true), &Value::Null));
        let tested = json!({
            "expression": r#"(device.displayName -contains "sql")"#,
            "result": true, "depth": 1, "offset": 39, "length": 36,
            "property": "displayName", "device_has": "SQL-1",
        });
        assert_eq!(inside["explain"][2], tested);
        assert_eq!(says(rule, r#"{"DEVICEosTYPE": "Windows"}"#)["result"], false);
        let unknown = says(rule, r#"{"deviceOSType": "Linux", "unknown": ["displayName"]}"#);
        assert_eq!(unknown["result"], Value::Null);
        assert_eq!(unknown["explain"][2]["result"], Value::Null);
    }

    #[test]
    fn a_mistake_has_kind_message_place_and_hint() {
        let wrong = says(r#"device.deviceOsTyp -eq "Linux""#, "{}");
        assert_eq!((&wrong["result"], &wrong["explain"]), (&Value::Null, &json!([])));
        let error = json!({
            "kind": "unknown_property",
            "message": "devices have no property \"deviceOsTyp\"",
            "offset": 0, "length": 18,
            "hint": "did you mean deviceOSType?",
        });
        assert_eq!(wrong["error"], error);
    }

    #[test]
    fn null_is_absent_and_what_is_no_device_is_told() {
        let nothing = r#"{"displayName": null, "tags": [], "isRooted": null}"#;
        for rule in ["device.displayName -eq null", "device.tags -eq null", "device.isRooted -ne true"] {
            assert_eq!(says(rule, nothing)["result"], true, "{rule}");
        }
        for wrong in
            ["", "[]", r#"{"name": "x"}"#, r#"{"isRooted": "true"}"#, r#"{"tags": "x"}"#, r#"{"unknown": 1}"#]
        {
            assert!(device(wrong).is_err(), "{wrong}");
        }
        assert!(read("@/no/such/file").is_err());
    }
}
