//! What the server has.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_proto::enroll::v1::{EnforcementScope, GetEnforcementScopeRequest};
use muster_proto::identity::v1::{Group, GroupKind, ListGroupMembersRequest, ListGroupsRequest};
use muster_proto::policy::v1::{
    Assignment, ListAssignmentsRequest, ListPoliciesRequest, ListWaiversRequest, Policy, Waiver, WaiverState,
};

use super::group::GroupSpec;
use super::group::Named;
use super::set::{Kind, Set, Spec};
use super::waiver::Target;
use crate::connect::Api;

const PAGE_SIZE: i32 = 1_000;
/// Most pages of one list: a million of anything is not kept in files.
const PAGES_MAX: usize = 1_000;
/// Calls made at once.
const CALLS_MAX: usize = 16;

/// What the server has of the kinds that files have.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Groups by name for people.
    pub groups: BTreeMap<String, Group>,
    /// Policies by name for people.
    pub policies: BTreeMap<String, Policy>,
    /// Resource names of all policies, deleted ones included.
    pub policies_ever: BTreeSet<String>,
    /// Assignments of policies that are there.
    pub assignments: Vec<Assignment>,
    /// Waivers, those that ended included.
    pub waivers: Vec<Waiver>,
    /// The enforcement scope.
    pub scope: EnforcementScope,
    /// Devices of static groups, by the group's resource name.
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// Resource names of devices, by how they are named in files.
    pub devices: BTreeMap<String, String>,
}

impl Live {
    /// Reads what the server has, with the members of the static groups that the set names.
    ///
    /// # Errors
    /// The first call's fault; `DEVICE_UNKNOWN` with the place where a device is named that is none.
    pub async fn read(api: &Api, set: &Set) -> Result<Self, Fault> {
        let mut live = Self::tables(api).await?;
        let mut wanted = Vec::new();
        for object in &set.objects {
            if let Spec::Group(GroupSpec::Static(named)) = &object.spec {
                live.name_devices(api, named).await?;
                wanted.extend(live.groups.get(&object.name).cloned());
            }
            if let Spec::Waiver(waiver) = &object.spec
                && let Target::Device(named) = &waiver.target
            {
                live.name_devices(api, std::slice::from_ref(named)).await?;
            }
        }
        live.read_members(api, &wanted).await?;
        Ok(live)
    }

    /// Reads all that the server has, with the members of all static groups.
    ///
    /// # Errors
    /// The first call's fault.
    pub async fn read_all(api: &Api) -> Result<Self, Fault> {
        let mut live = Self::tables(api).await?;
        let groups: Vec<_> = live.groups.values().cloned().collect();
        live.read_members(api, &groups).await?;
        Ok(live)
    }

    async fn tables(api: &Api) -> Result<Self, Fault> {
        let mut live = Self::default();
        for group in groups(api).await? {
            live.groups.insert(group.display_name.clone(), group);
        }
        for policy in policies(api).await? {
            live.policies_ever.insert(policy.name.clone());
            if policy.delete_time.is_none() {
                live.policies.insert(policy.display_name.clone(), policy);
            }
        }
        let assigned = live.policies.values().map(|policy| {
            let request = ListAssignmentsRequest { policy: policy.name.clone() };
            async move { api.call(api.policies().list_assignments(request)).await }
        });
        let assigned: Vec<_> = stream::iter(assigned).buffered(CALLS_MAX).try_collect().await?;
        live.assignments = assigned.into_iter().flat_map(|reply| reply.assignments).collect();
        live.waivers = waivers(api).await?;
        let name = format!("{}/enforcementScope", api.parent());
        let scope = api.enrollment_admin().get_enforcement_scope(GetEnforcementScopeRequest { name }).await;
        live.scope = api.call(std::future::ready(scope)).await?;
        Ok(live)
    }

    async fn read_members(&mut self, api: &Api, groups: &[Group]) -> Result<(), Fault> {
        for group in groups.iter().filter(|group| group.kind() == GroupKind::Static) {
            let members = members(api, &group.name).await?;
            self.members.insert(group.name.clone(), members);
        }
        Ok(())
    }

    async fn name_devices(&mut self, api: &Api, named: &[Named]) -> Result<(), Fault> {
        let unknown: Vec<_> =
            named.iter().filter(|device| !self.devices.contains_key(&device.name)).collect();
        let found = unknown.into_iter().map(|device| async move {
            let found = api.device(&device.name).await;
            found.map(|name| (device.name.clone(), name)).map_err(|fault| at(device, fault))
        });
        let found: Vec<_> = stream::iter(found).buffered(CALLS_MAX).try_collect().await?;
        self.devices.extend(found);
        Ok(())
    }

    /// Waivers that exempt devices now.
    pub fn active_waivers(&self) -> impl Iterator<Item = &Waiver> {
        self.waivers.iter().filter(|waiver| waiver.state() == WaiverState::Active)
    }

    /// A group's name for people.
    #[must_use]
    pub fn group_title(&self, name: &str) -> Option<&str> {
        self.groups.values().find(|group| group.name == name).map(|group| group.display_name.as_str())
    }

    /// A policy's name for people.
    #[must_use]
    pub fn policy_title(&self, name: &str) -> Option<&str> {
        self.policies.values().find(|policy| policy.name == name).map(|policy| policy.display_name.as_str())
    }
}

/// A fault with the place in the files that led to it.
pub(super) fn at(named: &Named, fault: Fault) -> Fault {
    let place = named.place.to_string();
    let message = format!("{place}: {}", fault.message);
    let described = fault.message.clone();
    Fault { message, ..fault }.with_field(place, described)
}

/// Nothing of that name, neither in the files nor on the server.
pub(super) fn unknown(kind: Kind, named: &Named) -> Fault {
    let code = if kind == Kind::Policy { ErrorCode::PolicyUnknown } else { ErrorCode::GroupUnknown };
    let message = format!("{kind} {:?} is neither in the files nor on the server", named.name);
    at(named, Fault::new(code, message))
}

async fn pages<T>(list: impl AsyncFn(String) -> Result<(Vec<T>, String), Fault>) -> Result<Vec<T>, Fault> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let (page, next) = list(page_token).await?;
        all.extend(page);
        if next.is_empty() {
            return Ok(all);
        }
        page_token = next;
    }
    Err(Fault::new(ErrorCode::MessageTooLarge, "the server has more than can be compared with files"))
}

async fn groups(api: &Api) -> Result<Vec<Group>, Fault> {
    pages(async |page_token| {
        let request = ListGroupsRequest { parent: api.parent(), page_size: PAGE_SIZE, page_token };
        let page = api.call(api.groups().list_groups(request)).await?;
        Ok((page.groups, page.next_page_token))
    })
    .await
}

async fn policies(api: &Api) -> Result<Vec<Policy>, Fault> {
    pages(async |page_token| {
        let request = ListPoliciesRequest {
            parent: api.parent(),
            page_size: PAGE_SIZE,
            page_token,
            show_deleted: true,
        };
        let page = api.call(api.policies().list_policies(request)).await?;
        Ok((page.policies, page.next_page_token))
    })
    .await
}

async fn waivers(api: &Api) -> Result<Vec<Waiver>, Fault> {
    pages(async |page_token| {
        let request =
            ListWaiversRequest { parent: api.parent(), active_only: false, page_size: PAGE_SIZE, page_token };
        let page = api.call(api.policies().list_waivers(request)).await?;
        Ok((page.waivers, page.next_page_token))
    })
    .await
}

/// The devices in a group.
pub(super) async fn members(api: &Api, group: &str) -> Result<BTreeSet<String>, Fault> {
    let members = pages(async |page_token| {
        let request = ListGroupMembersRequest {
            name: group.to_owned(),
            page_size: PAGE_SIZE,
            page_token,
            unknown_only: false,
        };
        let page = api.call(api.groups().list_group_members(request)).await?;
        Ok((page.devices, page.next_page_token))
    })
    .await?;
    Ok(members.into_iter().collect())
}
