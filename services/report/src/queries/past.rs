//! How a device stood at a past moment: the view's own fold, over the events that concern this one device.
//!
//! What many devices share an event of is read from the tenant's streams and cut down to the one device, which is then the
//! only one of a view made for the answer. The cost is that of these streams up to the moment, whatever else the logs hold.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Envelope;
use muster_eventlog::as_of::{Cut, Moments};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{Dirty, View as _};
use muster_proto::log::v1::AsOf;
use muster_proto::policy::v1 as policy;
use muster_types::id::derive;
use muster_types::{Aggregate, DeviceId, PolicyId, SettingId, StreamId, TenantId, Version};
use prost::Message as _;
use roaring::RoaringBitmap;

use super::{At, Queries};
use crate::domain::standing::DeviceStanding;
use crate::projection::Standings;

/// The ordinal of the only device of a view.
const ALONE: u32 = 0;

/// Answers for past moments. Cheap to clone.
#[derive(Clone)]
pub struct Past {
    log: SharedLog,
    moments: Moments,
}

impl Past {
    /// Answers from a log.
    #[must_use]
    pub const fn new(log: SharedLog, moments: Moments) -> Self {
        Self { log, moments }
    }

    /// Where the logs are cut off at a moment; `None` when that is now.
    ///
    /// # Errors
    /// Those of [`Moments::resolve`].
    pub async fn cut(&self, as_of: &AsOf) -> Result<Option<Cut>, Fault> {
        self.moments.resolve(as_of).await
    }

    /// How a device stood at a cut; `None` when there was no such device. The answer is that of [`Queries::device`] at
    /// these positions.
    ///
    /// # Errors
    /// Those of the log, `LOG_CORRUPT` too when an event is damaged.
    pub async fn device(
        &self,
        now: &Queries,
        (tenant, device): (TenantId, DeviceId),
        setting: Option<&SettingId>,
        cut: Cut,
    ) -> Result<Option<At<DeviceStanding>>, Fault> {
        let Some(ordinal) = now.ordinal(device) else { return Ok(None) };
        let events = self.events(tenant, device, ordinal, &cut).await?;
        let (mut alone, mut dirty) = (Standings::default(), Dirty::everything());
        for event in &events {
            alone.apply(event, &mut dirty).map_err(|error| corrupt(event, &error.to_string()))?;
        }
        let answer = alone.device(tenant, device, setting);
        Ok(answer.map(|answer| At { answer, positions: cut.positions, time: Some(cut.time) }))
    }

    /// The events up to a cut that concern a device.
    async fn events(
        &self,
        tenant: TenantId,
        device: DeviceId,
        ordinal: u32,
        cut: &Cut,
    ) -> Result<Vec<Envelope>, Fault> {
        let mut events = Vec::new();
        for aggregate in [Aggregate::Registration, Aggregate::Enrollment, Aggregate::DeviceStatus] {
            events.extend(self.stream(StreamId::new(tenant, aggregate, device.uuid()), cut).await?);
        }
        let mut policies = BTreeSet::new();
        for (aggregate, name) in [
            (Aggregate::Resolution, "resolution"),
            (Aggregate::Delivery, "delivery"),
            (Aggregate::Presence, "presence"),
        ] {
            let id = derive(name, &[tenant.as_str().as_bytes()]);
            for event in self.stream(StreamId::new(tenant, aggregate, id), cut).await? {
                let alone = cut_down(event, ordinal, &mut policies)?;
                events.extend(alone);
            }
        }
        for id in policies {
            events.extend(self.stream(StreamId::new(tenant, Aggregate::Policy, id.uuid()), cut).await?);
        }
        Ok(events)
    }

    async fn stream(&self, stream: StreamId, cut: &Cut) -> Result<Vec<Envelope>, Fault> {
        let end = cut.positions.get(stream.aggregate.service());
        let mut events = self.log.read(stream, Version::NONE).await?;
        events.truncate(events.partition_point(|event| event.position <= end));
        Ok(events)
    }
}

fn corrupt(event: &Envelope, problem: &str) -> Fault {
    Fault::new(ErrorCode::LogCorrupt, format!("{} at {}: {problem}", event.kind.as_str(), event.position))
}

/// Leaves of an event of many devices what concerns the one of an ordinal; none when nothing does. Notes which policies
/// are named. What resolutions say is kept for whom it concerns later.
fn cut_down(
    event: Envelope,
    ordinal: u32,
    policies: &mut BTreeSet<PolicyId>,
) -> Result<Option<Envelope>, Fault> {
    let payload = &event.payload[..];
    let wrong = |problem: String| corrupt(&event, &problem);
    let only = |bitmap: &[u8]| only(bitmap, ordinal).map_err(wrong);
    let payload = match event.kind.as_str() {
        "muster.policy.v1.EffectivePoliciesChanged" => {
            let mut message = decoded::<policy::EffectivePoliciesChanged>(payload).map_err(wrong)?;
            message.none = only(&message.none)?;
            // Other devices may have it still.
            message.restated = false;
            for resolved in &mut message.resolved {
                resolved.devices = only(&resolved.devices)?;
                let named = resolved.resolution.iter().flat_map(|resolution| &resolution.policies);
                policies.extend(named.filter_map(|policy| PolicyId::from_slice(&policy.policy_id).ok()));
            }
            message.encode_to_vec()
        }
        "muster.policy.v1.PoliciesDelivered" => {
            let mut message = decoded::<policy::PoliciesDelivered>(payload).map_err(wrong)?;
            for delivered in &mut message.delivered {
                delivered.devices = only(&delivered.devices)?;
            }
            message.encode_to_vec()
        }
        "muster.policy.v1.DevicesSeen" => {
            let message = decoded::<policy::DevicesSeen>(payload).map_err(wrong)?;
            policy::DevicesSeen { devices: only(&message.devices)? }.encode_to_vec()
        }
        _ => return Ok(None),
    };
    Ok(Some(Envelope { payload: payload.into(), ..event }))
}

fn decoded<M: prost::Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(|error| error.to_string())
}

/// A bitmap of the only device, or an empty one.
fn only(bitmap: &[u8], ordinal: u32) -> Result<Vec<u8>, String> {
    if bitmap.is_empty() {
        return Ok(Vec::new());
    }
    let all = RoaringBitmap::deserialize_from(bitmap).map_err(|error| error.to_string())?;
    let alone: RoaringBitmap = all.contains(ordinal).then_some(ALONE).into_iter().collect();
    let mut bytes = Vec::new();
    alone.serialize_into(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
