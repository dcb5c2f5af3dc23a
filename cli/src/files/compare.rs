//! A set of files against what the server has.

use std::collections::{BTreeMap, BTreeSet};

use muster_errors::{ErrorCode, Fault};
use muster_identity::commands::group_id;
use muster_policy::commands::{policy_id, waiver_id};
use muster_proto::convert;
use muster_proto::identity::v1::{Group, GroupKind};
use muster_proto::policy::v1::change::Kind as WishKind;
use muster_proto::policy::v1::{
    AssignPolicyRequest, Assignment, AssignmentIntent, CreatePolicyRequest, CreateWaiverRequest,
    DeletePolicyRequest, Policy, RevokeWaiverRequest, UnassignPolicyRequest, UpdatePolicyRequest, Waiver,
    waiver,
};
use muster_types::{RequestId, ResourceName, TenantId, Timestamp, id};
use serde_json::{Map, Value};

use super::assignment::AssignmentSpec;
use super::change::{Action, ObjectChange, Step, fields};
use super::enforcement_scope::ScopeSpec;
use super::group::{GroupSpec, Named};
use super::live::{self, Live};
use super::policy::PolicySpec;
use super::set::{Kind, Object, Set, Spec, waiver_title};
use super::waiver::{Target, WaiverSpec};
use super::write;

/// Ids tried for an object of a name that was used before.
pub const LIVES_MAX: u32 = 1_000;

/// The request by which files make an object: the same for the same name, so that a plan and what is applied after it
/// speak of the same ids. An object that was deleted and comes back is another `life`.
#[must_use]
pub fn request(tenant: TenantId, kind: Kind, name: &str, life: u32) -> RequestId {
    let parts: [&[u8]; 4] =
        [tenant.as_str().as_bytes(), kind.as_str().as_bytes(), name.as_bytes(), &life.to_be_bytes()];
    RequestId::from_uuid(id::derive("files", &parts))
}

/// What to compare.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The files.
    pub set: &'a Set,
    /// The server.
    pub live: &'a Live,
    /// The requests that define the groups that do not exist yet, by name.
    pub new_groups: &'a BTreeMap<String, RequestId>,
    /// The moment.
    pub now: Timestamp,
}

impl<'a> Comparison<'a> {
    /// What applying the files changes. With `prune`, what the server has of the kinds in the files and the files have not,
    /// goes.
    ///
    /// # Errors
    /// `POLICY_UNKNOWN` or `GROUP_UNKNOWN` for a reference to nothing; `GROUP_KIND_MISMATCH` or `FILE_INVALID` for what an
    /// object cannot become.
    pub fn changes(&self, prune: bool) -> Result<Vec<ObjectChange>, Fault> {
        let mut changes = Vec::new();
        for object in &self.set.objects {
            let change = match &object.spec {
                Spec::Group(spec) => self.group(object, spec)?,
                Spec::Policy(spec) => self.policy(object, spec)?,
                Spec::Assignment(spec) => self.assignment(object, spec)?,
                Spec::Waiver(spec) => self.waiver(object, spec)?,
                Spec::EnforcementScope(spec) => self.scope(spec),
            };
            changes.extend(change);
        }
        if prune {
            changes.extend(self.pruned()?);
        }
        changes.sort_by_key(|change| (change.action, change.kind));
        Ok(changes)
    }

    /// What deleting the objects in the files changes. The enforcement scope cannot be deleted.
    ///
    /// # Errors
    /// None of its own; as [`Self::changes`].
    pub fn deletions(&self) -> Result<Vec<ObjectChange>, Fault> {
        let mut gone = Gone::default();
        for object in &self.set.objects {
            match &object.spec {
                Spec::Group(_) => gone.groups.extend(self.live.groups.get(&object.name)),
                Spec::Policy(_) => gone.policies.extend(self.live.policies.get(&object.name)),
                Spec::Assignment(spec) => gone.assignments.extend(self.live_assignment(spec)),
                Spec::Waiver(spec) => gone.waivers.extend(self.live_waiver(spec)),
                Spec::EnforcementScope(_) => {}
            }
        }
        Ok(self.gone(gone))
    }

    fn policy_name(&self, named: &Named) -> Result<String, Fault> {
        if let Some(policy) = self.live.policies.get(&named.name) {
            return Ok(policy.name.clone());
        }
        let wanted = |object: &&Object| object.kind() == Kind::Policy && object.name == named.name;
        if self.set.objects.iter().find(wanted).is_some() {
            return Ok(self.new_policy(&named.name).1);
        }
        let by_id = self.live.policies.values().find(|policy| is(&policy.name, &named.name));
        by_id.map(|policy| policy.name.clone()).ok_or_else(|| live::unknown(Kind::Policy, named))
    }

    fn group_name(&self, named: &Named) -> Result<String, Fault> {
        if let Some(group) = self.live.groups.get(&named.name) {
            return Ok(group.name.clone());
        }
        if let Some(request) = self.new_groups.get(&named.name) {
            return Ok(ResourceName::Group(self.tenant, group_id(self.tenant, *request)).to_string());
        }
        let by_id = self.live.groups.values().find(|group| is(&group.name, &named.name));
        by_id.map(|group| group.name.clone()).ok_or_else(|| live::unknown(Kind::Group, named))
    }

    /// The request and the resource name of a policy that is to be made.
    fn new_policy(&self, title: &str) -> (RequestId, String) {
        let lives = (0..LIVES_MAX).map(|life| {
            let request = request(self.tenant, Kind::Policy, title, life);
            (request, ResourceName::Policy(self.tenant, policy_id(self.tenant, request)).to_string())
        });
        let mut last = None;
        for (request, name) in lives {
            let used = self.live.policies_ever.contains(&name);
            last = Some((request, name));
            if !used {
                break;
            }
        }
        last.unwrap_or_else(|| (RequestId::generate(), String::new()))
    }

    fn group(&self, object: &Object, spec: &GroupSpec) -> Result<Option<ObjectChange>, Fault> {
        let after = self.group_fields(spec);
        let Some(live) = self.live.groups.get(&object.name) else {
            let Some(request) = self.new_groups.get(&object.name) else { return Ok(None) };
            let (rule, devices) = match spec {
                GroupSpec::Rule(rule) => (Some(rule.clone()), Vec::new()),
                GroupSpec::Static(named) => (None, self.devices(named).into_iter().collect()),
            };
            let name = ResourceName::Group(self.tenant, group_id(self.tenant, *request)).to_string();
            let display_name = object.name.clone();
            let step = Step::CreateGroup { request_id: request.to_string(), display_name, rule, devices };
            return Ok(Some(change(Action::Create, object, name, (&Map::new(), &after), vec![step])));
        };
        let before = group_fields(live, self.live);
        let etag = live.etag.clone();
        let step = match (spec, live.kind()) {
            (GroupSpec::Rule(rule), GroupKind::Dynamic) => {
                (live.rule.trim() != rule).then(|| Step::ChangeRule { rule: rule.clone(), etag })
            }
            (GroupSpec::Static(named), GroupKind::Static) => {
                let (has, wanted) = (self.live.members.get(&live.name), self.devices(named));
                let none = BTreeSet::new();
                let has = has.unwrap_or(&none);
                let add: Vec<_> = wanted.difference(has).cloned().collect();
                let remove: Vec<_> = has.difference(&wanted).cloned().collect();
                let same = add.is_empty() && remove.is_empty();
                (!same).then_some(Step::ModifyMembers { add, remove, etag })
            }
            (GroupSpec::Rule(_) | GroupSpec::Static(_), _) => {
                let message = format!(
                    "{}: group {:?} is {} on the server; a group stays what it is: give this one another name, or \
                     delete that one first",
                    object.place,
                    object.name,
                    if live.kind() == GroupKind::Dynamic { "dynamic" } else { "static" },
                );
                return Err(Fault::new(ErrorCode::GroupKindMismatch, message));
            }
        };
        let name = live.name.clone();
        Ok(step.map(|step| change(Action::Update, object, name, (&before, &after), vec![step])))
    }

    fn devices(&self, named: &[Named]) -> BTreeSet<String> {
        named.iter().filter_map(|device| self.live.devices.get(&device.name).cloned()).collect()
    }

    fn group_fields(&self, spec: &GroupSpec) -> Map<String, Value> {
        match spec {
            GroupSpec::Rule(_) => write::fields(&Spec::Group(spec.clone())),
            GroupSpec::Static(named) => static_fields(&self.devices(named)),
        }
    }

    fn policy(&self, object: &Object, spec: &PolicySpec) -> Result<Option<ObjectChange>, Fault> {
        let after = write::fields(&Spec::Policy(spec.clone()));
        let wanted = spec.policy(&object.name);
        let Some(live) = self.live.policies.get(&object.name) else {
            let (request, name) = self.new_policy(&object.name);
            let create = CreatePolicyRequest {
                policy: Some(wanted),
                request_id: request.to_string(),
                ..Default::default()
            };
            let step = wish(WishKind::CreatePolicy(create));
            return Ok(Some(change(Action::Create, object, name, (&Map::new(), &after), vec![step])));
        };
        let has = PolicySpec::of(live);
        if has == *spec {
            return Ok(None);
        }
        if has.profile != spec.profile {
            let message = format!(
                "{}: policy {:?} has profile {} on the server; a policy keeps its profile: give this one another name, \
                 or delete that one first",
                object.place, object.name, has.profile,
            );
            return Err(Fault::new(ErrorCode::FileInvalid, message));
        }
        let before = write::fields(&Spec::Policy(has));
        let policy = Policy { name: live.name.clone(), etag: live.etag.clone(), ..wanted };
        let update = UpdatePolicyRequest { policy: Some(policy), ..Default::default() };
        let steps = vec![wish(WishKind::UpdatePolicy(update))];
        Ok(Some(change(Action::Update, object, live.name.clone(), (&before, &after), steps)))
    }

    fn live_assignment(&self, spec: &AssignmentSpec) -> Option<&'a Assignment> {
        let (policy, group) = (self.policy_name(&spec.policy).ok()?, self.group_name(&spec.group).ok()?);
        let of = |it: &&Assignment| it.group == group && policy_of(&it.name) == policy;
        self.live.assignments.iter().find(of)
    }

    fn assignment(&self, object: &Object, spec: &AssignmentSpec) -> Result<Option<ObjectChange>, Fault> {
        let (policy, group) = (self.policy_name(&spec.policy)?, self.group_name(&spec.group)?);
        let after = write::fields(&Spec::Assignment(spec.clone()));
        let live = self.live_assignment(spec);
        let before = live.map(|live| write::fields(&Spec::Assignment(assignment_spec(live, spec))));
        if before.as_ref() == Some(&after) {
            return Ok(None);
        }
        let action = if live.is_some() { Action::Update } else { Action::Create };
        let name = format!("{policy}/assignments/{}", group.rsplit('/').next().unwrap_or_default());
        let assign = AssignPolicyRequest {
            policy,
            group,
            intent: spec.intent.into(),
            priority: spec.priority,
            filter: spec.filter.clone(),
            ..Default::default()
        };
        let steps = vec![wish(WishKind::AssignPolicy(assign))];
        Ok(Some(change(action, object, name, (&before.unwrap_or_default(), &after), steps)))
    }

    fn live_waiver(&self, spec: &WaiverSpec) -> Option<&'a Waiver> {
        let (policy, target) = self.waiver_of(spec).ok()?;
        let setting = spec.setting.as_ref().map(ToString::to_string).unwrap_or_default();
        self.live.active_waivers().find(|live| {
            live.policy == policy && live.setting == setting && live.target.as_ref() == Some(&target)
        })
    }

    fn waiver_of(&self, spec: &WaiverSpec) -> Result<(String, waiver::Target), Fault> {
        let policy = spec.policy.as_ref().map(|policy| self.policy_name(policy)).transpose()?;
        let target = match &spec.target {
            Target::Group(group) => waiver::Target::Group(self.group_name(group)?),
            Target::Device(device) => {
                waiver::Target::Device(self.live.devices.get(&device.name).cloned().unwrap_or_default())
            }
        };
        Ok((policy.unwrap_or_default(), target))
    }

    fn waiver(&self, object: &Object, spec: &WaiverSpec) -> Result<Option<ObjectChange>, Fault> {
        let (policy, target) = self.waiver_of(spec)?;
        if spec.expires <= self.now {
            return Ok(None);
        }
        let wanted = Waiver {
            policy,
            setting: spec.setting.as_ref().map(ToString::to_string).unwrap_or_default(),
            target: Some(target),
            reason: spec.reason.clone(),
            approver: spec.approver.clone(),
            expire_time: Some(convert::timestamp(spec.expires)),
            ..Waiver::default()
        };
        let after = write::fields(&Spec::Waiver(spec.clone()));
        let live = self.live_waiver(spec);
        let same = |live: &Waiver| {
            (&live.reason, &live.approver, live.expire_time)
                == (&wanted.reason, &wanted.approver, wanted.expire_time)
        };
        if live.is_some_and(same) {
            return Ok(None);
        }
        let before = live.map(|live| {
            let mut before = after.clone();
            before.insert("reason".to_owned(), live.reason.clone().into());
            before.insert("approver".to_owned(), live.approver.clone().into());
            let expires = live.expire_time.map_or(Value::Null, |it| convert::moment(it).to_string().into());
            before.insert("expires".to_owned(), expires);
            before
        });
        let (request, name) = self.new_waiver(&wanted);
        let create = CreateWaiverRequest {
            waiver: Some(wanted),
            request_id: request.to_string(),
            ..Default::default()
        };
        // A waiver never changes: another takes its place.
        let mut steps: Vec<_> = live.map(revoke).into_iter().collect();
        steps.push(wish(WishKind::CreateWaiver(create)));
        let action = if live.is_some() { Action::Update } else { Action::Create };
        Ok(Some(change(action, object, name, (&before.unwrap_or_default(), &after), steps)))
    }

    /// The request and the resource name of a waiver that is to be granted.
    fn new_waiver(&self, wanted: &Waiver) -> (RequestId, String) {
        let Waiver { policy, setting, target, reason, approver, expire_time, .. } = wanted;
        let text = format!("{policy}\n{setting}\n{target:?}\n{reason}\n{approver}\n{expire_time:?}");
        let used: BTreeSet<&str> = self.live.waivers.iter().map(|waiver| waiver.name.as_str()).collect();
        let mut life = 0;
        loop {
            let request = request(self.tenant, Kind::Waiver, &text, life);
            let id = waiver_id(self.tenant, request);
            let name = format!("tenants/{}/waivers/{id}", self.tenant);
            life += 1;
            if !used.contains(name.as_str()) || life > LIVES_MAX {
                return (request, name);
            }
        }
    }

    fn scope(&self, spec: &ScopeSpec) -> Option<ObjectChange> {
        let live = &self.live.scope;
        let as_fields = |spec: ScopeSpec| write::fields(&Spec::EnforcementScope(Box::new(spec)));
        let (before, after) = (as_fields(ScopeSpec::of(live)), as_fields(spec.clone()));
        let fields = fields(&before, &after, true);
        let step = Step::Scope { scope: Box::new(spec.change(live)), etag: live.etag.clone() };
        (!fields.is_empty()).then(|| ObjectChange {
            action: Action::Update,
            kind: Kind::EnforcementScope,
            title: "tenant".to_owned(),
            name: live.name.clone(),
            fields,
            steps: vec![step],
        })
    }

    /// What the server has of the kinds in the files, and the files have not.
    fn pruned(&self) -> Result<Vec<ObjectChange>, Fault> {
        let kinds = self.set.kinds();
        let named = |kind: Kind, name: &str| {
            self.set.objects.iter().any(|object| object.kind() == kind && object.name == name)
        };
        let mut gone = Gone::default();
        if kinds.contains(&Kind::Group) {
            gone.groups.extend(self.live.groups.values().filter(|it| !named(Kind::Group, &it.display_name)));
        }
        if kinds.contains(&Kind::Policy) {
            let policies = self.live.policies.values();
            gone.policies.extend(policies.filter(|it| !named(Kind::Policy, &it.display_name)));
        }
        if kinds.contains(&Kind::Assignment) {
            let kept = self.set.objects.iter().filter_map(|object| match &object.spec {
                Spec::Assignment(spec) => self.live_assignment(spec).map(|live| live.name.as_str()),
                Spec::Policy(_) | Spec::Group(_) | Spec::EnforcementScope(_) | Spec::Waiver(_) => None,
            });
            let kept: BTreeSet<&str> = kept.collect();
            let assignments = self.live.assignments.iter();
            gone.assignments.extend(assignments.filter(|it| !kept.contains(it.name.as_str())));
        }
        if kinds.contains(&Kind::Waiver) {
            let kept = self.set.objects.iter().filter_map(|object| match &object.spec {
                Spec::Waiver(spec) => self.live_waiver(spec).map(|live| live.name.as_str()),
                Spec::Policy(_) | Spec::Group(_) | Spec::EnforcementScope(_) | Spec::Assignment(_) => None,
            });
            let kept: BTreeSet<&str> = kept.collect();
            gone.waivers.extend(self.live.active_waivers().filter(|it| !kept.contains(it.name.as_str())));
        }
        self.refuse_assigning_to(&gone)?;
        Ok(self.gone(gone))
    }

    /// An assignment in the files may name what is on the server only; pruning that as well is a contradiction.
    fn refuse_assigning_to(&self, gone: &Gone<'_>) -> Result<(), Fault> {
        for object in &self.set.objects {
            let Spec::Assignment(spec) = &object.spec else { continue };
            let (policy, group) = (self.policy_name(&spec.policy)?, self.group_name(&spec.group)?);
            if gone.policies.iter().any(|it| it.name == policy) {
                return Err(contradiction(&spec.policy));
            }
            if gone.groups.iter().any(|it| it.name == group) {
                return Err(contradiction(&spec.group));
            }
        }
        Ok(())
    }

    fn gone(&self, mut gone: Gone<'a>) -> Vec<ObjectChange> {
        // What is tied to a group that goes would be left tied to nothing.
        let tied = |it: &&Assignment| {
            gone.groups.iter().any(|group| group.name == it.group)
                && !gone.assignments.iter().any(|already| already.name == it.name)
        };
        let tied: Vec<_> = self.live.assignments.iter().filter(tied).collect();
        gone.assignments.extend(tied);
        // An exemption of nobody would be left too.
        let tied = |it: &&Waiver| {
            let of_group = |group: &&Group| it.target == Some(waiver::Target::Group(group.name.clone()));
            gone.groups.iter().any(of_group) && !gone.waivers.iter().any(|already| already.name == it.name)
        };
        let tied: Vec<_> = self.live.active_waivers().filter(tied).collect();
        gone.waivers.extend(tied);
        // A policy takes its assignments with it, and brings them back when it comes back.
        let kept = |it: &&Assignment| gone.policies.iter().all(|policy| policy.name != policy_of(&it.name));
        gone.assignments.retain(kept);
        let groups = gone.groups.iter().map(|group| {
            let step = Step::DeleteGroup { etag: group.etag.clone() };
            deletion(Kind::Group, &group.display_name, &group.name, step)
        });
        let policies = gone.policies.iter().map(|policy| {
            let delete = DeletePolicyRequest {
                name: policy.name.clone(),
                etag: policy.etag.clone(),
                ..Default::default()
            };
            let step = wish(WishKind::DeletePolicy(delete));
            deletion(Kind::Policy, &policy.display_name, &policy.name, step)
        });
        let assignments = gone.assignments.iter().map(|assignment| {
            let policy = policy_of(&assignment.name);
            let unassign = UnassignPolicyRequest {
                policy: policy.to_owned(),
                group: assignment.group.clone(),
                ..Default::default()
            };
            let step = wish(WishKind::UnassignPolicy(unassign));
            deletion(Kind::Assignment, &assignment_title(assignment, self.live), &assignment.name, step)
        });
        let waivers = gone.waivers.iter().map(|waiver| {
            deletion(Kind::Waiver, &live_waiver_title(waiver, self.live), &waiver.name, revoke(waiver))
        });
        groups.chain(policies).chain(assignments).chain(waivers).collect()
    }
}

/// What goes.
#[derive(Default)]
struct Gone<'a> {
    groups: Vec<&'a Group>,
    policies: Vec<&'a Policy>,
    assignments: Vec<&'a Assignment>,
    waivers: Vec<&'a Waiver>,
}

fn contradiction(named: &Named) -> Fault {
    let message =
        format!("{:?} is assigned in the files, and would be pruned since they do not have it", named.name);
    live::at(named, Fault::new(ErrorCode::FileInvalid, message))
}

fn change(
    action: Action,
    object: &Object,
    name: String,
    (before, after): (&Map<String, Value>, &Map<String, Value>),
    steps: Vec<Step>,
) -> ObjectChange {
    let fields = fields(before, after, false);
    ObjectChange { action, kind: object.kind(), title: object.title(), name, fields, steps }
}

fn deletion(kind: Kind, title: &str, name: &str, step: Step) -> ObjectChange {
    ObjectChange {
        action: Action::Delete,
        kind,
        title: title.to_owned(),
        name: name.to_owned(),
        fields: Vec::new(),
        steps: vec![step],
    }
}

fn wish(kind: WishKind) -> Step {
    Step::Wish(Box::new(kind))
}

fn revoke(waiver: &Waiver) -> Step {
    wish(WishKind::RevokeWaiver(RevokeWaiverRequest { name: waiver.name.clone(), ..Default::default() }))
}

/// Whether a resource name is what is named, or ends with its id.
fn is(name: &str, named: &str) -> bool {
    name == named || name.rsplit('/').next() == Some(named)
}

/// The policy of an assignment's resource name.
#[must_use]
pub fn policy_of(assignment: &str) -> &str {
    assignment.rsplit_once("/assignments/").map_or(assignment, |(policy, _)| policy)
}

/// The server's assignment in the words of the files.
fn assignment_spec(live: &Assignment, named: &AssignmentSpec) -> AssignmentSpec {
    let intent = match live.intent() {
        AssignmentIntent::Exclude => AssignmentIntent::Exclude,
        AssignmentIntent::Unspecified | AssignmentIntent::Include => AssignmentIntent::Include,
    };
    AssignmentSpec { intent, priority: live.priority, filter: live.filter.clone(), ..named.clone() }
}

fn static_fields(devices: &BTreeSet<String>) -> Map<String, Value> {
    let ids: Vec<Value> =
        devices.iter().filter_map(|name| name.rsplit('/').next()).map(Value::from).collect();
    Map::from_iter([("static".to_owned(), Value::from(Map::from_iter([("devices".to_owned(), ids.into())])))])
}

fn group_fields(group: &Group, live: &Live) -> Map<String, Value> {
    if group.kind() == GroupKind::Dynamic {
        return write::fields(&Spec::Group(GroupSpec::Rule(group.rule.clone())));
    }
    live.members.get(&group.name).map(static_fields).unwrap_or_default()
}

/// What tells an assignment from others, for people.
#[must_use]
pub fn assignment_title(assignment: &Assignment, live: &Live) -> String {
    let policy = policy_of(&assignment.name);
    let policy = live.policy_title(policy).unwrap_or(policy);
    format!("{policy} → {}", live.group_title(&assignment.group).unwrap_or(&assignment.group))
}

fn live_waiver_title(waiver: &Waiver, live: &Live) -> String {
    let policy = live.policy_title(&waiver.policy).unwrap_or(&waiver.policy);
    let target = match &waiver.target {
        Some(waiver::Target::Group(group)) => live.group_title(group).unwrap_or(group),
        Some(waiver::Target::Device(device)) => device.rsplit('/').next().unwrap_or(device),
        None => "",
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    waiver_title(some(policy).as_deref(), some(&waiver.setting).as_deref(), target)
}
