//! The only reader: what the gRPC calls answer with, from the view.

use muster_eventlog::project::{Behind, Projected};
use muster_types::{DeviceId, PolicyId, Positions, TenantId};

use crate::projection::Standings;
use crate::projection::standings::{Counts, Report};

/// An answer, and the positions it reflects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The answer.
    pub answer: T,
    /// How far the logs were folded.
    pub positions: Positions,
}

/// The queries of this service.
#[derive(Debug, Clone)]
pub struct Queries {
    standings: Projected<Standings>,
}

impl Queries {
    /// Queries on the view.
    #[must_use]
    pub const fn new(standings: Projected<Standings>) -> Self {
        Self { standings }
    }

    /// Waits until the view has folded a position.
    ///
    /// # Errors
    /// [`Behind`] when it did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.standings.wait_for(wanted).await
    }

    /// What a device last said, nothing if it never did; `None` when there is no such device.
    #[must_use]
    pub fn device(&self, tenant: TenantId, device: DeviceId) -> Option<At<Option<Report>>> {
        let standings = self.standings.read();
        let report = standings.report(tenant, device).cloned();
        let known = report.is_some() || standings.knows(device);
        known.then(|| At { answer: report, positions: standings.positions() })
    }

    /// How a policy's devices stand; `None` when there is no such policy.
    #[must_use]
    pub fn policy(&self, tenant: TenantId, policy: PolicyId) -> Option<At<Counts>> {
        let standings = self.standings.read();
        let answer = standings.counts(tenant, policy)?;
        Some(At { answer, positions: standings.positions() })
    }
}
