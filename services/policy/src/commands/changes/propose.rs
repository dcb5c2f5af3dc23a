//! Deciding changes one after the other, each on what those before it made.

use std::collections::{BTreeMap, BTreeSet};

use muster_errors::Fault;
use muster_eventlog::ReadError;
use muster_types::id::derive;
use muster_types::{GroupId, PolicyId, RequestId, Version};

use super::super::assignment::{ASSIGNMENTS_MAX, group_unknown, too_many_assignments};
use super::super::policy::name_taken;
use super::super::{Asked, Commands, policy_id, waiver_id};
use super::draft::Drafts;
use super::{Change, Proposed};
use crate::domain::Origin;
use crate::domain::assignment::Command as AssignmentCommand;
use crate::domain::policy::{self, Command as PolicyCommand};
use crate::domain::waiver::{Command as WaiverCommand, Grant, Target};

/// Changes on their way through the rules.
struct Proposal<'a> {
    commands: &'a Commands,
    origin: &'a Origin,
    /// Groups that would be there besides those that are.
    groups: &'a BTreeSet<GroupId>,
    drafts: Drafts,
    /// The change that last touched a policy's name or assignments.
    last: BTreeMap<PolicyId, usize>,
}

impl Commands {
    /// Says what changes would come to, and writes nothing. Groups in `groups` are taken as there.
    ///
    /// # Errors
    /// Those of the single commands, with the field `changes[i]…`; a name that two policies would have; too many
    /// assignments of a policy.
    pub async fn propose(
        &self,
        asked: &Asked,
        changes: &[Change],
        groups: &BTreeSet<GroupId>,
    ) -> Result<Proposed, Fault> {
        self.see(asked).await?;
        let origin = self.origin(asked);
        let (drafts, last) = (Drafts::default(), BTreeMap::new());
        let mut proposal = Proposal { commands: self, origin: &origin, groups, drafts, last };
        let names = changes.iter().map(|change| change.name(self.tenant)).collect();
        if self.were_made(asked, changes).await? {
            return Ok(Proposed { names, made_before: true, drafts: proposal.drafts });
        }
        for (place, change) in changes.iter().enumerate() {
            proposal.take(place, change).await.map_err(|fault| change.fault(place, fault))?;
        }
        proposal.check_whole().map_err(|(place, fault)| changes[place].fault(place, fault))?;
        Ok(Proposed { names, made_before: false, drafts: proposal.drafts })
    }

    /// Whether this very request wrote one of the streams before: then all of it was made, whatever came after.
    async fn were_made(&self, asked: &Asked, changes: &[Change]) -> Result<bool, ReadError> {
        for change in changes {
            let events = self.log.read(change.stream(self.tenant), Version::NONE).await?;
            if events.iter().any(|event| event.context.correlation_id == asked.request.uuid()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Proposal<'_> {
    async fn take(&mut self, place: usize, change: &Change) -> Result<(), Fault> {
        let tenant = self.commands.tenant;
        let origin = self.origin_of(place);
        match change {
            Change::CreatePolicy { request, profile, content } => {
                let id = policy_id(tenant, *request);
                let content = self.commands.check(profile, content.clone())?;
                let profile = profile.clone();
                self.policy(place, id, PolicyCommand::Create { profile, content, origin }).await
            }
            Change::UpdatePolicy { id, etag, content } => {
                let profile = self.profile(*id).await?;
                let content = self.commands.check(&profile, content.clone())?;
                let etag = etag.clone();
                self.policy(place, *id, PolicyCommand::Revise { content, etag, origin }).await
            }
            Change::DeletePolicy { id, etag } => {
                self.policy(place, *id, PolicyCommand::Delete { etag: etag.clone(), origin }).await
            }
            Change::UndeletePolicy { id } => {
                self.policy(place, *id, PolicyCommand::Undelete { origin }).await
            }
            Change::AssignPolicy { policy, group, tie } => {
                self.check_group(*group)?;
                let now = self.origin.at;
                let command =
                    AssignmentCommand::Assign { policy: *policy, group: *group, tie: tie.clone(), now };
                self.assignment(place, (*policy, *group), command).await
            }
            Change::UnassignPolicy { policy, group } => {
                let command = AssignmentCommand::Unassign { policy: *policy, group: *group };
                self.assignment(place, (*policy, *group), command).await
            }
            Change::CreateWaiver { request, grant, reason } => {
                self.check_grant(grant).await?;
                let origin = Origin { reason: reason.clone(), ..origin };
                let id = waiver_id(tenant, *request);
                let command = WaiverCommand::Grant { grant: grant.clone(), origin };
                self.drafts.waiver(self.commands, id).await?.decide(|waiver| waiver.decide(&command))?;
                Ok(())
            }
            Change::RevokeWaiver { id } => {
                let command = WaiverCommand::Revoke { origin };
                self.drafts.waiver(self.commands, *id).await?.decide(|waiver| waiver.decide(&command))?;
                Ok(())
            }
        }
    }

    /// Each change counts as a request of its own, so that several may touch one policy.
    fn origin_of(&self, place: usize) -> Origin {
        let request = derive("change", &[self.origin.request.as_bytes(), &(place as u64).to_be_bytes()]);
        Origin { request: RequestId::from_uuid(request), ..self.origin.clone() }
    }

    async fn policy(&mut self, place: usize, id: PolicyId, command: PolicyCommand) -> Result<(), Fault> {
        self.drafts.policy(self.commands, id).await?.decide(|policy| policy.decide(&command))?;
        self.last.insert(id, place);
        Ok(())
    }

    async fn assignment(
        &mut self,
        place: usize,
        (policy, group): (PolicyId, GroupId),
        command: AssignmentCommand,
    ) -> Result<(), Fault> {
        self.profile(policy).await?;
        let draft = self.drafts.assignment(self.commands, policy, group).await?;
        draft.decide(|assignment| assignment.decide(&command))?;
        self.last.insert(policy, place);
        Ok(())
    }

    /// The profile of a policy that is there.
    async fn profile(&mut self, id: PolicyId) -> Result<String, Fault> {
        let draft = self.drafts.policy(self.commands, id).await?;
        Ok(draft.state.known().ok_or(policy::Error::Unknown)?.profile.clone())
    }

    fn check_group(&self, group: GroupId) -> Result<(), Fault> {
        let known = self.groups.contains(&group) || self.commands.fleet.read().knows_group(group);
        if known { Ok(()) } else { Err(group_unknown(group)) }
    }

    async fn check_grant(&mut self, grant: &Grant) -> Result<(), Fault> {
        if let Some(policy) = grant.exempt.policy() {
            self.profile(policy).await?;
        }
        self.commands.check_exempt(&grant.exempt)?;
        match grant.target {
            Target::Group(group) => self.check_group(group),
            Target::Device(device) => self.commands.check_device(device),
        }
    }

    /// What no change alone can be asked: names are unique after all of them, and assignments are not too many. Names the
    /// change that is to blame.
    fn check_whole(&self) -> Result<(), (usize, Fault)> {
        let fleet = self.commands.fleet.read();
        let blame = |id: &PolicyId| self.last.get(id).copied().unwrap_or(0);
        let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
        for known in self.drafts.policies.values().filter_map(|draft| draft.state.known()) {
            *holders.entry(&known.display_name).or_default() += 1;
        }
        let taken =
            self.drafts.policies.iter().filter(|(_, draft)| draft.is_changed()).filter_map(|(id, draft)| {
                let name = &*draft.state.known()?.display_name;
                let mut others = fleet.named(name).filter(|other| !self.drafts.policies.contains_key(other));
                let taken = others.next().is_some() || holders.get(name).is_some_and(|holders| *holders > 1);
                taken.then(|| (blame(id), name))
            });
        // The last of those that want a name is too late.
        if let Some((place, name)) = taken.max() {
            return Err((place, name_taken(name)));
        }
        let assigned: BTreeSet<_> = self.drafts.assignments.keys().map(|(policy, _)| *policy).collect();
        for policy in assigned {
            let others = fleet
                .assignments(policy)
                .filter(|(group, _)| !self.drafts.assignments.contains_key(&(policy, *group)))
                .count();
            let drafted = self.drafts.assignments.range((policy, GroupId::from_uuid(uuid::Uuid::nil()))..);
            let drafted = drafted
                .take_while(|((of, _), _)| *of == policy)
                .filter(|(_, draft)| draft.state.assigned().is_some())
                .count();
            if others + drafted > ASSIGNMENTS_MAX {
                return Err((blame(&policy), too_many_assignments(others + drafted)));
            }
        }
        Ok(())
    }
}
