//! What was asked of devices' syncs.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::policy::v1 as pb;
use muster_types::Aggregate;
use roaring::RoaringBitmap;

use super::{decoded, encoded, kind, request};
use crate::domain::sync::{self, Sync};

impl State for Sync {
    const AGGREGATE: Aggregate = Aggregate::Sync;
    type Event = sync::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            sync::Event::Requested { request: _ } => {
                encoded(kind::SYNC_REQUESTED, &pb::PolicySyncRequested {})
            }
            sync::Event::ManyRequested { devices: asked, request: _ } => {
                let mut devices = Vec::with_capacity(asked.serialized_size());
                asked.serialize_into(&mut devices).expect("writing to memory cannot fail");
                encoded(kind::DEVICES_SYNC_REQUESTED, &pb::DevicesSyncRequested { devices })
            }
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        let request = request(envelope);
        Ok(match envelope.kind.as_str() {
            kind::SYNC_REQUESTED => {
                let pb::PolicySyncRequested {} = decoded(envelope)?;
                Some(sync::Event::Requested { request })
            }
            kind::DEVICES_SYNC_REQUESTED => {
                let pb::DevicesSyncRequested { devices } = decoded(envelope)?;
                let devices =
                    RoaringBitmap::deserialize_from(&devices[..]).map_err(|error| error.to_string())?;
                Some(sync::Event::ManyRequested { devices, request })
            }
            _ => None,
        })
    }
}
