//! Why a device is or is not in a group, now or at a past moment: answered from the log, by the same rules as every day.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Envelope;
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::FoldError;
use muster_types::{
    Aggregate, DeviceId, DirectoryDeviceId, GroupId, Positions, ResourceName, Service, StreamId, TenantId,
    Version,
};

use super::Queries;
use crate::domain::group;
use crate::domain::rule::Rule;
use crate::projection::histories::{Definition, Histories, Step};
use crate::projection::membership::alone::{Alone, Brought, Said};

/// Why a device is or is not in a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Membership {
    /// The group's name for people.
    pub display_name: String,
    /// Whether the device is in.
    pub member: bool,
    /// The step that last brought it in or took it out.
    pub changed: Option<Step>,
    /// What the group is.
    pub defined: Definition,
    /// What the rule says of the device; none for a static group.
    pub said: Option<Said>,
    /// Up to where the logs were asked.
    pub positions: Positions,
}

/// What the steps of groups say of a device.
struct Known {
    display_name: String,
    defined: Definition,
    member: bool,
    changed: Option<Step>,
}

impl Queries {
    /// Where the views are now: what is asked now is answered there.
    #[must_use]
    pub fn now(&self) -> Positions {
        let positions = self.membership.read().positions();
        let identity = self.histories.read().positions().get(Service::Identity);
        Positions::of(Service::Enroll, positions.get(Service::Enroll))
            .join(Positions::of(Service::Identity, identity))
    }

    /// Says why a device is or is not in a group at these positions. Reads the device's own events from the log.
    ///
    /// # Errors
    /// `GROUP_UNKNOWN` when the group was not there then, `DEVICE_UNKNOWN` for a device that was never trusted; those of
    /// the log.
    pub async fn explain_membership(
        &self,
        log: &SharedLog,
        (tenant, group): (TenantId, GroupId),
        device: DeviceId,
        cut: &Positions,
    ) -> Result<Membership, Fault> {
        let identity = cut.get(Service::Identity);
        let ordinal = self.registrations.read().ordinal(device);
        let ordinal = ordinal.ok_or_else(|| {
            let name = ResourceName::Device(tenant, device);
            Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {name}")).with("device", name)
        })?;
        let known = known(&self.histories.read(), (tenant, group), ordinal, identity);
        let Known { display_name, defined, member, changed } = known.ok_or(group::Error::Unknown)?;
        let rule = defined.rule.as_deref().map(Rule::parse).transpose()?;
        let said = match &rule {
            None => None,
            Some(rule) => {
                let events = own_events(log, tenant, device, cut).await?;
                let groups = named_groups(&self.histories.read(), rule, ordinal, identity);
                Some(said(rule, device, &events, &groups).map_err(|error| damaged(&error))?)
            }
        };
        Ok(Membership { display_name, member, changed, defined, said, positions: *cut })
    }
}

fn known(
    histories: &Histories,
    (tenant, group): (TenantId, GroupId),
    ordinal: u32,
    position: u64,
) -> Option<Known> {
    let history = histories.get(group).filter(|history| history.tenant == tenant)?;
    let defined = history.at(position)?.clone();
    let (member, changed) = history.member(ordinal, position);
    Some(Known { display_name: history.display_name.to_string(), defined, member, changed })
}

/// The static groups that a rule names and a device is in at a position.
#[must_use]
pub fn named_groups(
    histories: &Histories,
    rule: &Rule,
    ordinal: u32,
    position: u64,
) -> Vec<(GroupId, Option<Brought>)> {
    let named = rule.source_groups().iter().filter_map(|name| name.parse::<GroupId>().ok());
    let inside = named.filter_map(|id| {
        let history = histories.get(id)?;
        history.at(position).filter(|defined| defined.rule.is_none())?;
        let (member, changed) = history.member(ordinal, position);
        let brought = changed.map(|Step { position, time, actor: _ }| Brought {
            service: Service::Identity,
            position,
            time,
        });
        member.then_some((id, brought))
    });
    inside.collect()
}

/// What a rule says of a device, by the device's own events: of enroll, and of identity, each in log order.
///
/// # Errors
/// [`FoldError`] when an event is damaged.
pub fn said(
    rule: &Rule,
    device: DeviceId,
    (enroll, identity): &(Vec<Envelope>, Vec<Envelope>),
    groups: &[(GroupId, Option<Brought>)],
) -> Result<Said, FoldError> {
    let mut alone = Alone::new(device, rule);
    let (mut enroll, mut identity) = (enroll.iter().peekable(), identity.iter().peekable());
    // By time between the two, so that a fact is of the event that brought it first; in log order within each.
    loop {
        let first = match (enroll.peek(), identity.peek()) {
            (Some(a), Some(b)) if b.context.time < a.context.time => identity.next(),
            (Some(_), _) => enroll.next(),
            (None, _) => identity.next(),
        };
        let Some(event) = first else { break };
        alone.fold(event)?;
    }
    Ok(alone.said(groups))
}

/// Events that tell of a device, up to a cut: of enroll, and of identity, each in log order.
async fn own_events(
    log: &SharedLog,
    tenant: TenantId,
    device: DeviceId,
    cut: &Positions,
) -> Result<(Vec<Envelope>, Vec<Envelope>), Fault> {
    let read = async |aggregate: Aggregate, id| {
        let mut events = log.read(StreamId::new(tenant, aggregate, id), Version::NONE).await?;
        events.retain(|event| event.position <= cut.get(aggregate.service()));
        Ok::<_, Fault>(events)
    };
    let enroll = read(Aggregate::Enrollment, device.uuid()).await?;
    let mut identity = read(Aggregate::Registration, device.uuid()).await?;
    let mut records: Vec<DirectoryDeviceId> = Vec::new();
    for event in &identity {
        records.extend(Alone::directory_device(event).map_err(|error| damaged(&error))?);
    }
    records.sort_unstable();
    records.dedup();
    for record in records {
        identity.extend(read(Aggregate::DirectoryDevice, record.uuid()).await?);
    }
    identity.sort_by_key(|event| event.position);
    Ok((enroll, identity))
}

fn damaged(error: &FoldError) -> Fault {
    Fault::new(ErrorCode::LogCorrupt, error.to_string())
}
