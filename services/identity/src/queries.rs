//! The only reader: what the gRPC calls answer with, from the views.

pub mod directory;
pub mod explain;
pub mod preview;

use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{Behind, Progress, Projected, Reading};
use muster_runtime::request::Page;
use muster_types::{DeviceId, GroupId, Positions, Service, TenantId};
use roaring::RoaringBitmap;
use tokio::sync::watch;

use crate::domain::group::{self, Verdict};
use crate::domain::registration::{Kind, Standing};
use crate::domain::rule::Rule;
use crate::error::Unseen;
use crate::projection::groups::GroupRow;
use crate::projection::registrations::{Row, Which};
use crate::projection::{Directory, Groups, Hardware, Histories, Membership, Registrations, TrustAnchors};

/// Most dynamic groups of a tenant.
pub const DYNAMIC_GROUPS_MAX: usize = 15_000;
/// Most dynamic groups of a tenant whose rules read `memberOf`.
pub const MEMBER_OF_GROUPS_MAX: usize = 500;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T, M> {
    /// The rows.
    pub rows: Vec<T>,
    /// What the next page starts after; none on the last page.
    pub next: Option<M>,
}

impl<T, M> Rows<T, M> {
    /// Takes a page off rows, each with the mark that a page ending with it gets.
    fn take(rows_max: usize, mut rows: impl Iterator<Item = (M, T)>) -> Self {
        let mut mark = None;
        let mut taken = Vec::new();
        for (end, row) in rows.by_ref().take(rows_max) {
            mark = Some(end);
            taken.push(row);
        }
        Self { rows: taken, next: mark.filter(|_| rows.next().is_some()) }
    }
}

/// The queries of this service.
#[derive(Debug, Clone)]
pub struct Queries {
    registrations: Projected<Registrations>,
    groups: Projected<Groups>,
    trust_anchors: Projected<TrustAnchors>,
    directory: Projected<Directory>,
    hardware: Projected<Hardware>,
    membership: Projected<Membership>,
    histories: Projected<Histories>,
}

impl Queries {
    /// Queries on the views.
    #[must_use]
    pub const fn new(
        registrations: Projected<Registrations>,
        groups: Projected<Groups>,
        trust_anchors: Projected<TrustAnchors>,
        directory: Projected<Directory>,
        hardware: Projected<Hardware>,
        membership: Projected<Membership>,
        histories: Projected<Histories>,
    ) -> Self {
        Self { registrations, groups, trust_anchors, directory, hardware, membership, histories }
    }

    /// Waits until all views have folded a position.
    ///
    /// # Errors
    /// [`Behind`] when they did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.registrations.wait_for(wanted).await?;
        self.groups.wait_for(wanted).await?;
        self.trust_anchors.wait_for(wanted).await?;
        self.directory.wait_for(wanted).await?;
        self.hardware.wait_for(wanted).await?;
        self.histories.wait_for(wanted).await?;
        self.membership.wait_for(wanted).await
    }

    /// Waits until all views have folded all that is in the log now: for decisions that need to know everything.
    ///
    /// # Errors
    /// When the log does not answer or the views are too far behind.
    pub async fn catch_up(&self, log: &SharedLog) -> Result<(), Unseen> {
        let head = log.head(Service::Identity).await?;
        Ok(self.reach(&Positions::of(Service::Identity, head)).await?)
    }

    /// The ordinals of devices.
    ///
    /// # Errors
    /// The first device that has none: nobody ever trusted it.
    pub fn ordinals(&self, devices: &[DeviceId]) -> Result<RoaringBitmap, DeviceId> {
        let registrations = self.registrations.read();
        devices.iter().map(|device| registrations.ordinal(*device).ok_or(*device)).collect()
    }

    /// The ordinals of devices that are registered.
    ///
    /// # Errors
    /// The first device that is not: nobody ever trusted it, or it was removed.
    pub fn registered_ordinals(&self, devices: &[DeviceId]) -> Result<RoaringBitmap, DeviceId> {
        let registrations = self.registrations.read();
        let present = |ordinal: &u32| !registrations.is_removed(*ordinal);
        let ordinal = |device: &DeviceId| registrations.ordinal(*device).filter(present).ok_or(*device);
        devices.iter().map(ordinal).collect()
    }

    /// Of some ordinals, those of devices that were removed, and did not come back.
    #[must_use]
    pub fn removed_among(&self, ordinals: &RoaringBitmap) -> RoaringBitmap {
        self.registrations.read().removed() & ordinals
    }

    /// What is known of a device, with its ordinal, if it was ever trusted.
    #[must_use]
    pub fn registration(&self, device: DeviceId) -> Option<(u32, Row)> {
        self.registrations.read().get(device).map(|(ordinal, row)| (ordinal, row.clone()))
    }

    /// Whether a device is trusted, and may get a new certificate.
    #[must_use]
    pub fn is_active(&self, device: DeviceId) -> bool {
        let registrations = self.registrations.read();
        registrations.get(device).is_some_and(|(_, row)| row.registered.standing() == Standing::Active)
    }

    /// The device that has a full registration.
    #[must_use]
    pub fn holder(&self, registration: &str) -> Option<DeviceId> {
        self.registrations.read().holder(registration)
    }

    /// How many registrations of a kind stand so.
    #[must_use]
    pub fn registration_count(&self, which: Which, kind: Kind) -> i64 {
        i64::try_from(self.registrations.read().select(which, Some(kind)).len()).unwrap_or(i64::MAX)
    }

    /// Registrations, of one kind or any, in the order of first trust.
    #[must_use]
    pub fn registrations(&self, which: Which, kind: Option<Kind>, page: &Page<u32>) -> Rows<(u32, Row), u32> {
        let registrations = self.registrations.read();
        let from = page.mark.map_or(0, |mark| mark.saturating_add(1));
        let selected = registrations.select(which, kind);
        let rows = selected.range(from..).filter_map(|ordinal| Some((ordinal, registrations.row(ordinal)?)));
        Rows::take(page.rows, rows.map(|(ordinal, row)| (ordinal, (ordinal, row.clone()))))
    }

    /// The groups of a tenant that any of some devices is in.
    #[must_use]
    pub fn groups_with_any(&self, tenant: TenantId, ordinals: &RoaringBitmap) -> Vec<GroupId> {
        let groups = self.groups.read();
        let rows = groups.after(tenant, None);
        rows.filter(|row| !row.group.members.is_disjoint(ordinals)).map(|row| row.id).collect()
    }

    /// Whether a group is not yet what its rule says.
    #[must_use]
    pub fn differs(&self, group: GroupId, verdict: &Verdict) -> bool {
        let Verdict { within, inside, unknown } = verdict;
        let groups = self.groups.read();
        groups.get(group).is_some_and(|row| {
            let members = &row.group.members;
            let out = |looked_at: &RoaringBitmap| !(looked_at - inside - unknown).is_empty();
            !inside.is_subset(members)
                || within.as_ref().map_or_else(|| out(members), |within| out(&(members & within)))
        })
    }

    /// What is known of all devices, and the rules. Folding waits while it is held.
    #[must_use]
    pub fn membership(&self) -> Reading<'_, Membership> {
        self.membership.read()
    }

    /// How far what is known of devices is folded.
    #[must_use]
    pub fn membership_progress(&self) -> watch::Receiver<Progress> {
        self.membership.watch()
    }

    /// Waits until the groups show what was written at a position.
    ///
    /// # Errors
    /// [`Behind`] when they did not in time.
    pub async fn groups_reach(&self, position: u64) -> Result<(), Behind> {
        self.groups.wait_for(&Positions::of(Service::Identity, position)).await
    }

    /// One group of a tenant.
    #[must_use]
    pub fn group(&self, tenant: TenantId, id: GroupId) -> Option<GroupRow> {
        self.groups.read().get(id).filter(|row| row.tenant == tenant).cloned()
    }

    /// The group of a tenant that has this name.
    #[must_use]
    pub fn group_named(&self, tenant: TenantId, name: &str) -> Option<GroupId> {
        self.groups.read().named(tenant, name)
    }

    /// Why other groups do not let a group have a rule: as a new dynamic group, or in the place of the rule of one.
    #[must_use]
    pub fn obstacle(&self, tenant: TenantId, rule: &Rule, replaced: Option<GroupId>) -> Option<group::Error> {
        let groups = self.groups.read();
        if replaced.is_none() && groups.dynamic_count(tenant) >= DYNAMIC_GROUPS_MAX {
            return Some(group::Error::Limit { limit: DYNAMIC_GROUPS_MAX });
        }
        let sources = rule.source_groups();
        let missing = |text: &str| {
            let id = text.parse::<GroupId>().ok();
            match id.and_then(|id| groups.get(id)).filter(|row| row.tenant == tenant) {
                None => Some(group::Error::SourceUnknown { group: text.into() }),
                Some(row) if row.group.rule.is_some() => Some(group::Error::Nested { group: row.id }),
                Some(_) => None,
            }
        };
        let unfit = sources.iter().find_map(|text| missing(text));
        let many = || {
            let others = groups.after(tenant, None).filter(|row| Some(row.id) != replaced);
            let rules = others.filter_map(|row| Rule::parse(row.group.rule.as_deref()?).ok());
            let count = rules.filter(|rule| !rule.source_groups().is_empty()).count();
            let limit = MEMBER_OF_GROUPS_MAX;
            (!sources.is_empty() && count >= limit).then_some(group::Error::Limit { limit })
        };
        unfit.or_else(many)
    }

    /// A tenant's groups, by name.
    #[must_use]
    pub fn groups(&self, tenant: TenantId, page: Page<String>) -> Rows<GroupRow, String> {
        let groups = self.groups.read();
        let rows = groups.after(tenant, page.mark);
        Rows::take(page.rows, rows.map(|row| (row.group.display_name.clone(), row.clone())))
    }

    /// The devices in a group, by ordinal; `None` when there is no such group.
    #[must_use]
    pub fn members(&self, tenant: TenantId, id: GroupId, page: &Page<u32>) -> Option<Rows<DeviceId, u32>> {
        let group = self.group(tenant, id)?.group;
        let registrations = self.registrations.read();
        let from = page.mark.map_or(0, |mark| mark.saturating_add(1));
        let members = group.members.range(from..);
        let rows = members.filter_map(|ordinal| Some((ordinal, registrations.device(ordinal)?)));
        Some(Rows::take(page.rows, rows))
    }
}
