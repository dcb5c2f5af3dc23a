//! `muster report device`.

use clap::Args;
use muster_errors::Fault;
use muster_eventlog::as_of::Moment;
use muster_proto::policy::v1::ExplainDeviceRequest;
use muster_proto::report::v1::GetDeviceReportRequest;
use serde_json::{Value, json};

use super::words;
use crate::connect::Api;
use crate::flags::{Output, Read};
use crate::output::{self, Format, ago, cell, print_text, table, wrapped};
use crate::view::{self, setting_value};

/// Longest value shown in the table; `-o json` has them whole.
const VALUE_CHARS_MAX: usize = 18;

/// How a device stands with each setting.
#[derive(Debug, Args)]
pub struct Options {
    /// The device's id or host name
    device: String,
    /// Only this setting, by its catalogue id: with all policies that manage it and what each of them wants
    #[arg(long, value_name = "SETTING", default_value = "", hide_default_value = true)]
    setting: String,
    /// A past moment: a time such as 2026-11-21T06:18:14Z, or positions of the logs such as policy:7 [default: now]
    #[arg(long, value_name = "TIME|POSITION")]
    as_of: Option<Moment>,
    /// How to call
    #[command(flatten)]
    read: Read,
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub(super) async fn run(options: Options) -> Result<(), Fault> {
    let Options { device, setting, as_of, read: Read { target, output: Output { format } } } = options;
    let api = Api::connect(&target)?;
    let device = api.device(&device).await?;
    let (name, id) = (device.clone(), setting.clone());
    let request = GetDeviceReportRequest { device, setting, as_of: as_of.map(Into::into) };
    let mut report = view::report::device(&api.call(api.reports().get_device_report(request)).await?);
    if !id.is_empty() {
        let request = ExplainDeviceRequest { device: name, setting: id, as_of: as_of.map(Into::into) };
        // The report names who manages the setting; what each of them wants is a help that it is an answer without.
        let explained = api.call(api.policies().explain_device(request)).await;
        report["candidates"] = explained.map_or(Value::Null, |explained| candidates(&explained.settings));
    }
    match format {
        Format::Json => output::print_json(&report),
        Format::Yaml => output::print_yaml(&report),
        Format::Name => print_text(report["name"].as_str().unwrap_or_default()),
        Format::Table => print_text(&text(&report)),
    }
}

/// What each policy wants the settings to be.
fn candidates(settings: &[muster_proto::policy::v1::ExplainedSetting]) -> Value {
    let of = |source: &muster_proto::policy::v1::ExplainedSource, in_force: bool| {
        json!({
            "policy": view::id(&source.policy),
            "display_name": source.display_name,
            "value": setting_value(source.value.as_ref()),
            "revision": source.revision,
            "in_force": in_force,
        })
    };
    let each = settings.iter().flat_map(|setting| {
        let winners = setting.winners.iter().map(|source| of(source, true));
        winners.chain(setting.losers.iter().map(|source| of(source, false))).collect::<Vec<_>>()
    });
    each.collect()
}

fn settings(report: &Value) -> impl Iterator<Item = &Value> {
    report["settings"].as_array().into_iter().flatten()
}

fn word<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

/// What people read.
fn text(report: &Value) -> String {
    let mut lines = Vec::new();
    head(&mut lines, report);
    lines.push(String::new());
    let rows = settings(report).map(|setting| {
        vec![
            word(setting, "id").to_owned(),
            shortened(&cell(setting, "/desired")),
            shortened(&cell(setting, "/observed")),
            standing(setting),
            cell(setting, "age:/desired_time"),
        ]
    });
    lines.push(table(&["setting", "desired", "observed", "state", "since"], rows));
    let id = word(report, "id");
    let why: Vec<_> = settings(report).filter_map(|setting| words::of_setting(setting, id)).collect();
    if !why.is_empty() {
        lines.push(String::new());
        why.iter().for_each(|why| wrapped(&mut lines, "", why));
    }
    if report.get("candidates").is_some() {
        settings(report).for_each(|setting| managed(&mut lines, setting, &report["candidates"]));
    }
    lines.join("\n")
}

/// The verdict, why, and how old what is.
fn head(lines: &mut Vec<String>, report: &Value) {
    let name = match word(report, "host_name") {
        "" => word(report, "id").to_owned(),
        host => format!("{host} ({})", word(report, "id")),
    };
    let (verdict, state) = (word(report, "check_in_status"), word(report, "state"));
    let finer = if state == verdict { String::new() } else { format!(" ({})", words::spaced(state)) };
    let refused = words::hint(word(report, "refused_reason"));
    let why = words::of_state(state);
    wrapped(lines, "", &format!("{name}: {}{finer}: {why}{refused}", words::spaced(verdict)));
    let ages = [
        ("desired", "/desired_time"),
        ("delivered", "/delivered_time"),
        ("applied", "/applied_time"),
        ("confirmed", "/confirmed_time"),
        ("reported", "/report_time"),
        ("seen", "/last_seen_time"),
    ];
    let ages = ages.map(|(what, pointer)| format!("{what} {}", ago(report, pointer)));
    let stale = if report["stale"] == true { ", stale" } else { "" };
    wrapped(lines, "", &format!("{}{stale}", ages.join(", ")));
    lines.push(format!("at {}", word(report, "position")));
}

/// Who manages a setting, how their values are brought together, and what each of them wants.
fn managed(lines: &mut Vec<String>, setting: &Value, candidates: &Value) {
    lines.push(String::new());
    let mode = match word(setting, "merge_mode") {
        "" => String::new(),
        mode => format!(" (merge: {mode})"),
    };
    wrapped(lines, "", &format!("Who manages {}{mode}:", word(setting, "id")));
    let sources: Vec<_> = setting["sources"].as_array().into_iter().flatten().collect();
    let listed: Vec<_> = candidates.as_array().into_iter().flatten().collect();
    if sources.is_empty() && listed.is_empty() {
        lines.push("  no policy that reaches the device".to_owned());
        return;
    }
    let wants = |policy: &str| listed.iter().find(|candidate| word(candidate, "policy") == policy);
    let told = |candidate: &Value, winner: bool, value: &Value| {
        let value = if value.is_null() { String::new() } else { format!(" wants {value}") };
        let (name, revision) = (word(candidate, "display_name"), &candidate["revision"]);
        let so = if winner { "in force" } else { "not in force" };
        format!("\"{name}\" revision {revision} ({}){value}: {so}", word(candidate, "policy"))
    };
    for source in &sources {
        let value = wants(word(source, "policy")).map_or(&Value::Null, |candidate| &candidate["value"]);
        wrapped(lines, "  ", &told(source, source["winner"] == true, value));
    }
    // What policy explains may be newer than what the report has folded.
    let is_new = |candidate: &&&Value| sources.iter().all(|source| source["policy"] != candidate["policy"]);
    for candidate in listed.iter().filter(is_new) {
        wrapped(lines, "  ", &told(candidate, candidate["in_force"] == true, &candidate["value"]));
    }
}

/// The state, and how far a setting is that has not succeeded.
fn standing(setting: &Value) -> String {
    let state = words::spaced(word(setting, "state"));
    match (word(setting, "state"), word(setting, "stage")) {
        ("succeeded", _) | (_, "") => state,
        (_, stage) => format!("{state}, {}", words::spaced(stage)),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(VALUE_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Value {
        json!({
            "id": "0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f", "host_name": "web-1", "check_in_status": "conflict",
            "state": "conflict", "position": "enroll:1,identity:2,policy:3,report:4", "stale": true,
            "settings": [{
                "id": "linux-antivirus/enforcement_level", "state": "conflict", "reason": "SETTING_CONFLICT",
                "merge_mode": "most_secure", "stage": "confirmed", "desired": null, "observed": "a ".repeat(80),
                "sources": [
                    {"policy": "p1", "display_name": "lax", "revision": 1, "winner": false},
                    {"policy": "p2", "display_name": "strict", "revision": 2, "winner": false},
                ],
            }],
        })
    }

    #[test]
    fn a_conflict_names_both_sides_and_how_they_could_come_together() {
        let mut report = report();
        report["candidates"] = json!([
            {"policy": "p1", "display_name": "lax", "value": "passive", "revision": 1, "in_force": false},
            {"policy": "p2", "display_name": "strict", "value": "real_time", "revision": 2, "in_force": false},
        ]);
        let text = text(&report);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for part in [
            "web-1 (0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f): conflict: policies disagree",
            "reported never, seen never, stale",
            "report:4",
            "muster error explain SETTING_CONFLICT",
            "(merge: most_secure)",
            "\"lax\" revision 1 (p1) wants \"passive\": not in force",
            "\"strict\" revision 2 (p2) wants \"real_time\": not in force",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn words_are_not_broken_beside_a_long_id() {
        let mut report = report();
        let setting = |id: &str, state: &str, stage: &str| {
            let (desired, observed) = ("real_time", "real_time");
            json!({"id": id, "state": state, "stage": stage, "desired": desired, "observed": observed})
        };
        report["settings"] = json!([
            setting("linux-antivirus/network_protection_enforcement_level", "succeeded", "confirmed"),
            setting("linux-antivirus/enforcement_level", "pending", "never_delivered"),
        ]);
        let text = text(&report);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for word in ["succeeded", "pending,", "never", "delivered", "real_time"] {
            assert!(text.split_whitespace().any(|found| found == word), "{word} is broken in {text}");
        }
    }

    #[test]
    fn what_no_policy_manages_is_said_so() {
        let mut report = report();
        report["settings"][0]["sources"] = json!([]);
        report["candidates"] = Value::Null;
        assert!(text(&report).contains("no policy that reaches the device"));
    }
}
