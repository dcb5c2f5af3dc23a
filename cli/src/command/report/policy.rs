//! `muster report policy`.

use clap::Args;
use muster_errors::Fault;
use muster_proto::report::v1::{
    GetPolicyConvergenceRequest, GetPolicyReportRequest, GetPolicySettingsRequest, ListPolicyDevicesRequest,
};
use serde_json::Value;

use super::filter::Filter;
use super::words;
use crate::connect::Api;
use crate::flags::{Output, Page, Read};
use crate::output::{self, Format, ago, note, print_text, table};
use crate::view::{self, report};

/// The states of a setting, in the order of their columns.
const SETTING_STATES: &[(&str, &str)] = &[
    ("succeeded", "succeeded"),
    ("error", "error"),
    ("tamper_protected", "tamper"),
    ("conflict", "conflict"),
    ("pending", "pending"),
    ("waived", "waived"),
    ("not_applicable", "n/a"),
];

/// How the devices of a policy stand.
#[derive(Debug, Args)]
pub struct Options {
    /// The policy's id or name
    policy: String,
    /// Counts for each setting
    #[arg(long, conflicts_with_all = ["devices", "convergence"])]
    per_setting: bool,
    /// Each device; any filter asks for them too
    #[arg(long, conflicts_with = "convergence")]
    devices: bool,
    /// How long it took from the change to what devices read back, and who is not there yet and why
    #[arg(long)]
    convergence: bool,
    /// Which devices
    #[command(flatten)]
    filter: Filter,
    /// Which page of the devices
    #[command(flatten)]
    page: Page,
    /// How to call
    #[command(flatten)]
    read: Read,
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub(super) async fn run(options: Options) -> Result<(), Fault> {
    let Options { policy, per_setting, devices, convergence, filter, page, read } = options;
    let Read { target, output: Output { format } } = read;
    let api = Api::connect(&target)?;
    let name = api.policy(&policy).await?;
    if (per_setting || convergence) && filter.is_given() {
        return Err(Fault::invalid_field("--devices", "filters choose devices, not settings or revisions"));
    }
    if per_setting {
        let request = GetPolicySettingsRequest { policy: name };
        let answer = api.call(api.reports().get_policy_settings(request)).await?;
        let answer = report::policy_settings(&answer);
        return print(&answer, format, &list(&answer, "settings", "id"), settings_text);
    }
    if convergence {
        let request = GetPolicyConvergenceRequest { policy: name };
        let answer = api.call(api.reports().get_policy_convergence(request)).await?;
        let answer = report::convergence(&answer);
        return print(&answer, format, word(&answer, "policy"), convergence_text);
    }
    if devices || filter.is_given() {
        return listed(&api, name, &filter, page, format).await;
    }
    let request = GetPolicyReportRequest { policy: name };
    let answer = report::policy(&api.call(api.reports().get_policy_report(request)).await?);
    print(&answer, format, word(&answer, "name"), |answer| text(&policy, answer))
}

fn print(answer: &Value, format: Format, names: &str, text: impl Fn(&Value) -> String) -> Result<(), Fault> {
    match format {
        Format::Json => output::print_json(answer),
        Format::Yaml => output::print_yaml(answer),
        Format::Name => print_text(names),
        Format::Table => print_text(&text(answer)),
    }
}

fn items<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn word<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn list(of: &Value, plural: &str, key: &str) -> String {
    items(of, plural).map(|item| word(item, key)).collect::<Vec<_>>().join("\n")
}

async fn listed(api: &Api, policy: String, filter: &Filter, page: Page, format: Format) -> Result<(), Fault> {
    let Page { page_size, page_token } = page;
    let filter = Some(filter.contract());
    let request = ListPolicyDevicesRequest { policy, page_size, page_token, filter };
    let answer = api.call(api.reports().list_policy_devices(request)).await?;
    let answer = report::policy_devices(&answer);
    print(&answer, format, &list(&answer, "devices", "name"), devices_text)?;
    if format == Format::Table {
        let shown = items(&answer, "devices").count();
        note(&format!(
            "{shown} of {} devices (at {})",
            number(&answer["total_size"]),
            word(&answer, "position")
        ));
        if !word(&answer, "next_page_token").is_empty() {
            note(&format!("more with --page-token {}", word(&answer, "next_page_token")));
        }
    }
    Ok(())
}

fn text(policy: &str, answer: &Value) -> String {
    let targeted = number(&answer["targeted"]);
    let head = format!(
        "{policy}: {} devices, {} stale, {} drifting; latest event {} (at {})",
        words::grouped(targeted),
        words::grouped(number(&answer["stale"])),
        words::grouped(number(&answer["drifting"])),
        ago(answer, "/time"),
        word(answer, "position")
    );
    let mut lines = Vec::new();
    output::wrapped(&mut lines, "", &head);
    lines.extend([String::new(), words::counted(answer, targeted)]);
    let counted = |verdict: &str| number(&answer["counts"][verdict]) > 0;
    if ["error", "conflict", "pending"].into_iter().any(counted) {
        let policy = view::id(word(answer, "policy"));
        lines.push(format!("\nWhich ones: muster report policy {policy} --devices --status error"));
    }
    lines.join("\n")
}

fn devices_text(answer: &Value) -> String {
    let rows = items(answer, "devices").map(|device| {
        let (status, state) = (word(device, "status"), word(device, "state"));
        let finer = if state == status { String::new() } else { format!(": {}", words::spaced(state)) };
        vec![
            word(device, "id").to_owned(),
            word(device, "host_name").to_owned(),
            format!("{}{finer}", words::spaced(status)),
            word(device, "reason").to_owned(),
            ago(device, "/report_time"),
            format!(
                "{}{}",
                ago(device, "/last_seen_time"),
                if device["stale"] == true { ", stale" } else { "" }
            ),
        ]
    });
    table(&["device", "host", "status", "reason", "reported", "seen"], rows)
}

/// A column for each state that any setting has.
fn settings_text(answer: &Value) -> String {
    let count = |setting: &Value, state: &str| number(&setting["counts"][state]);
    let states: Vec<_> = SETTING_STATES
        .iter()
        .filter(|(state, _)| {
            *state == "succeeded" || items(answer, "settings").any(|it| count(it, state) > 0)
        })
        .collect();
    let rows = items(answer, "settings").map(|setting| {
        let counts = states.iter().map(|(state, _)| words::grouped(count(setting, state)));
        [word(setting, "id").to_owned()].into_iter().chain(counts).collect()
    });
    let headings: Vec<_> = ["setting"].into_iter().chain(states.iter().map(|(_, shown)| *shown)).collect();
    let table = table(&headings, rows);
    let targeted = words::grouped(number(&answer["targeted"]));
    format!("{table}\n\nEach setting has {targeted} devices (at {}).", word(answer, "position"))
}

fn convergence_text(answer: &Value) -> String {
    let headings = ["revision", "devices", "converged", "p50", "p95", "p99"];
    let rows = items(answer, "revisions").map(|revision| {
        let length = |key: &str| revision[key].as_f64().map_or_else(|| "-".to_owned(), seconds);
        vec![
            number(&revision["revision"]).to_string(),
            words::grouped(number(&revision["devices"])),
            words::grouped(number(&revision["converged"])),
            length("p50_seconds"),
            length("p95_seconds"),
            length("p99_seconds"),
        ]
    });
    let mut lines = vec![table(&headings, rows)];
    for revision in items(answer, "revisions") {
        for straggler in items(revision, "stragglers") {
            let examples: Vec<_> = items(straggler, "examples").filter_map(Value::as_str).collect();
            let what = format!(
                "revision {}: {} not there, {}: {}",
                number(&revision["revision"]),
                words::grouped(number(&straggler["devices"])),
                of_straggler(word(straggler, "reason")),
                examples.join(" ")
            );
            output::wrapped(&mut lines, "", &what);
        }
    }
    lines.push(format!("\nFrom the change to what the device read back (at {}).", word(answer, "position")));
    lines.join("\n")
}

fn of_straggler(reason: &str) -> &'static str {
    match reason {
        "offline" => "not heard of since",
        "refused" => "they do not obey the policy",
        "conflict" => "policies disagree over a setting",
        "unsupported" => "they cannot take the policy",
        "tamper_protected" => "tamper protection keeps another value",
        "applying" => "at work",
        "failed" => "a setting could not be applied, or another value was read back",
        _ => "for no known reason",
    }
}

/// A length of time in its largest unit.
fn seconds(seconds: f64) -> String {
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..120.0 => format!("{seconds:.1} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(text: &str, parts: &[&str]) {
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn every_face_of_a_policy_fits_and_says_why() {
        let id = "0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f";
        fits(
            &text(
                "Linux baseline",
                &json!({
                    "policy": format!("tenants/t/policies/{id}"), "targeted": 3, "stale": 1, "drifting": 0,
                    "counts": {"error": 1, "succeeded": 2}, "states": {"confirmed": 2, "refused": 1},
                    "position": "enroll:1,identity:2,policy:3,report:4",
                }),
            ),
            &["Linux baseline: 3 devices, 1 stale", "  refused", "33.3 %", "--status error"],
        );
        fits(
            &devices_text(&json!({"devices": [{
                "id": id, "host_name": "a-host-with-a-long-name.corp.example.com", "status": "not_applicable",
                "state": "unsupported", "reason": "SETTING_NOT_APPLICABLE", "stale": true,
            }]})),
            &[id, "never,", "stale"],
        );
        let setting = "linux-antivirus/cloud_automatic_sample_submission_consent";
        fits(
            &settings_text(&json!({"targeted": 9, "position": "report:4", "settings": [
                {"id": setting, "counts": {"succeeded": 7, "waived": 2, "error": 0}},
            ]})),
            &[setting, "WAIVED", "Each setting has 9 devices"],
        );
        let revision = json!({
            "revision": 4, "devices": 1_204, "converged": 1_203, "p50_seconds": 0.1, "p95_seconds": 31.0,
            "p99_seconds": 9_000.0, "stragglers": [{"reason": "offline", "devices": 1, "examples": [id]}],
        });
        fits(
            &convergence_text(&json!({"revisions": [revision], "position": "report:4"})),
            &["1,203", "100 ms", "31.0 s", "2.5 h", "1 not there, not heard of since", id],
        );
    }
}
