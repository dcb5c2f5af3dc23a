//! The only reader: what the gRPC calls answer with, from the views.

use muster_eventlog::project::{Behind, Projected};
use muster_runtime::request::Page;
use muster_types::{DeviceId, Positions, TenantId};

use crate::projection::devices::Device;
use crate::projection::tokens::Token;
use crate::projection::{Devices, Tokens};

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

/// The queries of this service.
#[derive(Debug, Clone)]
pub struct Queries {
    devices: Projected<Devices>,
    tokens: Projected<Tokens>,
}

impl Queries {
    /// Queries on the views.
    #[must_use]
    pub const fn new(devices: Projected<Devices>, tokens: Projected<Tokens>) -> Self {
        Self { devices, tokens }
    }

    /// Waits until both views have folded a position.
    ///
    /// # Errors
    /// [`Behind`] when they did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.devices.wait_for(wanted).await?;
        self.tokens.wait_for(wanted).await
    }

    /// One device of a tenant.
    #[must_use]
    pub fn device(&self, tenant: TenantId, id: DeviceId) -> Option<Device> {
        self.devices.read().get(id).filter(|device| device.tenant == tenant).cloned()
    }

    /// A tenant's devices, in the order they were onboarded.
    #[must_use]
    pub fn devices(&self, tenant: TenantId, page: Page<u32>) -> Rows<Device> {
        let devices = self.devices.read();
        let from = page.mark.map_or(0, |mark| mark.saturating_add(1));
        Rows::take(page, devices.from(tenant, from)).map(Device::clone)
    }

    /// A tenant's onboarding tokens, newest first.
    #[must_use]
    pub fn tokens(&self, tenant: TenantId, page: Page<u32>) -> Rows<Token> {
        let tokens = self.tokens.read();
        Rows::take(page, tokens.before(tenant, page.mark.unwrap_or(u32::MAX))).map(Token::clone)
    }
}
