//! Changes carried to the server: all are checked before the first is made.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_proto::enroll::v1::{
    EnforcementScope, UpdateEnforcementScopeRequest, UpdateEnforcementScopeResponse,
};
use muster_proto::identity::v1::{
    CreateGroupRequest, DeleteGroupRequest, GetRegistrationRequest, Group, GroupKind,
    ModifyGroupMembersRequest, PreviewRuleRequest, UpdateGroupRuleRequest,
};
use muster_proto::policy::v1::{
    ApplyChangesRequest, ApplyChangesResponse, ListWaiversRequest, Plan, PlanChangesRequest,
    ProposedMembership,
};
use muster_types::{Canonical, RequestId, TenantId};
use prost::Message as _;
use roaring::RoaringBitmap;

use super::change::{Action, ObjectChange, Step, wishes};
use super::compare::{LIVES_MAX, request};
use super::group::Named;
use super::live::{Live, at};
use super::set::{Kind, Set};
use crate::connect::{Api, once, request_id};

/// Most policies, assignments and waivers that change at once: the server makes all of them or none.
pub const CHANGES_MAX: usize = 500;
/// Most devices in one call that changes members.
const MEMBERS_MAX: usize = 10_000;
/// Calls made at once.
const CALLS_MAX: usize = 16;
/// Devices that a plan names of each kind.
const SAMPLE: i32 = 10;

/// The requests that define the groups that do not exist yet. The server checks each, and makes none.
///
/// # Errors
/// What the server refuses, with the place in the files.
pub async fn new_groups(
    api: &Api,
    tenant: TenantId,
    set: &Set,
    live: &Live,
) -> Result<BTreeMap<String, RequestId>, Fault> {
    let mut requests = BTreeMap::new();
    for object in &set.objects {
        let super::set::Spec::Group(spec) = &object.spec else { continue };
        if live.groups.contains_key(&object.name) {
            continue;
        }
        let rule = match spec {
            super::group::GroupSpec::Rule(rule) => Some(rule.as_str()),
            super::group::GroupSpec::Static(_) => None,
        };
        let named = Named { name: object.name.clone(), place: object.place.clone() };
        let free = free_request(api, tenant, &object.name, rule).await.map_err(|fault| at(&named, fault))?;
        requests.insert(object.name.clone(), free);
    }
    Ok(requests)
}

async fn free_request(
    api: &Api,
    tenant: TenantId,
    name: &str,
    rule: Option<&str>,
) -> Result<RequestId, Fault> {
    for life in 0..LIVES_MAX {
        let request = request(tenant, Kind::Group, name, life);
        let checked = create_group(api, &request.to_string(), name, rule, true).await;
        match checked {
            Ok(_) => return Ok(request),
            // A group of that name was made by files before, and deleted.
            Err(fault) if fault.code == ErrorCode::RequestIdReused => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::new(ErrorCode::RequestIdReused, format!("group {name:?} was made and deleted too often")))
}

async fn create_group(
    api: &Api,
    request_id: &str,
    name: &str,
    rule: Option<&str>,
    validate_only: bool,
) -> Result<Group, Fault> {
    let kind = if rule.is_some() { GroupKind::Dynamic } else { GroupKind::Static };
    let request = CreateGroupRequest {
        parent: api.parent(),
        group: Some(Group {
            display_name: name.to_owned(),
            kind: kind.into(),
            rule: rule.unwrap_or_default().to_owned(),
            ..Group::default()
        }),
        request_id: request_id.to_owned(),
        validate_only,
    };
    api.call(api.groups().create_group(once(request))).await
}

/// Groups as they would be.
///
/// # Errors
/// The first call's fault.
pub async fn memberships(
    api: &Api,
    changes: &[ObjectChange],
    live: &Live,
) -> Result<Vec<ProposedMembership>, Fault> {
    let mut memberships = Vec::new();
    for change in changes {
        for step in &change.steps {
            let members = match step {
                Step::CreateGroup { rule: Some(rule), .. } => preview(api, rule, "").await?,
                Step::CreateGroup { rule: None, devices, .. } => ordinals(api, devices.iter()).await?,
                Step::ChangeRule { rule, .. } => preview(api, rule, &change.name).await?,
                Step::ModifyMembers { add, remove, .. } => {
                    let none = BTreeSet::new();
                    let has = live.members.get(&change.name).unwrap_or(&none);
                    let stay = has.iter().filter(|device| !remove.contains(device));
                    ordinals(api, stay.chain(add)).await?
                }
                Step::DeleteGroup { .. } => bytes(&RoaringBitmap::new())?,
                Step::Wish(_) | Step::Scope { .. } => continue,
            };
            memberships.push(ProposedMembership { group: change.name.clone(), members });
        }
    }
    Ok(memberships)
}

async fn preview(api: &Api, rule: &str, group: &str) -> Result<Vec<u8>, Fault> {
    let request = PreviewRuleRequest {
        parent: api.parent(),
        rule: rule.to_owned(),
        device: String::new(),
        with_members: true,
        group: group.to_owned(),
    };
    Ok(api.call(api.groups().preview_rule(request)).await?.members)
}

async fn ordinals(api: &Api, devices: impl Iterator<Item = &String>) -> Result<Vec<u8>, Fault> {
    let registrations = devices.map(|device| {
        let name = device.replace("/devices/", "/registrations/");
        async move { api.call(api.registrations().get_registration(GetRegistrationRequest { name })).await }
    });
    let registrations: Vec<_> = stream::iter(registrations).buffer_unordered(CALLS_MAX).try_collect().await?;
    bytes(&registrations.iter().map(|registration| registration.ordinal).collect())
}

fn bytes(bitmap: &RoaringBitmap) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    let written = bitmap.serialize_into(&mut bytes);
    written.map_err(|error| Fault::new(ErrorCode::Internal, format!("cannot write members: {error}")))?;
    Ok(bytes)
}

/// The digest of all that changes would do: that of the policy service's plan, and where the enforcement scope changes,
/// of that as well.
#[must_use]
pub fn digest(
    plan: &Plan,
    changes: &[ObjectChange],
    planned_scope: Option<&UpdateEnforcementScopeResponse>,
) -> Vec<u8> {
    let (Some(ScopeChange { scope, etag }), Some(planned)) = (scope_change(changes), planned_scope) else {
        return plan.digest.clone();
    };
    let mut canonical = Canonical::new(b"muster.files.plan.v1");
    canonical.bytes(&plan.digest);
    canonical.bytes(&scope.encode_to_vec());
    canonical.bytes(etag.as_bytes());
    for devices in [planned.devices_gained, planned.devices_lost, planned.devices_recoded] {
        canonical.number(devices.into());
    }
    canonical.digest().to_vec()
}

/// What changes would do to devices.
///
/// # Errors
/// The call's fault.
pub async fn plan(
    api: &Api,
    changes: &[ObjectChange],
    memberships: Vec<ProposedMembership>,
) -> Result<Plan, Fault> {
    let changes = wishes(changes);
    check_count(changes.len())?;
    let request = PlanChangesRequest { parent: api.parent(), changes, memberships, sample_size: SAMPLE };
    api.call(api.policies().plan_changes(request)).await
}

/// What changing the enforcement scope would do, if it would change.
///
/// # Errors
/// The call's fault.
pub async fn plan_scope(
    api: &Api,
    changes: &[ObjectChange],
) -> Result<Option<UpdateEnforcementScopeResponse>, Fault> {
    match scope_change(changes) {
        Some(change) => scope(api, change, true).await.map(Some),
        None => Ok(None),
    }
}

fn scope_change(changes: &[ObjectChange]) -> Option<ScopeChange<'_>> {
    changes.iter().flat_map(|change| &change.steps).find_map(|step| match step {
        Step::Scope { scope, etag } => Some(ScopeChange { scope, etag }),
        Step::CreateGroup { .. }
        | Step::ChangeRule { .. }
        | Step::ModifyMembers { .. }
        | Step::DeleteGroup { .. }
        | Step::Wish(_) => None,
    })
}

fn check_count(count: usize) -> Result<(), Fault> {
    if count <= CHANGES_MAX {
        return Ok(());
    }
    let message = format!(
        "{count} policies, assignments and waivers would change; at most {CHANGES_MAX} change at once: apply some of the \
         files first"
    );
    Err(Fault::new(ErrorCode::MessageTooLarge, message))
}

/// How changes are to be made.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// Why.
    pub reason: String,
    /// Digest of the plan that was approved; empty means none.
    pub plan_digest: Vec<u8>,
    /// Only check.
    pub dry_run: bool,
}

/// What came of changes.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// What the change-set did.
    pub changes: ApplyChangesResponse,
    /// What the change of the enforcement scope did.
    pub scope: Option<UpdateEnforcementScopeResponse>,
}

/// Makes changes: groups come and change first, then policies, assignments and waivers at once, then the enforcement scope,
/// and then groups go. Everything is checked by the server before the first of them.
///
/// # Errors
/// What the server refuses; when something was changed already, the message says so.
pub async fn carry(api: &Api, changes: &[ObjectChange], live: &Live, how: &How) -> Result<Carried, Fault> {
    let How { reason, plan_digest, dry_run } = how;
    let memberships = memberships(api, changes, live).await?;
    let mut set = ChangeSet { wishes: wishes(changes), memberships, reason, plan_digest: Vec::new() };
    check_count(set.wishes.len())?;
    let scope = plan_scope(api, changes).await?;
    if set.memberships.is_empty() && plan_digest.is_empty() {
        set.apply(api, true).await?;
    } else {
        // Only a plan knows of groups that do not exist yet.
        let plan = plan(api, changes, set.memberships.clone()).await?;
        if !plan_digest.is_empty() {
            if *plan_digest != digest(&plan, changes, scope.as_ref()) {
                let message =
                    "what the files would do is not what was planned: plan again; nothing was changed";
                return Err(Fault::new(ErrorCode::PlanMovedOn, message).with("position", plan.position));
            }
            set.plan_digest = plan.digest;
        }
    }
    for change in changes.iter().filter(|change| change.kind == Kind::Group) {
        step(api, change, true).await?;
    }
    if *dry_run {
        return Ok(Carried { scope, ..Carried::default() });
    }
    let mut done = Vec::new();
    carry_checked(api, changes, set, &mut done).await.map_err(|fault| {
        if done.is_empty() {
            return fault;
        }
        let message = format!(
            "{}; changed before that: {}; apply again once it is mended",
            fault.message,
            done.join(", ")
        );
        Fault { message, ..fault }
    })
}

async fn carry_checked(
    api: &Api,
    changes: &[ObjectChange],
    mut set: ChangeSet<'_>,
    done: &mut Vec<String>,
) -> Result<Carried, Fault> {
    let groups = |deleted: bool| {
        let of_kind = changes.iter().filter(|change| change.kind == Kind::Group);
        of_kind.filter(move |change| (change.action == Action::Delete) == deleted)
    };
    let mut moved = false;
    for change in groups(false) {
        step(api, change, false).await?;
        moved |= change.action == Action::Update;
        done.push(format!("group {:?}", change.title));
    }
    if moved {
        // Groups that changed move on what the plan was made of: it was compared before.
        set.plan_digest.clear();
    }
    let mut carried = Carried::default();
    if !set.wishes.is_empty() {
        set.settle(api).await?;
        carried.changes = set.apply(api, false).await?;
        done.push("the policies, assignments and waivers".to_owned());
    }
    if let Some(change) = scope_change(changes) {
        carried.scope = Some(scope(api, change, false).await?);
        done.push("the enforcement scope".to_owned());
    }
    for change in groups(true) {
        step(api, change, false).await?;
        done.push(format!("group {:?}", change.title));
    }
    Ok(carried)
}

/// A change of the enforcement scope, and what the scope must still be.
#[derive(Clone, Copy)]
struct ScopeChange<'a> {
    scope: &'a EnforcementScope,
    etag: &'a str,
}

struct ChangeSet<'a> {
    wishes: Vec<muster_proto::policy::v1::Change>,
    memberships: Vec<ProposedMembership>,
    reason: &'a str,
    /// What the policy service shall find that the change-set does; empty when that is all the same.
    plan_digest: Vec<u8>,
}

impl ChangeSet<'_> {
    /// Waits until policy knows the groups that were made: a read reflects what was written before it.
    async fn settle(&self, api: &Api) -> Result<(), Fault> {
        let request = ListWaiversRequest { parent: api.parent(), page_size: 1, ..Default::default() };
        api.call(api.policies().list_waivers(request)).await.map(drop)
    }

    async fn apply(&self, api: &Api, validate_only: bool) -> Result<ApplyChangesResponse, Fault> {
        if self.wishes.is_empty() && self.plan_digest.is_empty() {
            return Ok(ApplyChangesResponse::default());
        }
        let request = ApplyChangesRequest {
            parent: api.parent(),
            changes: self.wishes.clone(),
            request_id: request_id(),
            validate_only,
            reason: self.reason.to_owned(),
            plan_digest: self.plan_digest.clone(),
            memberships: self.memberships.clone(),
        };
        api.call(api.policies().apply_changes(once(request))).await
    }
}

/// Changes a group.
async fn step(api: &Api, change: &ObjectChange, validate_only: bool) -> Result<(), Fault> {
    for step in &change.steps {
        match step {
            Step::CreateGroup { request_id, display_name, rule, devices } => {
                let group =
                    create_group(api, request_id, display_name, rule.as_deref(), validate_only).await?;
                if !validate_only && !devices.is_empty() {
                    modify(api, &group.name, devices, &[], "", false).await?;
                }
            }
            Step::ChangeRule { rule, etag } => {
                let request = UpdateGroupRuleRequest {
                    name: change.name.clone(),
                    rule: rule.clone(),
                    etag: etag.clone(),
                    request_id: request_id(),
                    validate_only,
                };
                api.call(api.groups().update_group_rule(once(request))).await?;
            }
            Step::ModifyMembers { add, remove, etag } => {
                modify(api, &change.name, add, remove, etag, validate_only).await?;
            }
            Step::DeleteGroup { etag } => {
                let request = DeleteGroupRequest {
                    name: change.name.clone(),
                    // Members of a dynamic group come and go by themselves, and each is a revision.
                    etag: if validate_only { etag.clone() } else { String::new() },
                    request_id: request_id(),
                    validate_only,
                };
                api.call(api.groups().delete_group(once(request))).await?;
            }
            Step::Wish(_) | Step::Scope { .. } => {}
        }
    }
    Ok(())
}

async fn modify(
    api: &Api,
    group: &str,
    add: &[String],
    remove: &[String],
    etag: &str,
    validate_only: bool,
) -> Result<(), Fault> {
    let mut etag = etag.to_owned();
    let adds = add.chunks(MEMBERS_MAX).map(|devices| (devices, &[][..]));
    let removes = remove.chunks(MEMBERS_MAX).map(|devices| (&[][..], devices));
    // Few go and come in one change.
    let once_for_all = add.len() + remove.len() <= MEMBERS_MAX;
    let parts: Vec<(&[String], &[String])> =
        if once_for_all { vec![(add, remove)] } else { adds.chain(removes).collect() };
    for (add, remove) in parts {
        let request = ModifyGroupMembersRequest {
            name: group.to_owned(),
            add_devices: add.to_vec(),
            remove_devices: remove.to_vec(),
            etag: etag.clone(),
            request_id: request_id(),
            validate_only,
        };
        let changed = api.call(api.groups().modify_group_members(once(request))).await?;
        if !etag.is_empty() && !validate_only {
            etag = changed.etag;
        }
    }
    Ok(())
}

async fn scope(
    api: &Api,
    ScopeChange { scope, etag }: ScopeChange<'_>,
    validate_only: bool,
) -> Result<UpdateEnforcementScopeResponse, Fault> {
    let request = UpdateEnforcementScopeRequest {
        enforcement_scope: Some(scope.clone()),
        etag: etag.to_owned(),
        request_id: request_id(),
        validate_only,
    };
    api.call(api.enrollment_admin().update_enforcement_scope(once(request))).await
}
