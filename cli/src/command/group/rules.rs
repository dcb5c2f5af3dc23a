//! Rules of dynamic groups, against the live fleet.

use muster_errors::Fault;
use muster_proto::identity::v1::{
    DeviceVerdict, PreviewRuleRequest, PreviewRuleResponse, RulePart, UnknownDevice, UpdateGroupRuleRequest,
};
use serde_json::{Value, json};

use super::verdict;
use crate::connect::{Api, once, request_id};
use crate::flags::{Output, Read, Write};
use crate::output::{self, Data, Format};
use crate::view;

/// A rule in the place of a group's present one.
#[derive(Debug, clap::Args)]
pub struct EditRule {
    /// The group's id or name
    group: String,
    /// The rule from now on
    #[arg(long)]
    rule: String,
    /// Etag the group must still have
    #[arg(long, default_value = "")]
    etag: String,
    /// How to call
    #[command(flatten)]
    write: Write,
}

/// A rule to try.
#[derive(Debug, clap::Args)]
pub struct Preview {
    /// The rule
    #[arg(long)]
    rule: String,
    /// A device, by id or host name: also say why it would be in or out
    #[arg(long)]
    device: Option<String>,
    /// How to call
    #[command(flatten)]
    read: Read,
}

/// Changes the rule of a group.
///
/// # Errors
/// The call's fault.
pub(super) async fn edit(edit: EditRule) -> Result<(), Fault> {
    let EditRule { group, rule, etag, write: Write { dry_run, target, output } } = edit;
    let api = Api::connect(&target)?;
    let request = UpdateGroupRuleRequest {
        name: api.group(&group).await?,
        rule,
        etag,
        request_id: request_id(),
        validate_only: dry_run,
    };
    let group = api.call(api.groups().update_group_rule(once(request))).await?;
    Data::one(view::identity::group(&group), view::identity::GROUP_DETAIL).print(output.format)
}

/// Says whom a rule would let in.
///
/// # Errors
/// The call's fault.
pub(super) async fn preview(preview: Preview) -> Result<(), Fault> {
    let Preview { rule, device, read: Read { target, output: Output { format } } } = preview;
    let api = Api::connect(&target)?;
    let device = match device {
        Some(device) => api.device(&device).await?,
        None => String::new(),
    };
    let request = PreviewRuleRequest { parent: api.parent(), rule, device, ..Default::default() };
    let preview = previewed(&api.call(api.groups().preview_rule(request)).await?);
    match format {
        Format::Json => output::print_json(&preview),
        Format::Yaml => output::print_yaml(&preview),
        Format::Name => {
            let names = texts(&preview["in_devices"]);
            output::print_text(&names.collect::<Vec<_>>().join("\n"))
        }
        Format::Table => {
            output::print_text(&shares(&preview))?;
            if preview["verdict"].is_null() {
                return Ok(());
            }
            output::print_text("\n")?;
            verdict::print(&preview["verdict"], format)
        }
    }
}

/// What programs read.
fn previewed(preview: &PreviewRuleResponse) -> Value {
    let PreviewRuleResponse {
        in_count,
        out_count,
        unknown_count,
        in_devices,
        out_devices,
        unknown_devices,
        verdict,
        position,
        ..
    } = preview;
    let ids = |names: &[String]| names.iter().map(|name| view::id(name).to_owned()).collect::<Vec<_>>();
    json!({
        "in_count": in_count,
        "out_count": out_count,
        "unknown_count": unknown_count,
        "in_devices": ids(in_devices),
        "out_devices": ids(out_devices),
        "unknown_devices": unknown_devices.iter().map(unknown).collect::<Vec<_>>(),
        "verdict": verdict.as_ref().map(explained),
        "position": position,
    })
}

/// A device of which a rule cannot say whether it is in.
pub(super) fn unknown(unknown: &UnknownDevice) -> Value {
    let UnknownDevice { device, missing_properties } = unknown;
    json!({
        "name": device,
        "id": view::id(device),
        "missing_properties": missing_properties,
        "missing": missing_properties.join(" "),
    })
}

fn explained(verdict: &DeviceVerdict) -> Value {
    let DeviceVerdict { device, result, parts } = verdict;
    json!({
        "device": view::id(device),
        "result": result,
        "error": null,
        "explain": parts.iter().map(part).collect::<Vec<_>>(),
    })
}

fn part(part: &RulePart) -> Value {
    let RulePart { expression, depth, offset, length, result, property, values } = part;
    let mut line = json!({
        "expression": expression,
        "result": result,
        "depth": depth,
        "offset": offset,
        "length": length,
    });
    if !property.is_empty() {
        line["property"] = property.as_str().into();
        line["device_has"] = match values.as_slice() {
            [] => Value::Null,
            [one] => one.as_str().into(),
            several => several.into(),
        };
    }
    line
}

fn shares(preview: &Value) -> String {
    let row = |share: &str, count: &str, devices: Vec<&str>| {
        vec![share.to_owned(), preview[count].to_string(), devices.join(" ")]
    };
    let unknown = preview["unknown_devices"].as_array().into_iter().flatten();
    output::table(
        &["would be", "devices", "for example"],
        [
            row("in", "in_count", texts(&preview["in_devices"]).collect()),
            row("out", "out_count", texts(&preview["out_devices"]).collect()),
            row("unknown", "unknown_count", unknown.filter_map(|it| it["id"].as_str()).collect()),
        ],
    )
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
