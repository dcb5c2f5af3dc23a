//! Why a device is in a group or out of it.

use muster_errors::Fault;
use muster_eventlog::as_of::{InvalidMoment, Moment};
use muster_proto::identity::v1::{
    ExplainMembershipRequest, ExplainedFact, ExplainedPart, MembershipExplanation, MembershipStep,
    RuleVerdict,
};
use serde_json::{Value, json};

use crate::connect::Api;
use crate::flags::Read;
use crate::output::{self, Format};
use crate::view;

/// A group and a device.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The group's id or name
    group: String,
    /// The device, by id or host name
    #[arg(required_unless_present = "named")]
    device: Option<String>,
    /// The same, as an option
    #[arg(long = "device", value_name = "DEVICE", conflicts_with = "device")]
    named: Option<String>,
    /// A past moment: a time such as 2026-03-01T12:00:00Z, or a position such as identity:7
    #[arg(long, value_name = "TIME|POSITION", value_parser = moment)]
    as_of: Option<Moment>,
    /// How to call
    #[command(flatten)]
    read: Read,
}

fn moment(text: &str) -> Result<Moment, InvalidMoment> {
    text.parse()
}

/// Says why a device is in a group or out of it.
///
/// # Errors
/// The call's fault.
pub(super) async fn run(explain: Explain) -> Result<(), Fault> {
    let Explain { group, device, named, as_of, read } = explain;
    let api = Api::connect(&read.target)?;
    let request = ExplainMembershipRequest {
        group: api.group(&group).await?,
        device: api.device(&device.or(named).unwrap_or_default()).await?,
        as_of: as_of.map(Into::into),
    };
    let device = request.device.clone();
    let explanation = explained(&device, &api.call(api.groups().explain_membership(request)).await?);
    match read.output.format {
        Format::Json => output::print_json(&explanation),
        Format::Yaml => output::print_yaml(&explanation),
        Format::Name => output::print_text(if explanation["member"] == true { "in" } else { "out" }),
        Format::Table => print(&explanation),
    }
}

/// What programs read.
fn explained(device: &str, explanation: &MembershipExplanation) -> Value {
    let MembershipExplanation {
        group,
        display_name,
        member,
        changed,
        rule,
        defined,
        verdict: _,
        parts,
        facts,
        position,
    } = explanation;
    let dynamic = !rule.is_empty();
    json!({
        "group": group,
        "display_name": display_name,
        "device": device,
        "id": view::id(device),
        "member": member,
        "changed": changed.as_ref().map(step),
        "rule": dynamic.then_some(rule),
        "defined": defined.as_ref().map(step),
        "result": dynamic.then(|| truth(explanation.verdict())).flatten(),
        "verdict": dynamic.then(|| word(explanation.verdict())),
        "explain": parts.iter().map(|it| part(it, facts)).collect::<Vec<_>>(),
        "facts": facts.iter().map(fact).collect::<Vec<_>>(),
        "position": position,
    })
}

fn step(step: &MembershipStep) -> Value {
    let MembershipStep { position, time, actor } = step;
    json!({"position": format!("identity:{position}"), "time": view::moment(*time), "actor": actor})
}

fn part(part: &ExplainedPart, facts: &[ExplainedFact]) -> Value {
    let ExplainedPart { text, verdict: _, depth, property } = part;
    let has = facts.iter().find(|fact| !property.is_empty() && fact.property == *property);
    json!({
        "expression": text,
        "depth": depth,
        "result": truth(part.verdict()),
        "verdict": word(part.verdict()),
        "property": (!property.is_empty()).then_some(property),
        "device_has": has.filter(|fact| !fact.value.is_empty()).map(|fact| &fact.value),
    })
}

fn fact(fact: &ExplainedFact) -> Value {
    let ExplainedFact { property, value, unknown, service, position, time } = fact;
    json!({
        "property": property,
        "value": (!value.is_empty()).then_some(value),
        "unknown": unknown,
        "position": (!service.is_empty()).then(|| format!("{service}:{position}")),
        "time": view::moment(*time),
    })
}

fn truth(verdict: RuleVerdict) -> Option<bool> {
    match verdict {
        RuleVerdict::In => Some(true),
        RuleVerdict::Out => Some(false),
        RuleVerdict::Unknown | RuleVerdict::Unspecified => None,
    }
}

fn word(verdict: RuleVerdict) -> &'static str {
    match verdict {
        RuleVerdict::In => "in",
        RuleVerdict::Out => "out",
        RuleVerdict::Unknown => "unknown",
        RuleVerdict::Unspecified => "",
    }
}

fn print(explanation: &Value) -> Result<(), Fault> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let by = |step: &Value| {
        let at = output::cell(step, "/time");
        format!("{} by {} ({at})", text(&step["position"]), text(&step["actor"]))
    };
    let is = if explanation["member"] == true { "in" } else { "out" };
    let mut rows = vec![
        vec!["group".to_owned(), text(&explanation["display_name"])],
        vec!["device".to_owned(), text(&explanation["id"])],
        vec!["it is".to_owned(), is.to_owned()],
    ];
    if !explanation["changed"].is_null() {
        rows.push(vec!["since".to_owned(), by(&explanation["changed"])]);
    }
    let (of_rule, written) = if explanation["rule"].is_null() {
        ("its devices are named by hand", "defined")
    } else {
        (explanation["rule"].as_str().unwrap_or_default(), "written")
    };
    rows.push(vec!["rule".to_owned(), of_rule.to_owned()]);
    rows.push(vec![written.to_owned(), by(&explanation["defined"])]);
    rows.push(vec!["as of".to_owned(), text(&explanation["position"])]);
    output::print_text(&output::table(&[], rows))?;
    if explanation["rule"].is_null() {
        return Ok(());
    }
    let said = explanation["explain"].as_array().into_iter().flatten().map(|part| {
        let depth = part["depth"].as_u64().and_then(|depth| usize::try_from(depth).ok()).unwrap_or(0);
        vec![mark(&part["verdict"]), format!("{}{}", "  ".repeat(depth), text(&part["expression"]))]
    });
    output::print_text(&format!("\n{}", output::table(&["says", "part of the rule"], said)))?;
    let facts = explanation["facts"].as_array().into_iter().flatten().map(|fact| {
        let value =
            if fact["unknown"] == true { "not collected".to_owned() } else { output::cell(fact, "/value") };
        vec![text(&fact["property"]), value, output::cell(fact, "/position"), output::cell(fact, "/time")]
    });
    let facts: Vec<_> = facts.collect();
    if facts.is_empty() {
        return Ok(());
    }
    output::print_text(&format!("\n{}", output::table(&["fact", "value", "from", "time"], facts)))
}

fn mark(verdict: &Value) -> String {
    match verdict.as_str() {
        Some("in") => "✓ in".to_owned(),
        Some("out") => "✗ out".to_owned(),
        _ => "? unknown".to_owned(),
    }
}
