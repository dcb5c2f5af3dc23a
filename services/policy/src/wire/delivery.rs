//! What went out to devices.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{moment, timestamp};
use muster_proto::policy::v1 as pb;
use muster_types::Aggregate;

use super::{bitmap, bytes_of, decoded, digest, encoded, kind};
use crate::domain::delivery::{Delivered, Event, Step};

/// What went out, as a stream: nothing is decided by it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delivery;

impl State for Delivery {
    const AGGREGATE: Aggregate = Aggregate::Delivery;
    type Event = Event;

    fn evolve(&mut self, _event: &Self::Event) {}

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let Event { delivered, first } = event;
        let delivered = delivered.iter().map(|Delivered { etag, step, devices }| pb::Delivered {
            etag: etag.to_vec(),
            step: to_step(*step).into(),
            devices: bytes_of(devices),
        });
        let message =
            pb::PoliciesDelivered { delivered: delivered.collect(), first_time: first.map(timestamp) };
        encoded(kind::POLICIES_DELIVERED, &message)
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::POLICIES_DELIVERED {
            return Ok(None);
        }
        let pb::PoliciesDelivered { delivered, first_time } = decoded(envelope)?;
        let delivered = delivered.into_iter().map(|delivered| {
            let step = from_step(delivered.step())?;
            let pb::Delivered { etag, step: _, devices } = delivered;
            Ok::<_, String>(Delivered { etag: digest(&etag)?, step, devices: bitmap(&devices)? })
        });
        Ok(Some(Event { delivered: delivered.collect::<Result<_, _>>()?, first: first_time.map(moment) }))
    }
}

const fn to_step(step: Step) -> pb::DeliveryStep {
    match step {
        Step::Sent => pb::DeliveryStep::Sent,
        Step::Applying => pb::DeliveryStep::Applying,
        Step::Refused => pb::DeliveryStep::Refused,
    }
}

fn from_step(step: pb::DeliveryStep) -> Result<Step, String> {
    match step {
        pb::DeliveryStep::Unspecified => Err("step: must be set".to_owned()),
        pb::DeliveryStep::Sent => Ok(Step::Sent),
        pb::DeliveryStep::Applying => Ok(Step::Applying),
        pb::DeliveryStep::Refused => Ok(Step::Refused),
    }
}
