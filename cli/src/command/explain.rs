//! `muster explain`.

use std::collections::BTreeMap;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::identity::v1::ListGroupsRequest;
use muster_proto::policy::v1::ExplainDeviceRequest;
use serde_json::Value;

use crate::connect::Api;
use crate::flags::{Output, Read};
use crate::output::{self, Format};
use crate::view::explanation::{self, Names};

/// Groups whose names are looked up, in one page.
const GROUPS_MAX: i32 = 1_000;
/// Columns of the text.
const COLUMNS_MAX: usize = 100;

/// Why something is as it is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Explain what a device is set to, or one setting of it: who wrote it, which groups brought it, who lost and why
    Device {
        /// The device, by id or host name
        device: String,
        /// The setting's catalogue id, for example linux-antivirus/enforcement_level; without one, all
        setting: Option<String>,
        /// How to call
        #[command(flatten)]
        read: Read,
    },
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    let Command::Device { device, setting, read: Read { target, output: Output { format } } } = command;
    let api = Api::connect(&target)?;
    let device = api.device(&device).await?;
    let request = ExplainDeviceRequest { device, setting: setting.unwrap_or_default(), as_of: None };
    let explanation = api.call(api.policies().explain_device(request)).await?;
    // Names are a help for people: an answer without them is an answer.
    let names = group_names(&api).await.unwrap_or_default();
    let explanation = explanation::explanation(&explanation, &names);
    match format {
        Format::Json => output::print_json(&explanation),
        Format::Yaml => output::print_yaml(&explanation),
        Format::Name => output::print_text(&settings(&explanation).collect::<Vec<_>>().join("\n")),
        Format::Table => output::print_text(&text(&explanation)),
    }
}

async fn group_names(api: &Api) -> Result<Names, Fault> {
    let request =
        ListGroupsRequest { parent: api.parent(), page_size: GROUPS_MAX, page_token: String::new() };
    let groups = api.call(api.groups().list_groups(request)).await?.groups;
    Ok(groups.into_iter().map(|group| (group.name, group.display_name)).collect::<BTreeMap<_, _>>())
}

fn settings(explanation: &Value) -> impl Iterator<Item = &str> {
    list(explanation, "settings").filter_map(|setting| setting["id"].as_str())
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn word<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

/// What people read: a paragraph for each setting, with who is in it below.
fn text(explanation: &Value) -> String {
    let mut lines = Vec::new();
    let facts = explanation["facts"].as_object().into_iter().flatten();
    let facts: Vec<_> =
        facts.map(|(name, value)| format!("{name} {}", value.as_str().unwrap_or_default())).collect();
    wrapped(&mut lines, "", &format!("{}: {}", word(explanation, "id"), facts.join(", ")));
    for setting in list(explanation, "settings") {
        lines.push(String::new());
        lines.push(word(setting, "id").to_owned());
        wrapped(&mut lines, "  ", word(setting, "summary"));
        for (heading, key) in [("from", "winners"), ("not", "losers")] {
            for source in list(setting, key) {
                carrier(&mut lines, heading, source);
            }
        }
        for waiver in list(setting, "waivers").filter_map(Value::as_str) {
            lines.push(format!("  waiver {waiver}"));
        }
    }
    if list(explanation, "settings").next().is_none() {
        lines.push(String::new());
        lines.push("No policy sets anything on it.".to_owned());
    }
    for policy in list(explanation, "not_reaching") {
        lines.push(String::new());
        let (name, why) = (word(policy, "display_name"), word(policy, "why"));
        wrapped(&mut lines, "", &format!("\"{name}\" does not reach it: {why}."));
    }
    lines.join("\n")
}

fn carrier(lines: &mut Vec<String>, heading: &str, source: &Value) {
    let (name, revision) = (word(source, "display_name"), source["revision"].as_u64().unwrap_or_default());
    let mut what = format!("{heading} \"{name}\" revision {revision}");
    for (key, before) in [("actor", " by "), ("change_time", " at ")] {
        if !word(source, key).is_empty() {
            what.push_str(&format!("{before}{}", word(source, key)));
        }
    }
    what.push_str(&format!(" (policy:{})", source["position"].as_u64().unwrap_or_default()));
    if !word(source, "reason").is_empty() {
        what.push_str(&format!(", \"{}\"", word(source, "reason")));
    }
    wrapped(lines, "  ", &what);
    for assignment in list(source, "assignments") {
        let priority = assignment["priority"].as_u64().map(|number| format!(" with priority {number}"));
        let by = format!(
            "through group {}{} by {} (policy:{})",
            word(assignment, "group_name"),
            priority.unwrap_or_default(),
            word(assignment, "actor"),
            assignment["position"].as_u64().unwrap_or_default()
        );
        wrapped(lines, "    ", &by);
    }
}

/// Breaks a text at spaces, so that lines fit; what has no space stays whole, since it may be copied.
fn wrapped(lines: &mut Vec<String>, indent: &str, text: &str) {
    let mut line = indent.to_owned();
    for part in text.split_whitespace() {
        let is_empty = line.trim().is_empty();
        if !is_empty && line.chars().count() + 1 + part.chars().count() > COLUMNS_MAX {
            lines.push(std::mem::replace(&mut line, format!("{indent}  {part}")));
            continue;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(part);
    }
    lines.push(line);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_fits_and_names_who_and_where() {
        let source = json!({
            "display_name": "Servers", "revision": 3, "actor": "admin:ada", "reason": "because ".repeat(20),
            "change_time": "2026-01-01T00:00:00Z", "position": 7,
            "assignments": [{"group_name": "web", "priority": 5, "actor": "admin:ada", "position": 8}],
        });
        let explanation = json!({
            "id": "5f0c", "facts": {"platform": "linux", "channel": "ssm"},
            "settings": [{"id": "a/b", "summary": "word ".repeat(60), "winners": [source], "waivers": ["w1"]}],
            "not_reaching": [{"display_name": "Other", "why": "excluded by group web"}],
        });
        let text = text(&explanation);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS_MAX), "{text}");
        for part in
            ["channel ssm", "policy:7", "through group web with priority 5", "waiver w1", "excluded by"]
        {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
