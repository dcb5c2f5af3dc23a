//! Boots that take turns.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::policy::v1 as pb;
use muster_types::Aggregate;

use super::{decoded, encoded, kind, request};
use crate::domain::session::{self, Session};

impl State for Session {
    const AGGREGATE: Aggregate = Aggregate::Session;
    type Event = session::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let session::Event::TurnsObserved { boots, request: _ } = event;
        let boot_ids = boots.iter().map(|boot| boot.to_vec()).collect();
        encoded(kind::DUPLICATE_SESSIONS, &pb::DuplicateSessionsObserved { boot_ids })
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::DUPLICATE_SESSIONS {
            return Ok(None);
        }
        let pb::DuplicateSessionsObserved { boot_ids } = decoded(envelope)?;
        let boots: Vec<[u8; 16]> = boot_ids
            .iter()
            .map(|boot| boot[..].try_into().map_err(|_| "a boot id has 16 bytes".to_owned()))
            .collect::<Result<_, _>>()?;
        let boots = boots.try_into().map_err(|_| "two boots take turns".to_owned())?;
        Ok(Some(session::Event::TurnsObserved { boots, request: request(envelope) }))
    }
}
