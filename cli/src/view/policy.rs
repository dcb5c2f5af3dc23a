//! What policy keeps of its policies: revisions, collisions, waivers.

use std::collections::BTreeMap;

use muster_proto::policy::v1 as pb;
use serde_json::{Value, json};

use super::{id, setting_value, time, word};

/// Characters of a revision's id that tables show: enough to name it.
const REVISION_ID_SHOWN: usize = 12;

/// Columns of a policy shown alone.
pub const DETAIL: &[(&str, &str)] = &[
    ("policy", "/id"),
    ("name", "/display_name"),
    ("profile", "/profile"),
    ("revision", "/revision"),
    ("revision id", "/revision_id"),
    ("created", "/create_time"),
    ("updated", "/update_time"),
    ("by", "/actor"),
    ("why", "/reason"),
    ("deleted", "/delete_time"),
    ("etag", "/etag"),
    ("settings", "/settings"),
];

/// Columns of policies of which some are deleted.
pub const WITH_DELETED: &[(&str, &str)] = &[
    ("policy", "/id"),
    ("name", "/display_name"),
    ("profile", "/profile"),
    ("revision", "/revision"),
    ("deleted", "/delete_time"),
];

/// Columns of a revision.
pub const REVISION: &[(&str, &str)] = &[
    ("revision", "/revision"),
    ("id", "/short_id"),
    ("time", "/create_time"),
    ("by", "/actor"),
    ("settings", "/setting_count"),
    ("why", "/why"),
];

/// A revision of a policy.
#[must_use]
pub fn revision(revision: &pb::PolicyRevision) -> Value {
    let back = revision.rolled_back_to;
    let why = match (back, revision.reason.as_str()) {
        (0, reason) => reason.to_owned(),
        (back, "") => format!("back to {back}"),
        (back, reason) => format!("back to {back}: {reason}"),
    };
    json!({
        "revision": revision.revision,
        "revision_id": revision.revision_id,
        "short_id": revision.revision_id.chars().take(REVISION_ID_SHOWN).collect::<String>(),
        "display_name": revision.display_name,
        "on_unassign": word(revision.on_unassign().as_str_name(), "ON_UNASSIGN_"),
        "setting_count": revision.settings.len(),
        "settings": revision.settings.iter()
            .map(|setting| (setting.id.clone(), setting_value(setting.value.as_ref())))
            .collect::<serde_json::Map<_, _>>(),
        "actor": revision.actor,
        "reason": revision.reason,
        "why": why,
        "create_time": time(revision.create_time),
        "rolled_back_to": if back == 0 { Value::Null } else { json!(back) },
        "position": revision.position,
    })
}

/// Columns of a setting that differs.
pub const DIFF: &[(&str, &str)] = &[("setting", "/id"), ("before", "/before"), ("after", "/after")];

/// What differs between two revisions.
#[must_use]
pub fn diff(diff: &pb::PolicyDiff) -> Value {
    let settings = diff.settings.iter().map(|setting| {
        json!({
            "id": setting.id,
            "before": setting_value(setting.before.as_ref()),
            "after": setting_value(setting.after.as_ref()),
        })
    });
    json!({
        "from": diff.from.as_ref().map(revision),
        "to": diff.to.as_ref().map(revision),
        "settings": settings.collect::<Vec<_>>(),
    })
}

/// Which revisions are compared, and what differs besides settings: for people.
#[must_use]
pub fn diff_notes(diff: &pb::PolicyDiff) -> Vec<String> {
    let (Some(from), Some(to)) = (&diff.from, &diff.to) else { return Vec::new() };
    let mut notes = vec![format!("revision {} to {}", from.revision, to.revision)];
    if from.display_name != to.display_name {
        notes.push(format!("name: {:?} to {:?}", from.display_name, to.display_name));
    }
    if from.on_unassign != to.on_unassign {
        let told = |revision: &pb::PolicyRevision| word(revision.on_unassign().as_str_name(), "ON_UNASSIGN_");
        notes.push(format!("on unassign: {} to {}", told(from), told(to)));
    }
    if diff.settings.is_empty() {
        notes.push("the settings are the same".to_owned());
    }
    notes
}

/// Columns of a collision.
pub const COLLISION: &[(&str, &str)] = &[
    ("policies", "/policies"),
    ("devices", "/devices"),
    ("decided", "/decided"),
    ("settings", "/settings_text"),
];

/// The id of the policy of an assignment, by the assignment's resource name.
#[must_use]
pub fn policy_of(assignment: &str) -> &str {
    assignment.split('/').nth(3).unwrap_or_default()
}

/// Two assignments that want different values, with names for people by id.
#[must_use]
pub fn collision(collision: &pb::Collision, names: &BTreeMap<String, String>) -> Value {
    let name = |assignment: &String| named(policy_of(assignment), names).to_owned();
    json!({
        "assignments": collision.assignments,
        "policies": collision.assignments.iter().map(name).collect::<Vec<_>>().join(" | "),
        "settings": collision.settings,
        "settings_text": collision.settings.join(" "),
        "devices": collision.devices,
        "decided": collision.decided,
    })
}

/// With what a policy collides, in a line.
#[must_use]
pub fn collides(policy: &str, collision: &pb::Collision, names: &BTreeMap<String, String>) -> String {
    let mut others = collision.assignments.iter().map(|assignment| policy_of(assignment));
    let other = others.find(|other| *other != id(policy)).unwrap_or_else(|| id(policy));
    let count = |count: u64, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let settings = match collision.settings.as_slice() {
        [setting] => setting.clone(),
        settings => count(settings.len() as u64, "setting"),
    };
    let devices = count(collision.devices, "device");
    let decided = if collision.decided { "; a priority decides" } else { "" };
    format!("collides with {:?}: {settings} on {devices}{decided}", named(other, names))
}

fn named<'a>(id: &'a str, names: &'a BTreeMap<String, String>) -> &'a str {
    names.get(id).map_or(id, String::as_str)
}

/// Columns of a waiver in a list.
pub const WAIVER: &[(&str, &str)] = &[
    ("waiver", "/id"),
    ("exempt from", "/exempt"),
    ("who", "/who"),
    ("state", "/state"),
    ("until", "/until"),
];

/// Columns of a waiver shown alone.
pub const WAIVER_DETAIL: &[(&str, &str)] = &[
    ("waiver", "/id"),
    ("setting", "/setting"),
    ("policy", "/policy"),
    ("group", "/group"),
    ("device", "/device"),
    ("state", "/state"),
    ("why", "/reason"),
    ("approved by", "/approver"),
    ("granted by", "/actor"),
    ("granted", "/create_time"),
    ("expires", "/expire_time"),
    ("ended", "/end_time"),
];

/// A waiver.
#[must_use]
pub fn waiver(waiver: &pb::Waiver) -> Value {
    use pb::waiver::Target;
    let (group, device) = match &waiver.target {
        Some(Target::Group(group)) => (json!(id(group)), Value::Null),
        Some(Target::Device(device)) => (Value::Null, json!(id(device))),
        None => (Value::Null, Value::Null),
    };
    let who = match &waiver.target {
        Some(Target::Group(group)) => format!("group {}", id(group)),
        Some(Target::Device(device)) => format!("device {}", id(device)),
        None => String::new(),
    };
    let some = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let policy = some(id(&waiver.policy));
    let exempt = if waiver.setting.is_empty() { id(&waiver.policy) } else { &waiver.setting };
    json!({
        "name": waiver.name,
        "id": id(&waiver.name),
        "policy": policy,
        "setting": some(&waiver.setting),
        "exempt": exempt,
        "group": group,
        "device": device,
        "who": who,
        "reason": waiver.reason,
        "approver": waiver.approver,
        "state": word(waiver.state().as_str_name(), "WAIVER_STATE_"),
        "actor": waiver.actor,
        "create_time": time(waiver.create_time),
        "expire_time": time(waiver.expire_time),
        "end_time": time(waiver.end_time),
        "until": time(waiver.end_time.or(waiver.expire_time)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(first: &str, second: &str) -> pb::Collision {
        let assignment = |policy| format!("tenants/default/policies/{policy}/assignments/g");
        pb::Collision {
            assignments: vec![assignment(first), assignment(second)],
            settings: vec!["a/b".into(), "a/c".into(), "a/d".into()],
            devices: 120,
            decided: false,
        }
    }

    #[test]
    fn a_collision_is_told_in_a_line_from_the_side_of_one_policy() {
        let names = BTreeMap::from([("q".to_owned(), "Baseline".to_owned())]);
        let told = collides("tenants/default/policies/p", &between("q", "p"), &names);
        assert_eq!(told, "collides with \"Baseline\": 3 settings on 120 devices");
        let one =
            pb::Collision { settings: vec!["a/b".into()], devices: 1, decided: true, ..between("p", "q") };
        let told = collides("tenants/default/policies/p", &one, &names);
        assert_eq!(told, "collides with \"Baseline\": a/b on 1 device; a priority decides");
        let own = collides("tenants/default/policies/p", &between("p", "p"), &names);
        assert_eq!(own, "collides with \"p\": 3 settings on 120 devices");
    }

    #[test]
    fn a_revision_says_what_it_went_back_to() {
        let back = pb::PolicyRevision { rolled_back_to: 3, reason: "slow".into(), ..Default::default() };
        assert_eq!(revision(&back)["why"], "back to 3: slow");
        assert_eq!(revision(&pb::PolicyRevision::default())["why"], "");
    }
}
