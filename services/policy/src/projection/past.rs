//! The past: which policies were assigned where, who was in which group, who was exempt and what devices were told, at any
//! position of the logs.
//!
//! Nothing is kept here that the log gives back quickly: what a policy said and what a device was are read from their own
//! streams when they are asked for. What is kept grows with what happened, and with nothing else: 16 bytes for one device
//! that comes into or leaves a group, is resolved anew or is sent a policy; a bitmap for many at once; some hundred bytes
//! for an assignment or a waiver. It lives in memory alone, and is folded from the beginning of the logs after each start,
//! once the fleet is there.

mod mentions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use muster_catalog::RulesAsOf;
use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_types::{Aggregate, DeviceId, Digest, GroupId, PolicyId, Positions, Service, Timestamp, WaiverId};
use rustc_hash::FxHashMap;

use super::fleet::{bitmap, decoded, rules_of};
use crate::domain::assignment::{self, Assigned, Assignment};
use crate::domain::resolve::{Waived, Whom};
use crate::domain::waiver::{self, Grant, Target, Waiver};
use crate::metrics::PolicyMetrics;
use crate::wire::kind;
use mentions::Mentions;

/// What a mention in a group says.
const LEFT: u32 = 0;
const JOINED: u32 = 1;
/// The tag of devices that should have nothing.
const NOTHING: u32 = 0;

/// What became of an assignment, by the position from which it held.
type Became = Vec<(u64, Option<Assigned>)>;

/// The view.
#[derive(Debug, Default)]
pub struct Past {
    metrics: PolicyMetrics,
    /// Editions of the rules, by the position in enroll's log from which each holds.
    rules: Vec<(u64, RulesAsOf)>,
    groups: FxHashMap<GroupId, Mentions>,
    /// What became of assignments; none where they were taken back.
    assignments: BTreeMap<(PolicyId, GroupId), Became>,
    waivers: BTreeMap<WaiverId, Granted>,
    /// Etags that devices were told of and sent, by their number; from 1.
    etags: FxHashMap<Digest, u32>,
    /// Numbers of resolutions' etags, by the resolution.
    resolutions: FxHashMap<Digest, u32>,
    resolved: Mentions,
    delivered: Mentions,
    /// Times of the events that tell of resolutions and deliveries, by position.
    times: Vec<(u64, Timestamp)>,
}

#[derive(Debug)]
struct Granted {
    from: u64,
    grant: Grant,
    until: Option<u64>,
}

/// A step on the way of a policy to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub time: Timestamp,
    /// Position of its event in the policy log.
    pub position: u64,
}

/// What concerned a device at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concerned {
    /// Which edition of the rules held.
    pub rules: RulesAsOf,
    /// The groups it was in, of those that a policy is assigned to or a waiver is for; sorted.
    pub groups: Vec<GroupId>,
    /// Assignments to these groups, those of deleted policies too.
    pub assignments: Vec<(PolicyId, GroupId, Assigned)>,
    /// Active waivers for it.
    pub waived: Vec<(WaiverId, Waived)>,
}

impl Past {
    /// Nothing happened yet.
    #[must_use]
    pub fn new(metrics: PolicyMetrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// What concerned a device, by its place in bitmaps if it had one by then.
    #[must_use]
    pub fn concerned(&self, device: DeviceId, ordinal: Option<u32>, cut: &Positions) -> Concerned {
        let (enroll, policy) = (cut.get(Service::Enroll), cut.get(Service::Policy));
        let rules = self.rules.iter().rev().find(|(from, _)| *from <= enroll);
        let rules = rules.map_or(RulesAsOf::Current, |(_, rules)| *rules);
        let mut of = Concerned { rules, groups: Vec::new(), assignments: Vec::new(), waived: Vec::new() };
        let Some(ordinal) = ordinal else { return of };
        let mut asked = BTreeMap::new();
        let mut is_member = |group: GroupId| {
            *asked.entry(group).or_insert_with(|| self.is_member(group, ordinal, cut.get(Service::Identity)))
        };
        for ((id, group), became) in &self.assignments {
            let last = became.iter().rev().find(|(position, _)| *position <= policy);
            if let Some((_, Some(assigned))) = last
                && is_member(*group)
            {
                of.assignments.push((*id, *group, assigned.clone()));
            }
        }
        for (id, Granted { from, grant: Grant { exempt, target, .. }, until }) in &self.waivers {
            if *from > policy || until.is_some_and(|until| until <= policy) {
                continue;
            }
            let whom = match target {
                Target::Group(group) => is_member(*group).then_some(Whom::Group(*group)),
                Target::Device(named) => (*named == device).then_some(Whom::Device(ordinal)),
            };
            of.waived.extend(whom.map(|whom| (*id, Waived { exempt: exempt.clone(), whom })));
        }
        of.groups = asked.into_iter().filter(|(_, is_in)| *is_in).map(|(group, _)| group).collect();
        of
    }

    fn is_member(&self, group: GroupId, ordinal: u32, until: u64) -> bool {
        let mentions = self.groups.get(&group);
        let last = mentions.and_then(|mentions| mentions.last(ordinal, until, |_| true));
        last.is_some_and(|(_, tag)| tag == JOINED)
    }

    /// When a device came to a policy with this etag, if that is what it was last told to have.
    #[must_use]
    pub fn resolved(&self, ordinal: u32, etag: &Digest, until: u64) -> Option<Step> {
        let (position, tag) = self.resolved.last(ordinal, until, |_| true)?;
        (self.etags.get(etag) == Some(&tag)).then(|| self.step(position))?
    }

    /// When a policy with this etag was last sent to a device, since it was told to have another.
    #[must_use]
    pub fn delivered(&self, ordinal: u32, etag: &Digest, until: u64) -> Option<Step> {
        let wanted = *self.etags.get(etag)?;
        let (position, _) = self.delivered.last(ordinal, until, |tag| tag == wanted)?;
        let other = self.resolved.last(ordinal, until, |tag| tag != wanted);
        other.is_none_or(|(other, _)| other < position).then(|| self.step(position))?
    }

    fn step(&self, position: u64) -> Option<Step> {
        let place = self.times.binary_search_by_key(&position, |(position, _)| *position).ok()?;
        Some(Step { time: self.times[place].1, position })
    }

    /// Bytes that it takes, without what the allocator adds and without texts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let groups: usize = self.groups.values().map(Mentions::size_bytes).sum();
        let assigned: usize =
            self.assignments.values().map(|of| of.capacity() * size_of::<(u64, Assigned)>()).sum();
        let waivers = self.waivers.len() * size_of::<(WaiverId, Granted)>();
        let etags = (self.etags.capacity() + self.resolutions.capacity()) * size_of::<(Digest, u32)>();
        let times = self.times.capacity() * size_of::<(u64, Timestamp)>();
        groups + assigned + waivers + etags + times + self.resolved.size_bytes() + self.delivered.size_bytes()
    }

    fn membership(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let identity::GroupMembershipChanged { added, removed } = decoded(event)?;
        let (added, removed) = (bitmap(&added, event)?, bitmap(&removed, event)?);
        let group = self.groups.entry(GroupId::from_uuid(event.stream.id)).or_default();
        group.add(event.position, JOINED, added - &removed);
        group.add(event.position, LEFT, removed);
        Ok(())
    }

    fn assignment(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let decoded = Assignment::decode(event).map_err(|reason| FoldError::new(event, reason))?;
        let (key, assigned) = match decoded {
            None => return Ok(()),
            Some(assignment::Event::Assigned { policy, group, tie, at }) => {
                ((policy, group), Some(Assigned { tie, at }))
            }
            Some(assignment::Event::Unassigned { policy, group }) => ((policy, group), None),
        };
        self.assignments.entry(key).or_default().push((event.position, assigned));
        Ok(())
    }

    fn waiver(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let id = WaiverId::from_uuid(event.stream.id);
        match Waiver::decode(event).map_err(|reason| FoldError::new(event, reason))? {
            None => {}
            Some(waiver::Event::Granted { grant, origin: _ }) => {
                self.waivers.insert(id, Granted { from: event.position, grant, until: None });
            }
            Some(waiver::Event::Revoked { .. } | waiver::Event::Expired { .. }) => {
                let granted = self.waivers.get_mut(&id);
                let granted = granted.ok_or_else(|| FoldError::new(event, "it was not granted"))?;
                granted.until.get_or_insert(event.position);
            }
        }
        Ok(())
    }

    fn resolution(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let pb::EffectivePoliciesChanged { positions: _, resolved, none, restated: _ } = decoded(event)?;
        for pb::Resolved { resolution_id, devices, cause_time: _, resolution } in resolved {
            let id = digest(&resolution_id, event)?;
            if let Some(pb::Resolution { etag, .. }) = resolution {
                let etag = digest(&etag, event)?;
                let number = self.number(etag);
                self.resolutions.insert(id, number);
            }
            let etag = self.resolutions.get(&id).copied();
            let etag = etag.ok_or_else(|| FoldError::new(event, "the resolution was not told"))?;
            self.resolved.add(event.position, etag, bitmap(&devices, event)?);
        }
        self.resolved.add(event.position, NOTHING, bitmap(&none, event)?);
        self.times.push((event.position, event.context.time));
        Ok(())
    }

    fn delivery(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let pb::PoliciesDelivered { delivered, first_time: _ } = decoded(event)?;
        for one in delivered {
            if one.step() == pb::DeliveryStep::Sent {
                let etag = self.number(digest(&one.etag, event)?);
                self.delivered.add(event.position, etag, bitmap(&one.devices, event)?);
            }
        }
        self.times.push((event.position, event.context.time));
        Ok(())
    }

    fn number(&mut self, etag: Digest) -> u32 {
        let next = u32::try_from(self.etags.len() + 1).expect("4 billion etags do not fit in memory");
        *self.etags.entry(etag).or_insert(next)
    }
}

fn digest(bytes: &[u8], event: &Envelope) -> Result<Digest, FoldError> {
    bytes.try_into().map_err(|_| FoldError::new(event, format!("a digest has 32 bytes, not {}", bytes.len())))
}

impl View for Past {
    const NAME: &'static str = "past";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Enroll, Service::Identity, Service::Policy];

    fn apply(&mut self, event: &Envelope, _dirty: &mut Dirty) -> Result<(), FoldError> {
        match (event.stream.aggregate, event.kind.as_str()) {
            (Aggregate::Assignment, _) => self.assignment(event),
            (Aggregate::Waiver, _) => self.waiver(event),
            (_, kind::MEMBERSHIP_CHANGED) => self.membership(event),
            (_, kind::EFFECTIVE_POLICIES_CHANGED) => self.resolution(event),
            (_, kind::POLICIES_DELIVERED) => self.delivery(event),
            (_, kind::SCOPE_CHANGED) => {
                let enroll::EnforcementScopeChanged { enforcement_scope } = decoded(event)?;
                self.rules.push((event.position, rules_of(enforcement_scope, event)?));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn settle(&mut self, _positions: &Positions, _dirty: &mut Dirty) {
        self.metrics.past_bytes(self.size_bytes());
    }

    fn row_keys(&self, _row: &mut dyn FnMut(&[u8])) {}

    fn encode_row(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn load_row(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), String> {
        Err("the past is not stored".to_owned())
    }
}
