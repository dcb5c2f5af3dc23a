//! Explanations.

use std::collections::BTreeMap;

use muster_proto::convert::timestamp;
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, GroupId, PolicyId, ResourceName, TenantId, Timestamp};

use super::hex;
use crate::domain::assignment::Priority;
use crate::domain::explanation::{Carrier, Explained, Explanation};
use crate::history::Revision;
use crate::projection::past::Step;
use crate::queries::explain::{AssignedBy, DeviceExplained};

/// What the log says of what an explanation names.
pub(in crate::grpc) struct Written {
    /// Revisions, by policy and number.
    pub(in crate::grpc) revisions: BTreeMap<(PolicyId, u64), Revision>,
    /// Who assigned what.
    pub(in crate::grpc) assigned_by: BTreeMap<(PolicyId, GroupId), AssignedBy>,
}

/// Why a device is set to what it is set to.
pub(in crate::grpc) fn explanation(
    tenant: TenantId,
    device: DeviceId,
    explained: DeviceExplained,
    written: &Written,
    now: Timestamp,
) -> pb::Explanation {
    let DeviceExplained { explanation, facts, names, positions, time, resolved, delivered } = explained;
    let Explanation { etag, settings, not_reaching } = explanation;
    let names = Names { tenant, names, written };
    let not_reaching = not_reaching.into_iter().map(|(policy, why)| pb::ExplainedPolicy {
        policy: ResourceName::Policy(tenant, policy).to_string(),
        display_name: names.of(policy),
        why,
    });
    pb::Explanation {
        device: ResourceName::Device(tenant, device).to_string(),
        etag: etag.to_vec(),
        position: positions.to_string(),
        facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        not_reaching: not_reaching.collect(),
        settings: settings.into_iter().map(|setting| names.setting(setting)).collect(),
        as_of_time: Some(timestamp(time.unwrap_or(now))),
        resolved: resolved.map(step),
        delivered: delivered.map(step),
    }
}

fn step(step: Step) -> pb::ExplainedStep {
    let Step { time, position } = step;
    pb::ExplainedStep { time: Some(timestamp(time)), position }
}

struct Names<'a> {
    tenant: TenantId,
    names: BTreeMap<PolicyId, String>,
    written: &'a Written,
}

impl Names<'_> {
    fn of(&self, policy: PolicyId) -> String {
        self.names.get(&policy).cloned().unwrap_or_default()
    }

    fn setting(&self, explained: Explained) -> pb::ExplainedSetting {
        let Explained { id, value, mode, winners, losers, withheld, summary, waivers, tamper_guarded } =
            explained;
        let waiver = |id| ResourceName::Waiver(self.tenant, id).to_string();
        pb::ExplainedSetting {
            id: id.to_string(),
            value: value.map(Into::into),
            merge_mode: mode.as_str().to_owned(),
            winners: winners.into_iter().map(|carrier| self.source(carrier)).collect(),
            losers: losers.into_iter().map(|carrier| self.source(carrier)).collect(),
            withheld: withheld.map_or(pb::WithheldReason::Unspecified, Into::into).into(),
            summary,
            waivers: waivers.into_iter().map(waiver).collect(),
            tamper_guarded,
        }
    }

    fn source(&self, carrier: Carrier) -> pb::ExplainedSource {
        let Carrier { policy, revision, value, groups } = carrier;
        let assignments =
            groups.into_iter().map(|(group, priority)| self.assignment(policy, group, priority));
        let source = pb::ExplainedSource {
            policy: ResourceName::Policy(self.tenant, policy).to_string(),
            display_name: self.of(policy),
            value: Some(value.into()),
            revision,
            assignments: assignments.collect(),
            ..Default::default()
        };
        let Some(Revision { number: _, id, profile: _, content: _, rolled_back_to: _, origin, position }) =
            self.written.revisions.get(&(policy, revision))
        else {
            return source;
        };
        pb::ExplainedSource {
            revision_id: hex(id),
            actor: origin.actor.clone(),
            reason: origin.reason.clone(),
            change_time: Some(timestamp(origin.at)),
            position: *position,
            ..source
        }
    }

    fn assignment(
        &self,
        policy: PolicyId,
        group: GroupId,
        priority: Option<Priority>,
    ) -> pb::ExplainedAssignment {
        let by = self.written.assigned_by.get(&(policy, group));
        pb::ExplainedAssignment {
            group: ResourceName::Group(self.tenant, group).to_string(),
            priority: priority.map(|priority| priority.number().into()),
            actor: by.map(|by| by.actor.clone()).unwrap_or_default(),
            create_time: by.map(|by| timestamp(by.at)),
            position: by.map(|by| by.position).unwrap_or_default(),
        }
    }
}
