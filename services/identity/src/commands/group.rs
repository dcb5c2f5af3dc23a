//! Commands on groups.

use muster_eventlog::command::{ExecuteError, Executed, State as _};
use muster_eventlog::{Context, Envelope};
use muster_types::id::derive;
use muster_types::{DeviceId, GroupId, RequestId, StreamId, TenantId};
use roaring::RoaringBitmap;

use super::{Commands, Order};
use crate::domain::group::{self, Group};
use crate::domain::rule::Rule;
use crate::error::Failure;
use crate::queries::Queries;

/// Whose turn it is when groups lose a device; event ids follow from it.
const LEFT: &str = "groups-left";

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

    /// Takes a device that was removed out of all groups; tells out of how many. An event for each, with ids that follow
    /// from the removal: doing it again changes nothing.
    ///
    /// # Errors
    /// When the log does not answer or the views are too far behind.
    pub async fn leave_groups(&self, removal: &Envelope, queries: &Queries) -> Result<usize, Failure> {
        let tenant = removal.stream.tenant;
        let device = DeviceId::from_uuid(removal.stream.id);
        let _writing = self.membership.write().await;
        queries.catch_up(&self.log).await?;
        // One that is back was let into the groups it is in now.
        let Some(ordinal) = queries.ordinal_of_removed(device) else { return Ok(0) };
        let order = Order::because(removal, LEFT);
        let context = self.context(&order);
        let groups = queries.groups_of(tenant, ordinal);
        for group in &groups {
            let command = group::Command::ModifyMembers {
                add: RoaringBitmap::new(),
                remove: RoaringBitmap::from_iter([ordinal]),
                expected: None,
                now: context.time,
            };
            self.group((tenant, *group), &command, &order, &context).await?;
        }
        Ok(groups.len())
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

/// The id of the group that a request defines.
#[must_use]
pub fn group_id(tenant: TenantId, request: RequestId) -> GroupId {
    GroupId::from_uuid(derive("group", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}
