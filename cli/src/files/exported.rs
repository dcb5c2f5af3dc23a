//! What the server has, as documents that apply to nothing.

use muster_proto::convert;
use muster_proto::identity::v1::{Group, GroupKind};
use muster_proto::policy::v1::{Assignment, AssignmentIntent, Waiver, waiver};
use muster_types::SettingId;
use serde_json::Value;

use super::assignment::AssignmentSpec;
use super::compare::{assignment_title, policy_of};
use super::enforcement_scope::ScopeSpec;
use super::group::{GroupSpec, Named};
use super::live::Live;
use super::mistake::Place;
use super::policy::PolicySpec;
use super::set::{Spec, waiver_title};
use super::waiver::{Target, WaiverSpec};
use super::write;

/// An object of the server as a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The folder for its kind.
    pub folder: &'static str,
    /// What tells it from others of its kind.
    pub title: String,
    /// What a file says.
    pub content: Value,
}

/// Everything that the server has: groups, policies, assignments, active waivers, the enforcement scope.
///
/// Devices are named by their ids, since host names need not be unique; groups and policies by their names.
#[must_use]
pub fn documents(live: &Live) -> Vec<Document> {
    let document = |folder: &'static str, title: &str, name: &str, spec: &Spec| Document {
        folder,
        title: title.to_owned(),
        content: write::document(name, spec),
    };
    let groups = live
        .groups
        .values()
        .map(|it| document("groups", &it.display_name, &it.display_name, &Spec::Group(group(it, live))));
    let policies = live.policies.values().map(|it| {
        document("policies", &it.display_name, &it.display_name, &Spec::Policy(PolicySpec::of(it)))
    });
    // One to a group that is gone reaches nobody, and could not be applied.
    let assigned = live.assignments.iter().filter(|it| live.group_title(&it.group).is_some());
    let assignments = assigned.map(|it| {
        let title = assignment_title(it, live);
        document("assignments", &title, "", &Spec::Assignment(assignment(it, live)))
    });
    let waivers = live.active_waivers().filter_map(|it| {
        let spec = waiver_spec(it, live)?;
        let setting = spec.setting.as_ref().map(ToString::to_string);
        let policy = spec.policy.as_ref().map(|policy| policy.name.as_str());
        let title = waiver_title(policy, setting.as_deref(), spec.target.named());
        Some(document("waivers", &title, "", &Spec::Waiver(spec)))
    });
    let scope = Spec::EnforcementScope(Box::new(ScopeSpec::of(&live.scope)));
    let scope = document("scope", "enforcement scope", "", &scope);
    groups.chain(policies).chain(assignments).chain(waivers).chain([scope]).collect()
}

fn named(name: &str) -> Named {
    Named { name: name.to_owned(), place: Place::start(&"server".into()) }
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn group(group: &Group, live: &Live) -> GroupSpec {
    if group.kind() == GroupKind::Dynamic {
        return GroupSpec::Rule(group.rule.clone());
    }
    let devices = live.members.get(&group.name).into_iter().flatten();
    GroupSpec::Static(devices.map(|device| named(last(device))).collect())
}

fn assignment(assignment: &Assignment, live: &Live) -> AssignmentSpec {
    let policy = policy_of(&assignment.name);
    AssignmentSpec {
        policy: named(live.policy_title(policy).unwrap_or(policy)),
        group: named(live.group_title(&assignment.group).unwrap_or(&assignment.group)),
        intent: match assignment.intent() {
            AssignmentIntent::Exclude => AssignmentIntent::Exclude,
            AssignmentIntent::Unspecified | AssignmentIntent::Include => AssignmentIntent::Include,
        },
        priority: assignment.priority,
        filter: assignment.filter.clone(),
    }
}

/// A waiver; none for one of a policy or group that is gone: it exempts nobody, and could not be applied.
fn waiver_spec(waiver: &Waiver, live: &Live) -> Option<WaiverSpec> {
    let target = match waiver.target.as_ref()? {
        waiver::Target::Group(group) => Target::Group(named(live.group_title(group)?)),
        waiver::Target::Device(device) => Target::Device(named(last(device))),
    };
    let of_any = waiver.policy.is_empty();
    Some(WaiverSpec {
        policy: if of_any { None } else { Some(named(live.policy_title(&waiver.policy)?)) },
        setting: waiver.setting.parse::<SettingId>().ok(),
        target,
        reason: waiver.reason.clone(),
        approver: waiver.approver.clone(),
        expires: convert::moment(waiver.expire_time?),
    })
}
