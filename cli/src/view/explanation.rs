//! Explanations as JSON.

use std::collections::BTreeMap;

use muster_proto::policy::v1 as pb;
use serde_json::{Value, json};

use super::{hex, id, setting_value, time, word};

/// Names for people, by resource name.
pub type Names = BTreeMap<String, String>;

/// Why a device is set to what it is set to.
#[must_use]
pub fn explanation(explanation: &pb::Explanation, names: &Names) -> Value {
    let pb::Explanation {
        device,
        etag,
        position,
        facts,
        settings,
        not_reaching,
        as_of_time,
        resolved,
        delivered,
    } = explanation;
    json!({
        "name": device,
        "id": id(device),
        "etag": hex(etag),
        "position": position,
        "as_of_time": time(*as_of_time),
        "resolved": resolved.as_ref().map(step),
        "delivered": delivered.as_ref().map(step),
        "facts": facts.iter().collect::<BTreeMap<_, _>>(),
        "settings": settings.iter().map(|of| setting(of, names)).collect::<Vec<_>>(),
        "not_reaching": not_reaching.iter().map(|of| policy(of, names)).collect::<Vec<_>>(),
    })
}

fn step(step: &pb::ExplainedStep) -> Value {
    let pb::ExplainedStep { time: at, position } = step;
    json!({"time": time(*at), "position": position})
}

fn setting(explained: &pb::ExplainedSetting, names: &Names) -> Value {
    let pb::ExplainedSetting {
        id,
        value,
        merge_mode,
        winners,
        losers,
        withheld: _,
        summary,
        waivers,
        tamper_guarded,
    } = explained;
    let reason = explained.withheld();
    let withheld =
        (reason != pb::WithheldReason::Unspecified).then(|| word(reason.as_str_name(), "WITHHELD_REASON_"));
    let sources = |of: &[pb::ExplainedSource]| of.iter().map(|of| source(of, names)).collect::<Vec<_>>();
    json!({
        "id": id,
        "value": setting_value(value.as_ref()),
        "merge_mode": merge_mode,
        "winners": sources(winners),
        "losers": sources(losers),
        "withheld": withheld,
        "summary": summary,
        "waivers": waivers,
        "tamper_guarded": tamper_guarded,
    })
}

fn source(source: &pb::ExplainedSource, names: &Names) -> Value {
    let pb::ExplainedSource {
        policy,
        display_name,
        value,
        revision,
        revision_id,
        actor,
        reason,
        change_time,
        position,
        assignments,
    } = source;
    json!({
        "policy": policy,
        "display_name": display_name,
        "value": setting_value(value.as_ref()),
        "revision": revision,
        "revision_id": revision_id,
        "actor": actor,
        "reason": reason,
        "change_time": time(*change_time),
        "position": position,
        "assignments": assignments.iter().map(|of| assignment(of, names)).collect::<Vec<_>>(),
    })
}

fn assignment(assignment: &pb::ExplainedAssignment, names: &Names) -> Value {
    let pb::ExplainedAssignment { group, priority, actor, create_time, position } = assignment;
    json!({
        "group": group,
        "group_name": names.get(group).map_or(id(group), String::as_str),
        "priority": priority,
        "actor": actor,
        "create_time": time(*create_time),
        "position": position,
    })
}

/// The sentence names groups by their ids.
fn policy(explained: &pb::ExplainedPolicy, names: &Names) -> Value {
    let pb::ExplainedPolicy { policy, display_name, why } = explained;
    let why = names.iter().fold(why.clone(), |why, (group, name)| why.replace(id(group), name));
    json!({"policy": policy, "display_name": display_name, "why": why})
}
