//! `muster plan`.

use std::path::PathBuf;

use muster_errors::Fault;
use muster_proto::enroll::v1::UpdateEnforcementScopeResponse;
use muster_proto::policy::v1::{Plan, PlannedConflict, PlannedSetting};
use serde_json::{Value, json};

use super::diff;
use crate::files::carry;
use crate::files::change;
use crate::files::prepared::{Goal, Prepared};
use crate::flags::Read;
use crate::output::{self, Format};
use crate::view;

/// Files to plan.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder with all that is in it (*.yaml, *.yml, *.json), or - for standard input
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Plan for apply --prune
    #[arg(long)]
    prune: bool,
    /// How to call
    #[command(flatten)]
    read: Read,
}

/// Prints what applying the files would do to objects and to devices, and tells whether that is anything.
///
/// # Errors
/// The mistakes of the files; a call's fault.
pub async fn run(options: Options) -> Result<bool, Fault> {
    let Options { files, prune, read: Read { target, output } } = options;
    let Prepared { api, live, changes } = Prepared::of(&files, &target, Goal::Apply { prune }).await?;
    let memberships = carry::memberships(&api, &changes, &live).await?;
    let scope = carry::plan_scope(&api, &changes).await?;
    let plan = carry::plan(&api, &changes, memberships).await?;
    let plan = Plan { digest: carry::digest(&plan, &changes, scope.as_ref()), ..plan };
    let item = || {
        let mut item = change::json(&changes);
        item["plan"] = json(&plan);
        item["scope"] = scope.as_ref().map_or(Value::Null, view::enroll::scope_change);
        item
    };
    match output.format {
        Format::Json => output::print_json(&item())?,
        Format::Yaml => output::print_yaml(&item())?,
        Format::Name => output::print_text(&view::hex(&plan.digest))?,
        Format::Table => {
            let parts =
                [diff::text(&changes), text(&plan), scope.as_ref().map(scope_text).unwrap_or_default()];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            output::print_text(&parts.join("\n\n"))?;
        }
    }
    Ok(!changes.is_empty())
}

/// A plan for programs.
fn json(plan: &Plan) -> Value {
    json!({
        "digest": view::hex(&plan.digest),
        "position": plan.position,
        "devices_touched": plan.devices_touched,
        "devices_sample": plan.devices_sample,
        "devices_unknown": plan.devices_unknown,
        "devices_unknown_sample": plan.devices_unknown_sample,
        "devices_tamper_guarded": plan.devices_tamper_guarded,
        "settings": plan.settings.iter().map(setting).collect::<Vec<_>>(),
        "new_conflicts": plan.new_conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "solved_conflicts": plan.solved_conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "resolved": plan.resolved,
        "warnings": plan.warnings,
    })
}

fn setting(setting: &PlannedSetting) -> Value {
    let withheld = setting.withheld().as_str_name();
    let withheld = withheld.strip_prefix("WITHHELD_REASON_").unwrap_or(withheld).to_lowercase();
    json!({
        "id": setting.id,
        "before": view::setting_value(setting.before.as_ref()),
        "after": view::setting_value(setting.after.as_ref()),
        "devices": setting.devices,
        "policies": setting.policies,
        "withheld": if withheld == "unspecified" { Value::Null } else { json!(withheld) },
    })
}

fn conflict(conflict: &PlannedConflict) -> Value {
    let candidates = conflict.candidates.iter().map(|candidate| {
        json!({
            "value": view::setting_value(candidate.value.as_ref()),
            "policy": candidate.source.as_ref().map(|source| &source.policy),
        })
    });
    json!({
        "id": conflict.id,
        "devices": conflict.devices,
        "candidates": candidates.collect::<Vec<_>>(),
    })
}

/// A plan for people: removals first, as the server sorts them.
fn text(plan: &Plan) -> String {
    let mut parts = vec![format!(
        "{} devices would be set to something else; of {} it is not known whether they are in a group",
        plan.devices_touched, plan.devices_unknown
    )];
    if plan.devices_tamper_guarded > 0 {
        let devices = plan.devices_tamper_guarded;
        parts.push(format!("{devices} of them have tamper protection on for a setting that changes"));
    }
    if !plan.settings.is_empty() {
        let rows = plan.settings.iter().map(setting).map(|item| {
            let after = match (&item["after"], item["withheld"].as_str()) {
                (Value::Null, Some(reason)) => format!("- ({reason})"),
                (after, _) => change::shown(after),
            };
            let id = item["id"].as_str().unwrap_or_default().to_owned();
            vec![id, change::shown(&item["before"]), after, item["devices"].to_string()]
        });
        parts.push(output::table(&["setting", "before", "after", "devices"], rows));
    }
    for (word, conflicts) in [("new", &plan.new_conflicts), ("solved", &plan.solved_conflicts)] {
        if !conflicts.is_empty() {
            let rows = conflicts.iter().map(|it| {
                let values =
                    it.candidates.iter().map(|it| change::shown(&view::setting_value(it.value.as_ref())));
                vec![it.id.clone(), values.collect::<Vec<_>>().join(" / "), it.devices.to_string()]
            });
            let heading = format!("{word} conflict");
            parts.push(output::table(&[heading.as_str(), "values", "devices"], rows));
        }
    }
    parts.extend(plan.warnings.iter().map(|warning| format!("warning: {warning}")));
    parts.push(format!("digest {}", view::hex(&plan.digest)));
    parts.join("\n")
}

fn scope_text(change: &UpdateEnforcementScopeResponse) -> String {
    format!(
        "enforcement scope: {} devices gained, {} lost, {} with another enrollment code",
        change.devices_gained, change.devices_lost, change.devices_recoded
    )
}
