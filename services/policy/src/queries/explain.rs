//! Why a device is set to what it is set to, with who wrote what and where that stands in the log.

use std::collections::{BTreeMap, BTreeSet};

use muster_catalog::Catalogue;
use muster_errors::Fault;
use muster_eventlog::command::State as _;
use muster_types::{
    DeviceId, GroupId, PolicyId, Positions, Service, SettingId, StreamId, TenantId, Timestamp, Version,
};

use super::Queries;
use crate::domain::assignment::{self, Assignment};
use crate::domain::explanation::{Explanation, Subject, explain};
use crate::domain::resolve::{Facts, Tables};
use crate::history::{self, Revision};
use crate::projection::fleet::{Management, Told};
use crate::projection::past::Step;

/// Why a device is set to what it is set to.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceExplained {
    /// The resolver's result, taken apart.
    pub explanation: Explanation,
    /// What of the device mattered, by name.
    pub facts: BTreeMap<&'static str, String>,
    /// Names for people of the policies in it.
    pub names: BTreeMap<PolicyId, String>,
    /// Where the tables were taken from.
    pub positions: Positions,
    /// The time of the latest event that counted; none when that is all until now.
    pub time: Option<Timestamp>,
    /// When the device came to what is resolved for it; none when it was not told yet.
    pub resolved: Option<Step>,
    /// When it was sent to the device.
    pub delivered: Option<Step>,
}

/// Who assigned a policy to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedBy {
    /// Who, as the log writes it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// Position of the event in the log.
    pub position: u64,
}

impl Queries {
    /// Explains what a device is set to, or one setting of it; `None` for a device that is not there.
    pub async fn explain(&self, device: DeviceId, only: Option<&SettingId>) -> Option<DeviceExplained> {
        let (tables, catalogue, positions, told) = {
            let fleet = self.fleet.read();
            let row = fleet.device(device)?;
            (fleet.tables().clone(), fleet.catalogue(), fleet.positions(), row.told)
        };
        let explained = explained(&tables, catalogue, &told, positions, only);
        // While the past is still being read, the steps are left out rather than waited for.
        if self.past.progress().is_ready() && self.past.wait_for(&positions).await.is_ok() {
            return Some(self.with_steps(explained, told.ordinal));
        }
        Some(explained)
    }

    pub(super) fn with_steps(&self, explained: DeviceExplained, ordinal: Option<u32>) -> DeviceExplained {
        let Some(ordinal) = ordinal else { return explained };
        let (etag, until) = (&explained.explanation.etag, explained.positions.get(Service::Policy));
        let past = self.past.read();
        let (resolved, delivered) =
            (past.resolved(ordinal, etag, until), past.delivered(ordinal, etag, until));
        DeviceExplained { resolved, delivered, ..explained }
    }

    /// The revisions that an explanation names, by policy and number.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn revisions(
        &self,
        tenant: TenantId,
        wanted: BTreeSet<(PolicyId, u64)>,
    ) -> Result<BTreeMap<(PolicyId, u64), Revision>, Fault> {
        let mut numbers: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (policy, number) in wanted {
            numbers.entry(policy).or_default().insert(number);
        }
        let mut found = BTreeMap::new();
        for (policy, numbers) in numbers {
            let revisions = history::read_some(&self.log, tenant, policy, numbers).await?;
            found.extend(revisions.into_iter().map(|revision| ((policy, revision.number), revision)));
        }
        Ok(found)
    }

    /// Who made the assignments that an explanation names, as of its positions.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn assigned_by(
        &self,
        tenant: TenantId,
        wanted: BTreeSet<(PolicyId, GroupId)>,
        positions: &Positions,
    ) -> Result<BTreeMap<(PolicyId, GroupId), AssignedBy>, Fault> {
        let seen = positions.get(Service::Policy);
        let mut found = BTreeMap::new();
        for (policy, group) in wanted {
            let id = assignment::stream_id(policy, group);
            let stream = StreamId::new(tenant, Assignment::AGGREGATE, id);
            let events = self.log.read(stream, Version::NONE).await?;
            let assigned = events.iter().rev().find(|event| {
                event.position <= seen
                    && matches!(Assignment::decode(event), Ok(Some(assignment::Event::Assigned { .. })))
            });
            if let Some(event) = assigned {
                let (actor, at) = (event.context.actor.as_str().to_owned(), event.context.time);
                found.insert((policy, group), AssignedBy { actor, at, position: event.position });
            }
        }
        Ok(found)
    }
}

/// Explains a device by the tables and by what is told of it.
pub(crate) fn explained(
    tables: &Tables,
    catalogue: &Catalogue,
    told: &Told,
    positions: Positions,
    only: Option<&SettingId>,
) -> DeviceExplained {
    let known = told.facts(catalogue, tables.rules());
    let subject = Subject { ordinal: told.ordinal, facts: known, idle: idle(told) };
    let explanation = explain(tables, catalogue, &subject, only);
    let named = explanation.settings.iter().flat_map(|setting| setting.winners.iter().chain(&setting.losers));
    let named = named.map(|carrier| carrier.policy);
    let named = named.chain(explanation.not_reaching.iter().map(|(policy, _)| *policy));
    let name = |id| Some((id, tables.policy(id)?.display_name.clone()));
    DeviceExplained {
        names: named.filter_map(name).collect(),
        facts: facts(told, subject.facts.as_ref()),
        explanation,
        positions,
        time: None,
        resolved: None,
        delivered: None,
    }
}

/// Why a device gets nothing, if it does.
const fn idle(told: &Told) -> &'static str {
    match told.management {
        Management::Elsewhere(_) => "the device is not managed through this channel",
        Management::Undecided | Management::Here => "the device is not onboarded yet",
    }
}

fn facts(told: &Told, facts: Option<&Facts>) -> BTreeMap<&'static str, String> {
    let management = match told.management {
        Management::Undecided => "undecided".to_owned(),
        Management::Here => "here".to_owned(),
        Management::Elsewhere(code) => code.to_string(),
    };
    let mut named = BTreeMap::from([("management", management)]);
    named.extend(told.agent.text().map(|version| ("agent_version", version)));
    let Some(Facts { platform, channel, domain_controller, agent_level: _, tamper, rules_as_of }) = facts
    else {
        named.extend(told.platform.map(|platform| ("platform", platform.to_string())));
        return named;
    };
    let tamper = match tamper {
        muster_catalog::TamperLock::Unknown => "unknown",
        muster_catalog::TamperLock::Off => "off",
        muster_catalog::TamperLock::On => "on",
        muster_catalog::TamperLock::OnWithExclusions => "on, exclusions too",
    };
    named.extend([
        ("platform", platform.to_string()),
        ("channel", channel.to_string()),
        ("domain_controller", domain_controller.to_string()),
        ("tamper_protection", tamper.to_owned()),
        ("rules_as_of", rules_as_of.to_string()),
    ]);
    named
}
