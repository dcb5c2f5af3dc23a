//! `muster report fleet`.

use clap::Args;
use muster_errors::Fault;
use muster_proto::report::v1::GetFleetReportRequest;
use serde_json::Value;

use super::words;
use crate::connect::Api;
use crate::flags::{Output, Read};
use crate::output::{self, Format, ago, print_text, share, table};
use crate::view;

/// How all devices stand.
#[derive(Debug, Args)]
pub struct Options {
    /// How to call
    #[command(flatten)]
    read: Read,
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub(super) async fn run(options: Options) -> Result<(), Fault> {
    let Options { read: Read { target, output: Output { format } } } = options;
    let api = Api::connect(&target)?;
    let request = GetFleetReportRequest { parent: api.parent() };
    let report = view::report::fleet(&api.call(api.reports().get_fleet_report(request)).await?);
    match format {
        Format::Json => output::print_json(&report),
        Format::Yaml => output::print_yaml(&report),
        Format::Name => print_text(&names(&report)),
        Format::Table => print_text(&text(&report)),
    }
}

fn policies(report: &Value) -> impl Iterator<Item = &Value> {
    report["policies"].as_array().into_iter().flatten()
}

fn names(report: &Value) -> String {
    policies(report).filter_map(|policy| policy["name"].as_str()).collect::<Vec<_>>().join("\n")
}

fn text(report: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let devices = number(&report["devices"]);
    let head = format!(
        "{} devices, {} stale, {} drifting; latest event {} (at {})",
        words::grouped(devices),
        words::grouped(number(&report["stale"])),
        words::grouped(number(&report["drifting"])),
        ago(report, "/time"),
        report["position"].as_str().unwrap_or_default()
    );
    let mut parts = Vec::new();
    output::wrapped(&mut parts, "", &head);
    parts.extend([String::new(), words::counted(report, devices)]);
    let rows: Vec<_> = policies(report)
        .map(|policy| {
            let count = |verdict: &str| number(&policy["counts"][verdict]);
            let targeted = number(&policy["targeted"]);
            let (_, percent) = share(count("succeeded"), targeted);
            let mut row = vec![policy["display_name"].as_str().unwrap_or_default().to_owned()];
            let verdicts = ["succeeded", "error", "conflict", "pending", "not_applicable"];
            row.extend([targeted].into_iter().chain(verdicts.map(count)).map(words::grouped));
            row.push(percent);
            row
        })
        .collect();
    if !rows.is_empty() {
        let headings = ["policy", "devices", "succeeded", "error", "conflict", "pending", "n/a", "well"];
        parts.push(format!("\n{}", table(&headings, rows)));
    }
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fleet_fits_and_names_its_policies() {
        let report = json!({
            "devices": 1_000_000, "stale": 12, "drifting": 3, "position": "enroll:1,identity:2,policy:3,report:4",
            "counts": {"succeeded": 999_000, "error": 1_000}, "states": {"confirmed": 999_000, "failed": 1_000},
            "policies": [{"name": "tenants/t/policies/p", "display_name": "Linux baseline", "targeted": 800_000,
                          "counts": {"succeeded": 799_000, "error": 1_000}}],
        });
        let text = text(&report);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for part in ["1,000,000 devices, 12 stale, 3 drifting", "Linux baseline", "99.8 %", "report:4)"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert_eq!(names(&report), "tenants/t/policies/p");
    }
}
