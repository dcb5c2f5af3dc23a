//! Aggregates as they would be.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use muster_eventlog::command::{Repository, State, prepare};
use muster_eventlog::{Append, Context, ReadError};
use muster_types::{GroupId, PolicyId, RequestId, StreamId, Version, WaiverId};

use super::super::Commands;
use crate::domain::assignment::{self, Assignment};
use crate::domain::change::Fact;
use crate::domain::policy::Policy;
use crate::domain::waiver::Waiver;

/// An aggregate with the events it would get.
#[derive(Debug)]
pub(super) struct Draft<S: State> {
    stream: StreamId,
    /// Its version before them.
    was: Version,
    /// It with them.
    pub(super) state: S,
    events: Vec<S::Event>,
}

impl<S: State> Draft<S> {
    /// Takes what the rules say to a command on it.
    pub(super) fn decide<R>(&mut self, decide: impl FnOnce(&S) -> Result<Vec<S::Event>, R>) -> Result<(), R> {
        let events = decide(&self.state)?;
        events.iter().for_each(|event| self.state.evolve(event));
        self.events.extend(events);
        Ok(())
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.events.is_empty()
    }

    fn append(&self, request: RequestId, context: &Context) -> Option<Append> {
        self.is_changed().then(|| prepare::<S>(self.stream, self.was, request, context, &self.events))
    }
}

/// All that changes look at.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) policies: BTreeMap<PolicyId, Draft<Policy>>,
    pub(super) assignments: BTreeMap<(PolicyId, GroupId), Draft<Assignment>>,
    waivers: BTreeMap<WaiverId, Draft<Waiver>>,
}

impl Drafts {
    pub(super) async fn policy(
        &mut self,
        commands: &Commands,
        id: PolicyId,
    ) -> Result<&mut Draft<Policy>, ReadError> {
        draft(commands, &commands.policies, &mut self.policies, id, id.uuid()).await
    }

    pub(super) async fn assignment(
        &mut self,
        commands: &Commands,
        policy: PolicyId,
        group: GroupId,
    ) -> Result<&mut Draft<Assignment>, ReadError> {
        let id = assignment::stream_id(policy, group);
        draft(commands, &commands.assignments, &mut self.assignments, (policy, group), id).await
    }

    pub(super) async fn waiver(
        &mut self,
        commands: &Commands,
        id: WaiverId,
    ) -> Result<&mut Draft<Waiver>, ReadError> {
        draft(commands, &commands.waivers, &mut self.waivers, id, id.uuid()).await
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let policies = self
            .policies
            .iter()
            .flat_map(|(id, draft)| draft.events.iter().map(|event| Fact::Policy(*id, event.clone())));
        let assignments = self.assignments.iter().flat_map(|((policy, group), draft)| {
            draft.events.iter().map(|event| Fact::Assignment(*policy, *group, event.clone()))
        });
        let waivers = self
            .waivers
            .iter()
            .flat_map(|(id, draft)| draft.events.iter().map(|event| Fact::Waiver(*id, event.clone())));
        policies.chain(assignments).chain(waivers).collect()
    }

    pub(super) fn touched_policies(&self) -> Vec<PolicyId> {
        let policies = self.policies.iter().filter(|(_, draft)| draft.is_changed()).map(|(id, _)| *id);
        let assigned =
            self.assignments.iter().filter(|(_, draft)| draft.is_changed()).map(|((policy, _), _)| *policy);
        policies.chain(assigned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The appends that make it so; none when it is so already.
    pub(super) fn appends(&self, request: RequestId, context: &Context) -> Vec<Append> {
        let policies = self.policies.values().filter_map(|draft| draft.append(request, context));
        let assignments = self.assignments.values().filter_map(|draft| draft.append(request, context));
        let waivers = self.waivers.values().filter_map(|draft| draft.append(request, context));
        policies.chain(assignments).chain(waivers).collect()
    }

    /// What was looked at is read from the log when it is needed again.
    pub(super) fn forget(&self, commands: &Commands) {
        self.policies.values().for_each(|draft| commands.policies.forget(draft.stream));
        self.assignments.values().for_each(|draft| commands.assignments.forget(draft.stream));
        self.waivers.values().for_each(|draft| commands.waivers.forget(draft.stream));
    }
}

async fn draft<'a, S: State, K: Ord + Hash + Copy>(
    commands: &Commands,
    repository: &Repository<S>,
    drafts: &'a mut BTreeMap<K, Draft<S>>,
    key: K,
    id: uuid::Uuid,
) -> Result<&'a mut Draft<S>, ReadError> {
    use std::collections::btree_map::Entry;
    match drafts.entry(key) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(place) => {
            let stream = commands.stream::<S>(id);
            // That there is nothing to do is decided on what the log holds, whoever wrote it.
            repository.forget(stream);
            let (state, was) = repository.load(&commands.log, stream).await?;
            Ok(place.insert(Draft { stream, was, state, events: Vec::new() }))
        }
    }
}
