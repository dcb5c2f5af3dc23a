//! Why a device was set to what it was set to at a past moment: its own streams, the streams of the policies that were
//! assigned to its groups, and what the past knows of groups, assignments and waivers, put into tables of one device and
//! explained by the same function as the present.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use muster_catalog::Catalogue;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::as_of::Cut;
use muster_eventlog::command::State as _;
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{Behind, FoldError};
use muster_eventlog::{Envelope, ReadError};
use muster_types::{Aggregate, DeviceId, PolicyId, Positions, SettingId, StreamId, TenantId, Version};
use uuid::Uuid;

use super::Queries;
use super::explain::{DeviceExplained, explained};
use crate::domain::policy::Policy;
use crate::domain::resolve::{PolicyRow, Tables};
use crate::projection::fleet::Told;
use crate::projection::past::Concerned;
use crate::wire::kind;

impl Queries {
    /// Explains what a device was set to at a past moment, or one setting of it; `None` for a device that was not there.
    ///
    /// # Errors
    /// `VIEW_BEHIND` while the past is still being read, and those of the log.
    pub async fn explain_at(
        &self,
        tenant: TenantId,
        device: DeviceId,
        only: Option<&SettingId>,
        cut: &Cut,
    ) -> Result<Option<DeviceExplained>, Fault> {
        let Cut { positions, time } = cut;
        self.past.wait_for(positions).await.map_err(|behind| still_reading(&behind))?;
        self.fleet.wait_for(positions).await.map_err(|behind| still_reading(&behind))?;
        // A device has its ordinal for ever, whatever becomes of it.
        let (ordinal, catalogue) = {
            let fleet = self.fleet.read();
            (fleet.ordinal(device), fleet.catalogue())
        };
        let reading = Reading { log: &self.log, tenant, positions: *positions };
        let Some(told) = reading.told(device, ordinal).await?.filter(Told::is_there) else { return Ok(None) };
        let concerned = self.past.read().concerned(device, told.ordinal, positions);
        let tables = reading.tables(&told, concerned, catalogue).await?;
        let explained = explained(&tables, catalogue, &told, *positions, only);
        let explained = self.with_steps(explained, told.ordinal);
        Ok(Some(DeviceExplained { time: Some(*time), ..explained }))
    }
}

fn still_reading(behind: &Behind) -> Fault {
    Fault::new(ErrorCode::ViewBehind, format!("the past is still being read: {behind}"))
        .with("has", behind.has)
        .with("wanted", behind.wanted)
}

/// Streams of the log up to a moment.
pub(crate) struct Reading<'a> {
    pub(crate) log: &'a SharedLog,
    pub(crate) tenant: TenantId,
    pub(crate) positions: Positions,
}

impl Reading<'_> {
    /// What was told of a device; `None` when nothing was. `ordinal` is the one that its first trust gives it.
    pub(crate) async fn told(&self, device: DeviceId, ordinal: Option<u32>) -> Result<Option<Told>, Fault> {
        let mut told = None;
        for aggregate in [Aggregate::Enrollment, Aggregate::Registration] {
            for event in without_superseded(self.stream(aggregate, device.uuid()).await?, kind::FACTS_CHANGED)
            {
                let told = told.get_or_insert_with(Told::default);
                if event.kind.as_str() == kind::TRUST_ESTABLISHED {
                    told.ordinal = ordinal;
                }
                told.follow(&event).map_err(|FoldError { reason, .. }| corrupt(&event, reason))?;
            }
        }
        Ok(told)
    }

    /// The tables as far as they concern the device.
    pub(crate) async fn tables(
        &self,
        told: &Told,
        concerned: Concerned,
        catalogue: &Catalogue,
    ) -> Result<Tables, Fault> {
        let Concerned { rules, groups, assignments, waived } = concerned;
        let mut tables = Tables::default();
        tables.set_rules(rules);
        let Some(ordinal) = told.ordinal else { return Ok(tables) };
        tables.reclass(ordinal, None, told.facts(catalogue, rules));
        for group in groups {
            tables.members_mut(group).insert(ordinal);
        }
        let policies: BTreeSet<_> = assignments.iter().map(|(policy, ..)| *policy).collect();
        let rows = policies.into_iter().map(|id| async move { Ok::<_, Fault>((id, self.policy(id).await?)) });
        for (id, row) in try_join_all(rows).await? {
            if let Some(row) = row {
                tables.put_policy(id, row);
            }
        }
        for (policy, group, assigned) in assignments {
            tables.assign(policy, group, assigned);
        }
        for (id, waived) in waived {
            tables.waive(id, waived);
        }
        Ok(tables)
    }

    async fn policy(&self, id: PolicyId) -> Result<Option<PolicyRow>, Fault> {
        let mut row = None;
        for event in
            without_superseded(self.stream(Policy::AGGREGATE, id.uuid()).await?, kind::POLICY_REVISED)
        {
            if let Some(decoded) = Policy::decode(&event).map_err(|reason| corrupt(&event, reason))? {
                row = PolicyRow::after(row.as_ref(), decoded);
            }
        }
        Ok(row)
    }

    async fn stream(&self, aggregate: Aggregate, id: Uuid) -> Result<Vec<Envelope>, Fault> {
        let stream = StreamId::new(self.tenant, aggregate, id);
        let until = self.positions.get(stream.service());
        let mut events = self.log.read(stream, Version::NONE).await?;
        events.truncate(events.partition_point(|event| event.position <= until));
        Ok(events)
    }
}

/// Without the events of a kind that a later one of the same kind replaces whole: they need not be decoded.
fn without_superseded(events: Vec<Envelope>, kind: &'static str) -> impl Iterator<Item = Envelope> {
    let last = events.iter().rposition(|event| event.kind.as_str() == kind);
    let stays = move |(place, event): &(usize, Envelope)| {
        event.kind.as_str() != kind || last.is_none_or(|last| *place == last)
    };
    events.into_iter().enumerate().filter(stays).map(|(_, event)| event)
}

fn corrupt(event: &Envelope, reason: String) -> Fault {
    ReadError::Corrupt { service: event.stream.service(), position: event.position, reason }.into()
}
