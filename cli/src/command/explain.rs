//! `muster explain`.

mod chain;

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use muster_errors::Fault;
use muster_eventlog::as_of::Moment;
use muster_proto::identity::v1::{ExplainMembershipRequest, ListGroupsRequest};
use muster_proto::log::v1::AsOf;
use muster_proto::policy::v1::{ExplainDeviceRequest, Explanation};
use muster_proto::report::v1::GetDeviceReportRequest;
use serde_json::Value;

use crate::connect::Api;
use crate::flags::{Output, Read};
use crate::output::{self, Format, note};
use crate::view::explanation::{self, Names};
use chain::Chain;

/// Groups whose names are looked up, in one page.
const GROUPS_MAX: i32 = 1_000;
/// Groups whose part in it is looked up.
const MEMBERSHIPS_MAX: usize = 32;
/// Columns of the text.
const COLUMNS_MAX: usize = 100;

/// Why something is as it is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Explain what a device is set to, or one setting of it, now or at a past moment: who wrote it, which groups
    /// brought it, who lost and why, when it was sent and what the device read back
    Device {
        /// The device, by id or host name
        device: String,
        /// The setting's catalogue id, for example linux-antivirus/enforcement_level; without one, all
        setting: Option<String>,
        /// A past moment: a time (2026-03-01T12:00:00Z) or a position token (policy:7) [default: now]
        #[arg(long, value_name = "TIME|POSITION")]
        as_of: Option<Moment>,
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
    let Command::Device { device, setting, as_of, read: Read { target, output: Output { format } } } =
        command;
    let api = Api::connect(&target)?;
    let device = api.device(&device).await?;
    let (setting, as_of) = (setting.unwrap_or_default(), as_of.map(AsOf::from));
    let request = ExplainDeviceRequest { device, setting, as_of };
    let explanation = api.call(api.policies().explain_device(request.clone())).await?;
    // Names are a help for people: an answer without them is an answer.
    let names = group_names(&api).await.unwrap_or_default();
    let chain = chain(&api, request, &explanation, &names).await;
    let mut explanation = explanation::explanation(&explanation, &names);
    explanation["chain"] = Value::Array(chain.into_values());
    match format {
        Format::Json => output::print_json(&explanation),
        Format::Yaml => output::print_yaml(&explanation),
        Format::Name => output::print_text(&settings(&explanation).collect::<Vec<_>>().join("\n")),
        Format::Table => output::print_text(&text(&explanation)),
    }
}

/// What led to it, from all services that answer: one that does not leaves its links out, and that is said.
async fn chain(api: &Api, request: ExplainDeviceRequest, explanation: &Explanation, names: &Names) -> Chain {
    let ExplainDeviceRequest { device, setting, as_of } = request;
    let mut chain = Chain::default();
    chain.explained(explanation, names);
    let sources =
        explanation.settings.iter().flat_map(|setting| setting.winners.iter().chain(&setting.losers));
    let groups: BTreeSet<_> =
        sources.flat_map(|source| &source.assignments).map(|by| by.group.clone()).collect();
    if groups.len() > MEMBERSHIPS_MAX {
        note(&format!("{} groups brought it; the first {MEMBERSHIPS_MAX} are explained", groups.len()));
    }
    for group in groups.into_iter().take(MEMBERSHIPS_MAX) {
        let request = ExplainMembershipRequest { group, device: device.clone(), as_of: as_of.clone() };
        match api.call(api.groups().explain_membership(request)).await {
            Ok(membership) => chain.member(&membership),
            Err(fault) => {
                note(&format!("why it is in its groups is not known: {}", fault.message));
                break;
            }
        }
    }
    let ids: BTreeSet<_> = explanation.settings.iter().map(|setting| setting.id.as_str()).collect();
    match api.call(api.reports().get_device_report(GetDeviceReportRequest { device, setting, as_of })).await {
        Ok(report) => chain.reported(&report, &ids),
        Err(fault) => note(&format!("what the device read back is not known: {}", fault.message)),
    }
    chain
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
    let (at, where_at) = (word(explanation, "as_of_time"), word(explanation, "position"));
    if !at.is_empty() {
        lines.push(format!("as of {at} ({where_at})"));
    }
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
    let mut links = list(explanation, "chain").peekable();
    if links.peek().is_some() {
        lines.extend([String::new(), "How it came to be:".to_owned()]);
    }
    for link in links {
        let position =
            link["position"].as_u64().map(|position| format!("{}:{position}", word(link, "service")));
        let parts = [word(link, "time"), position.as_deref().unwrap_or("on the device"), word(link, "actor")];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        lines.push(format!("  {}", parts.join("  ")));
        wrapped(&mut lines, "    ", word(link, "what"));
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
            "as_of_time": "2026-01-02T00:00:00Z", "position": "policy:9",
            "chain": [{"step": "reported", "service": "report", "position": 4, "time": "2026-01-01T00:00:09Z",
                       "actor": "device:5f0c", "what": "the device read back a/b ".repeat(9)}],
        });
        let text = text(&explanation);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS_MAX), "{text}");
        for part in [
            "channel ssm",
            "policy:7",
            "through group web with priority 5",
            "waiver w1",
            "excluded by",
            "as of 2026",
            "report:4",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
