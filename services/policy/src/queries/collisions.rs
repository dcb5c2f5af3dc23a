//! Pairs of assignments that want different values.

use std::collections::BTreeSet;

use muster_errors::{ErrorCode, Fault};
use muster_types::{PolicyId, Positions};
use tokio::task::spawn_blocking;

use super::Queries;
use crate::domain::collision::{Collision, collisions};

impl Queries {
    /// Pairs of assignments that want different values, of some policies or of all; and where the tables were taken from.
    /// Folding does not wait meanwhile.
    ///
    /// # Errors
    /// `INTERNAL` when looking for them panicked.
    pub async fn collisions(
        &self,
        of: Option<BTreeSet<PolicyId>>,
    ) -> Result<(Vec<Collision>, Positions), Fault> {
        let (tables, catalogue, positions) = {
            let fleet = self.fleet.read();
            (fleet.tables().clone(), fleet.catalogue(), fleet.positions())
        };
        let found = spawn_blocking(move || collisions(&tables, catalogue, of.as_ref())).await;
        let failed =
            |error| Fault::new(ErrorCode::Internal, format!("looking for collisions failed: {error}"));
        Ok((found.map_err(failed)?, positions))
    }
}
