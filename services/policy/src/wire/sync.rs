//! What was asked of devices' syncs.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::policy::v1 as pb;
use muster_types::Aggregate;

use super::{decoded, encoded, kind, request};
use crate::domain::sync::{self, Sync};

impl State for Sync {
    const AGGREGATE: Aggregate = Aggregate::Sync;
    type Event = sync::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let sync::Event::Requested { request: _ } = event;
        encoded(kind::SYNC_REQUESTED, &pb::PolicySyncRequested {})
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::SYNC_REQUESTED {
            return Ok(None);
        }
        let pb::PolicySyncRequested {} = decoded(envelope)?;
        Ok(Some(sync::Event::Requested { request: request(envelope) }))
    }
}
