//! Commands on groups.

use std::future::Future;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use muster_eventlog::command::{ExecuteError, Executed, State as _};
use muster_eventlog::{Actor, Context};
use muster_types::id::derive;
use muster_types::{DeviceId, GroupId, Positions, RequestId, Service, StreamId, TenantId};
use roaring::RoaringBitmap;

use super::{Commands, Order};
use crate::domain::group::{self, Group, Verdict};
use crate::domain::rule::Rule;
use crate::error::Failure;
use crate::queries::Queries;
use crate::wire;

/// Why groups lose devices that are gone; event ids follow from it.
const LEFT: &str = "groups-left";
/// Why groups change that have rules; event ids follow from it.
const RESOLVED: &str = "groups-resolved";
/// Groups that are written to at once: they share what a write to the log takes.
const WRITTEN_AT_ONCE_MAX: usize = 64;

/// What the rule of a group says.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The group.
    pub group: GroupId,
    /// Its rule.
    pub rule: Box<str>,
    /// What it says.
    pub verdict: Verdict,
}

/// What was written about groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Groups that changed.
    pub groups: usize,
    /// Position of the last event; 0 when there was none.
    pub position: u64,
}

/// Awaits changes of groups, several at once; the first that fails ends it.
async fn written<F>(changes: impl Iterator<Item = F>) -> Result<Written, Failure>
where
    F: Future<Output = Result<Executed<Group>, ExecuteError<group::Error>>>,
{
    let changes = stream::iter(changes).buffer_unordered(WRITTEN_AT_ONCE_MAX);
    let sum = changes.try_fold(Written::default(), |mut sum, done| async move {
        if let Some(position) = done.position {
            sum.groups += 1;
            sum.position = sum.position.max(position);
        }
        Ok(sum)
    });
    Ok(sum.await?)
}

/// A group to define.
#[derive(Debug, Clone)]
pub struct DefineGroup {
    /// The tenant it is for. The group's id follows from it and the request.
    pub tenant: TenantId,
    /// Name for people.
    pub display_name: String,
    /// The rule of a dynamic group; none for a static one.
    pub rule: Option<Box<str>>,
}

/// A rule in the place of a group's present one.
#[derive(Debug, Clone)]
pub struct ChangeRule {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The group.
    pub group: GroupId,
    /// The rule.
    pub rule: Box<str>,
    /// The revision the group must still have.
    pub expected: Option<u64>,
}

/// A change of a group's members.
#[derive(Debug, Clone)]
pub struct ModifyMembers {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The group.
    pub group: GroupId,
    /// Those that shall be in.
    pub add: Vec<DeviceId>,
    /// Those that shall not.
    pub remove: Vec<DeviceId>,
    /// The revision the group must still have.
    pub expected: Option<u64>,
}

impl Commands {
    /// Defines a group. The same request again finds the group it defined.
    ///
    /// # Errors
    /// Refused when the name is in use or no name, and when the request id defined another group.
    pub async fn define_group(
        &self,
        define: DefineGroup,
        order: &Order,
        queries: &Queries,
    ) -> Result<Executed<Group>, Failure> {
        let DefineGroup { tenant, display_name, rule } = define;
        let _turn = self.naming.lock().await;
        queries.catch_up(&self.log).await?;
        let namesake = queries.group_named(tenant, &display_name).map(|by| group::Error::NameTaken { by });
        let obstacle =
            namesake.or_else(|| queries.obstacle(tenant, &Rule::parse(rule.as_deref()?).ok()?, None));
        let context = self.context(order);
        let command = group::Command::Define { display_name, rule, obstacle, now: context.time };
        Ok(self.group((tenant, group_id(tenant, order.request)), &command, order, &context).await?)
    }

    /// Changes the rule of a dynamic group.
    ///
    /// # Errors
    /// Refused when there is no such group or it is static, when it moved on, and when the rule does not hold.
    pub async fn change_rule(
        &self,
        change: ChangeRule,
        order: &Order,
        queries: &Queries,
    ) -> Result<Executed<Group>, Failure> {
        let ChangeRule { tenant, group, rule, expected } = change;
        let _turn = self.naming.lock().await;
        queries.catch_up(&self.log).await?;
        let parsed = Rule::parse(&rule).ok();
        let obstacle = parsed.and_then(|rule| queries.obstacle(tenant, &rule, Some(group)));
        let command = group::Command::ChangeRule { rule, obstacle, expected };
        Ok(self.group((tenant, group), &command, order, &self.context(order)).await?)
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// Refused when there is no such group, and when it moved on.
    pub async fn delete_group(
        &self,
        group: (TenantId, GroupId),
        expected: Option<u64>,
        order: &Order,
    ) -> Result<Executed<Group>, Failure> {
        let context = self.context(order);
        let command = group::Command::Delete { expected, now: context.time };
        Ok(self.group(group, &command, order, &context).await?)
    }

    /// Lets devices into a group and out of it, as one change.
    ///
    /// # Errors
    /// Refused when there is no such group, when it moved on, when the change contradicts itself, and when a device is
    /// unknown or removed.
    pub async fn modify_members(
        &self,
        modify: ModifyMembers,
        order: &Order,
        queries: &Queries,
    ) -> Result<Executed<Group>, Failure> {
        let ModifyMembers { tenant, group, add, remove, expected } = modify;
        let _reading = self.membership.read().await;
        // A device may have come in a moment ago: only what all of the log does not know is unknown.
        queries.catch_up(&self.log).await?;
        let context = self.context(order);
        let command = group::Command::ModifyMembers {
            add: queries.registered_ordinals(&add).map_err(Failure::Device)?,
            remove: queries.ordinals(&remove).map_err(Failure::Device)?,
            expected,
            now: context.time,
        };
        Ok(self.group((tenant, group), &command, order, &context).await?)
    }

    /// Takes devices that are registered no longer out of the groups that have them, an event for each group; gives the
    /// position of the last one. Doing it again changes nothing.
    ///
    /// # Errors
    /// When the log does not answer or the views are too far behind.
    pub async fn leave_groups(
        &self,
        tenant: TenantId,
        positions: &Positions,
        gone: &RoaringBitmap,
        queries: &Queries,
    ) -> Result<Written, Failure> {
        let _writing = self.membership.write().await;
        queries.catch_up(&self.log).await?;
        // One that is back was let into the groups it is in now.
        let gone = queries.removed_among(gone);
        let groups = queries.groups_with_any(tenant, &gone);
        let at = positions.to_string();
        let leave = |id| {
            let (gone, at) = (gone.clone(), &at);
            async move {
                let order = resolving(id, LEFT, &[at.as_bytes(), &wire::bitmap_bytes(&gone)]);
                let context = self.context(&order);
                let command = group::Command::Leave { gone, now: context.time };
                self.group_anew((tenant, id), &command, &order, &context).await
            }
        };
        written(groups.into_iter().map(leave)).await
    }

    /// Takes over what the rules of groups say; gives the position of the last event. Doing it again changes nothing, and
    /// what a former rule said changes nothing either.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn resolve_groups(
        &self,
        tenant: TenantId,
        positions: &Positions,
        answers: Vec<Answer>,
    ) -> Result<Written, Failure> {
        let resolve = |Answer { group: id, rule, verdict }| async move {
            let Verdict { within, inside, unknown } = &verdict;
            let within = within.as_ref().map(wire::bitmap_bytes).unwrap_or_default();
            let (inside, unknown) = (wire::bitmap_bytes(inside), wire::bitmap_bytes(unknown));
            let at = positions.to_string();
            let order =
                resolving(id, RESOLVED, &[at.as_bytes(), rule.as_bytes(), &within, &inside, &unknown]);
            let context = self.context(&order);
            let command = group::Command::Resolve { rule, verdict, now: context.time };
            self.group_anew((tenant, id), &command, &order, &context).await
        };
        written(answers.into_iter().map(resolve)).await
    }

    /// As [`Commands::group`], for what the views say there is to do. A copy in memory may be older than the views: another
    /// call may have written, and not noted it yet. What it calls done already is decided again on what the log holds.
    async fn group_anew(
        &self,
        (tenant, id): (TenantId, GroupId),
        command: &group::Command,
        order: &Order,
        context: &Context,
    ) -> Result<Executed<Group>, ExecuteError<group::Error>> {
        let done = self.group((tenant, id), command, order, context).await?;
        if done.position.is_some() {
            return Ok(done);
        }
        self.groups.forget(StreamId::new(tenant, Group::AGGREGATE, id.uuid()));
        self.group((tenant, id), command, order, context).await
    }

    async fn group(
        &self,
        (tenant, id): (TenantId, GroupId),
        command: &group::Command,
        order: &Order,
        context: &Context,
    ) -> Result<Executed<Group>, ExecuteError<group::Error>> {
        let stream = StreamId::new(tenant, Group::AGGREGATE, id.uuid());
        let decide = |group: &Group| group.decide(command);
        if order.validate_only {
            return self.groups.rehearse(&self.log, stream, decide).await;
        }
        self.groups.execute(&self.log, stream, order.request, context, decide).await
    }
}

/// What this service does to a group on its own account, as far as it was told at a position. The same answer to the same
/// question is the same request: what the log did not acknowledge is not told twice.
fn resolving(group: GroupId, why: &str, asked: &[&[u8]]) -> Order {
    let parts: Vec<_> = [group.as_bytes().as_slice()].into_iter().chain(asked.iter().copied()).collect();
    Order::of(Actor::service(Service::Identity), RequestId::from_uuid(derive(why, &parts)))
}

/// The id of the group that a request defines.
#[must_use]
pub fn group_id(tenant: TenantId, request: RequestId) -> GroupId {
    GroupId::from_uuid(derive("group", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}
