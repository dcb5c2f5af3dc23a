//! What a rule says of a device, printed.

use muster_errors::Fault;
use serde_json::Value;

use crate::output::{self, Format};

/// Prints an object with `result`, `error` and `explain`; in a table, a line for each part of the rule.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(verdict: &Value, format: Format) -> Result<(), Fault> {
    match format {
        Format::Json => output::print_json(verdict),
        Format::Yaml => output::print_yaml(verdict),
        Format::Name => output::print_text(word(&verdict["result"])),
        // A rule that does not hold is told on stderr.
        Format::Table if !verdict["error"].is_null() => Ok(()),
        Format::Table => {
            let lines = verdict["explain"].as_array().into_iter().flatten();
            output::print_text(&output::table(&["the device is", "by", "it has"], lines.map(row)))
        }
    }
}

fn row(line: &Value) -> Vec<String> {
    let depth = line["depth"].as_u64().and_then(|depth| usize::try_from(depth).ok()).unwrap_or(0);
    let expression = line["expression"].as_str().unwrap_or_default();
    let has = match &line["device_has"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => line["device_has"].to_string(),
    };
    vec![word(&line["result"]).to_owned(), format!("{}{expression}", "  ".repeat(depth)), has]
}

fn word(result: &Value) -> &'static str {
    match result.as_bool() {
        Some(true) => "in",
        Some(false) => "out",
        None => "unknown",
    }
}
