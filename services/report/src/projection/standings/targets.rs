//! Who is targeted: policies, their assignments, and the members of groups.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Platform};
use muster_eventlog::Envelope;
use muster_eventlog::project::Dirty;
use muster_proto::identity::v1::GroupMembershipChanged;
use muster_proto::policy::v1::{
    AssignmentIntent, PolicyAssigned, PolicyCreated, PolicyRevised, PolicyUnassigned, Setting,
};
use muster_types::{GroupId, PolicyId, SettingId, TenantId};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::store::{self, Key};
use crate::wire::{decoded, kind, text};

/// What a policy sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// Name for people.
    pub display_name: String,
    /// Id of its profile.
    pub profile: String,
    /// Its latest revision.
    pub revision: u64,
    /// The settings of that revision, sorted by id.
    pub settings: Vec<SettingId>,
    /// It was deleted and may come back; its assignments wait.
    pub deleted: bool,
}

impl Policy {
    /// The platform its profile is for; `None` for a profile that this version does not know.
    pub(super) fn platform(&self) -> Option<Platform> {
        Catalogue::builtin().profile(&self.profile).map(|profile| profile.platform)
    }
}

/// What an assignment does with the devices of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// They get the policy.
    Include,
    /// They do not, whatever else includes them.
    Exclude,
}

/// Policies, assignments, groups.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) policies: FxHashMap<PolicyId, Policy>,
    pub(super) assignments: BTreeMap<(PolicyId, GroupId), Intent>,
    pub(super) groups: FxHashMap<GroupId, RoaringBitmap>,
}

impl Targets {
    /// A policy of a tenant that is not deleted.
    pub(super) fn policy(&self, tenant: TenantId, policy: PolicyId) -> Option<&Policy> {
        self.policies.get(&policy).filter(|known| known.tenant == tenant && !known.deleted)
    }

    /// Ordinals of the devices that a policy is assigned to: exclusion wins.
    pub(super) fn of(&self, policy: PolicyId) -> RoaringBitmap {
        let (mut included, mut excluded) = (RoaringBitmap::new(), RoaringBitmap::new());
        let from = (policy, GroupId::from_uuid(uuid::Uuid::nil()));
        for ((_, group), intent) in self.assignments.range(from..).take_while(|((of, _), _)| *of == policy) {
            let Some(members) = self.groups.get(group) else { continue };
            match intent {
                Intent::Include => included |= members,
                Intent::Exclude => excluded |= members,
            }
        }
        included - excluded
    }

    /// Folds an event of groups, policies or assignments.
    pub(super) fn fold(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), String> {
        let payload = &event.payload[..];
        let id = PolicyId::from_uuid(event.stream.id);
        match event.kind.as_str() {
            kind::MEMBERSHIP_CHANGED => {
                let group = GroupId::from_uuid(event.stream.id);
                let GroupMembershipChanged { added, removed } = decoded(payload)?;
                let (added, removed) = (store::bitmap(&added)?, store::bitmap(&removed)?);
                let members = self.groups.entry(group).or_default();
                *members |= added;
                *members -= removed;
                dirty.mark(Key::Group(group).to_bytes());
            }
            kind::POLICY_CREATED => {
                let PolicyCreated { display_name, profile, settings, on_unassign: _, reason: _ } =
                    decoded(payload)?;
                let (tenant, settings) = (event.stream.tenant, ids(settings)?);
                let policy = Policy { tenant, display_name, profile, revision: 1, settings, deleted: false };
                self.policies.insert(id, policy);
                dirty.mark(Key::Policy(id).to_bytes());
            }
            kind::POLICY_REVISED => {
                let PolicyRevised { revision, display_name, settings, .. } = decoded(payload)?;
                let settings = ids(settings)?;
                let policy = self.policies.get_mut(&id).ok_or("the policy was not created")?;
                *policy = Policy { display_name, revision, settings, deleted: false, ..policy.clone() };
                dirty.mark(Key::Policy(id).to_bytes());
            }
            kind::POLICY_DELETED => self.set_deleted(id, true, dirty),
            kind::POLICY_UNDELETED => self.set_deleted(id, false, dirty),
            kind::POLICY_ASSIGNED => {
                let message: PolicyAssigned = decoded(payload)?;
                let intent = match message.intent() {
                    AssignmentIntent::Unspecified | AssignmentIntent::Include => Intent::Include,
                    AssignmentIntent::Exclude => Intent::Exclude,
                };
                let at = assignment(&message.policy_id, &message.group_id)?;
                self.assignments.insert(at, intent);
                dirty.mark(Key::Assignment(at.0, at.1).to_bytes());
            }
            kind::POLICY_UNASSIGNED => {
                let PolicyUnassigned { policy_id, group_id } = decoded(payload)?;
                let at = assignment(&policy_id, &group_id)?;
                self.assignments.remove(&at);
                dirty.mark(Key::Assignment(at.0, at.1).to_bytes());
            }
            _ => {}
        }
        Ok(())
    }

    fn set_deleted(&mut self, id: PolicyId, deleted: bool, dirty: &mut Dirty) {
        if let Some(policy) = self.policies.get_mut(&id) {
            policy.deleted = deleted;
            dirty.mark(Key::Policy(id).to_bytes());
        }
    }
}

fn ids(settings: Vec<Setting>) -> Result<Vec<SettingId>, String> {
    let ids = settings.into_iter().map(|Setting { id, value: _ }| id.parse().map_err(text));
    let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

fn assignment(policy: &[u8], group: &[u8]) -> Result<(PolicyId, GroupId), String> {
    Ok((PolicyId::from_slice(policy).map_err(text)?, GroupId::from_slice(group).map_err(text)?))
}
