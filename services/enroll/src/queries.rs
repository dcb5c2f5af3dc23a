//! The only reader: what the gRPC calls answer with, from the views.

mod authority;
mod inventory;

use std::sync::Arc;

use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{Behind, Projected};
use muster_runtime::request::Page;
use muster_types::{DeviceId, Positions, Service, TenantId, Version};

use crate::commands::Sight;
use crate::domain::scope::Scope;
use crate::domain::tenant_settings::TenantSettings;
use crate::projection::devices::{Device, Preview};
use crate::projection::tokens::Token;
use crate::projection::{Devices, Settings, Tokens};

pub use authority::Interval;
pub use inventory::{Listed, Mark, Order, OrderBy};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// What the next page starts after; none on the last page.
    pub next: Option<u32>,
}

impl<T> Rows<T> {
    /// Takes a page off rows with their numbers.
    fn take(page: Page<u32>, mut rows: impl Iterator<Item = (u32, T)>) -> Self {
        let taken: Vec<_> = rows.by_ref().take(page.rows).collect();
        let next = taken.last().map(|(number, _)| *number).filter(|_| rows.next().is_some());
        Self { rows: taken.into_iter().map(|(_, row)| row).collect(), next }
    }

    /// The same page with other rows.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Rows<U> {
        Rows { rows: self.rows.into_iter().map(f).collect(), next: self.next }
    }
}

/// The queries of this service. Cheap to clone.
#[derive(Clone)]
pub struct Queries {
    log: SharedLog,
    devices: Projected<Devices>,
    tokens: Projected<Tokens>,
    settings: Projected<Settings>,
}

impl Queries {
    /// Queries on the views, and on the log where no view has the answer.
    #[must_use]
    pub const fn new(
        log: SharedLog,
        devices: Projected<Devices>,
        tokens: Projected<Tokens>,
        settings: Projected<Settings>,
    ) -> Self {
        Self { log, devices, tokens, settings }
    }

    /// Waits until all views have folded a position.
    ///
    /// # Errors
    /// [`Behind`] when they did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.devices.wait_for(wanted).await?;
        self.tokens.wait_for(wanted).await?;
        self.settings.wait_for(wanted).await
    }

    /// One device of a tenant.
    #[must_use]
    pub fn device(&self, tenant: TenantId, id: DeviceId) -> Option<Device> {
        self.devices.read().get(tenant, id)
    }

    /// A tenant's onboarding tokens, newest first.
    #[must_use]
    pub fn tokens(&self, tenant: TenantId, page: Page<u32>) -> Rows<Token> {
        let tokens = self.tokens.read();
        Rows::take(page, tokens.before(tenant, page.mark.unwrap_or(u32::MAX))).map(Token::clone)
    }

    /// A tenant's settings.
    #[must_use]
    pub fn settings(&self, tenant: TenantId) -> TenantSettings {
        self.settings.read().get(tenant)
    }

    /// A tenant's enforcement scope, and the version of its settings; 0 for the default.
    #[must_use]
    pub fn scope(&self, tenant: TenantId) -> (Arc<Scope>, Version) {
        self.settings.read().scope(tenant)
    }

    /// How many devices of a tenant take a seat: managed, or permitted and on their way.
    #[must_use]
    pub fn seats_used(&self, tenant: TenantId) -> u32 {
        self.devices.read().seats_used(tenant)
    }

    /// The devices whose recorded outcome is not what a scope makes of them, oldest first, at most `limit`. Devices that
    /// wait for a seat are among them only as far as there are seats.
    #[must_use]
    pub fn differing(&self, tenant: TenantId, scope: &Scope, limit: usize) -> Vec<DeviceId> {
        let devices = self.devices.read();
        let differing = devices.differing(tenant, scope);
        devices.ids(differing.iter().take(limit)).collect()
    }

    /// The devices that must give up their seats since more are taken than there are, newest first, at most `limit`; none
    /// while [`Queries::differing`] names devices that lose theirs anyway and that is enough.
    #[must_use]
    pub fn withdrawn(&self, tenant: TenantId, scope: &Scope, limit: usize) -> Vec<DeviceId> {
        let devices = self.devices.read();
        let withdrawn = devices.withdrawn(tenant, scope);
        devices.ids(withdrawn.iter().rev().take(limit)).collect()
    }

    /// What a scope would change.
    #[must_use]
    pub fn preview(&self, tenant: TenantId, scope: &Scope) -> Preview {
        self.devices.read().preview(tenant, scope)
    }
}

impl Sight for Queries {
    fn scope(&self, tenant: TenantId) -> (Arc<Scope>, Version) {
        Self::scope(self, tenant)
    }

    fn seats_used_with(&self, tenant: TenantId, devices: &[DeviceId]) -> u32 {
        self.devices.read().seats_used_with(tenant, devices)
    }

    fn position(&self) -> u64 {
        self.devices.read().positions().get(Service::Enroll)
    }
}
