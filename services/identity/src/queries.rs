//! The only reader: what the gRPC calls answer with, from the views.

use muster_eventlog::ReadError;
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{Behind, Projected};
use muster_runtime::request::Page;
use muster_types::{DeviceId, GroupId, Positions, Service, TenantId};
use roaring::RoaringBitmap;

use crate::error::Failure;
use crate::projection::groups::GroupRow;
use crate::projection::{Groups, Registrations};

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
}

impl Queries {
    /// Queries on the views.
    #[must_use]
    pub const fn new(registrations: Projected<Registrations>, groups: Projected<Groups>) -> Self {
        Self { registrations, groups }
    }

    /// Waits until both views have folded a position.
    ///
    /// # Errors
    /// [`Behind`] when they did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.registrations.wait_for(wanted).await?;
        self.groups.wait_for(wanted).await
    }

    /// Waits until both views have folded all that is in the log now: for decisions that need to know everything.
    ///
    /// # Errors
    /// When the log does not answer or the views are too far behind.
    pub async fn catch_up(&self, log: &SharedLog) -> Result<(), Failure> {
        let head =
            log.head(Service::Identity).await.map_err(|error: ReadError| Failure::Log(error.into()))?;
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
