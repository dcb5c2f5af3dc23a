//! What changes would do to the fleet.

use std::collections::BTreeMap;

use muster_errors::{ErrorCode, Fault};
use muster_types::{DeviceId, GroupId, PolicyId, Positions};
use roaring::RoaringBitmap;
use tokio::task::spawn_blocking;

use super::Queries;
use crate::domain::change::Fact;
use crate::domain::plan::{Plan, Proposal, plan};

/// What changes would do, with what is needed to tell it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What they would do.
    pub plan: Plan,
    /// Where the tables were taken from.
    pub positions: Positions,
    /// Groups that decide whom the changes concern, as far as identity has them.
    pub groups: Vec<GroupId>,
    /// Assignments that would be made with a filter.
    pub filtered: Vec<(PolicyId, GroupId)>,
}

impl Queries {
    /// Foresees what facts and memberships would do to the fleet as it is. Folding does not wait meanwhile.
    ///
    /// # Errors
    /// `INTERNAL` when planning panicked.
    pub async fn plan(
        &self,
        facts: Vec<Fact>,
        mut memberships: BTreeMap<GroupId, RoaringBitmap>,
    ) -> Result<Planned, Fault> {
        let (tables, catalogue, proposal, positions, groups) = {
            let fleet = self.fleet.read();
            // What is proposed may name four billion devices in a few bytes.
            let ordinals_end = u32::try_from(fleet.devices()).unwrap_or(u32::MAX);
            memberships.values_mut().for_each(|members| {
                members.remove_range(ordinals_end..);
            });
            let named = Proposal::named_devices(&facts);
            let ordinals = named.filter_map(|id| Some((id, fleet.ordinal(id)?))).collect();
            let proposal = Proposal { facts, memberships, ordinals };
            let groups = proposal.groups(fleet.tables()).into_iter();
            let groups = groups.filter(|group| fleet.knows_group(*group)).collect();
            (fleet.tables().clone(), fleet.catalogue(), proposal, fleet.positions(), groups)
        };
        let filtered = proposal.filtered().collect();
        // One at a time: a plan of a large fleet takes a processor for a while.
        let _turn = self.planning.lock().await;
        let planned = spawn_blocking(move || plan(&tables, &proposal, catalogue)).await;
        let plan =
            planned.map_err(|error| Fault::new(ErrorCode::Internal, format!("planning failed: {error}")))?;
        Ok(Planned { plan, positions, groups, filtered })
    }

    /// Devices by their ordinals; at most so many.
    #[must_use]
    pub fn some_devices(&self, ordinals: &RoaringBitmap, count_max: usize) -> Vec<DeviceId> {
        let fleet = self.fleet.read();
        ordinals.iter().filter_map(|ordinal| Some(fleet.by_place(ordinal)?.id)).take(count_max).collect()
    }
}
