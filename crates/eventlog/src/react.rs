//! Reactions: what a service does because of events, its own or others'.
//!
//! A reaction runs beside the views and never inside one: folding again has no side effects. It is told of each event at
//! least once, in the order of its log; what it does must be harmless when done again (event ids derived from the source
//! event, see `EventId::of_reaction`).

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, select};
use muster_types::{EventId, Service};
use tokio::task::spawn_blocking;

use crate::kv::{Batch, Kv};
use crate::log::SharedLog;
use crate::project::Source;
use crate::{Delivery, Envelope};

/// Pause before a reaction that failed is tried again; doubled each time, at most [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Most events that are told again after a crash.
pub const REPEATED_MAX: usize = 64;
/// Position and event id.
const CHECKPOINT_BYTES: usize = 8 + 16;

/// Tells `react` of each event of the `sources`, from where the reaction of this name was last, until `stopping`.
///
/// An event whose reaction fails is tried again with growing pauses until it succeeds: those behind it in the same log
/// wait, those of other logs do not. A reaction that wants to pass over an event says `Ok`. What was reached is kept in
/// `kv`, at the latest after [`REPEATED_MAX`] events; without it, or with another log in place, the reaction starts from
/// the beginning.
///
/// A damaged log ends the reaction to that log, with an error in the log of the process.
pub async fn follow<F, R, E>(
    log: SharedLog,
    kv: Arc<dyn Kv>,
    name: &'static str,
    sources: &'static [Service],
    react: F,
    stopping: impl Future<Output = ()>,
) where
    F: Fn(Envelope) -> R,
    R: Future<Output = Result<(), E>>,
    E: Display,
{
    let followers = sources.iter().map(|&service| {
        let follower = Follower { log: log.clone(), kv: kv.clone(), name, service };
        let react = &react;
        async move {
            let after = follower.reached().await;
            follower.run(after, react).await;
        }
    });
    // A reaction under way is dropped: it will be told again.
    select(pin!(stopping), pin!(join_all(followers))).await;
}

/// One reaction to one log.
struct Follower {
    log: SharedLog,
    kv: Arc<dyn Kv>,
    name: &'static str,
    service: Service,
}

impl Follower {
    fn key(&self) -> Vec<u8> {
        [b"\0react\0", self.name.as_bytes(), &[0, self.service as u8]].concat()
    }

    /// The position last kept, if the log still has that event there.
    async fn reached(&self) -> u64 {
        let (kv, key) = (self.kv.clone(), self.key());
        let stored = match spawn_blocking(move || kv.get(&key)).await {
            Ok(Ok(Some(stored))) => stored,
            Ok(Ok(None)) => return 0,
            Ok(Err(_)) | Err(_) => {
                self.warn("its checkpoint cannot be read; it starts from the beginning");
                return 0;
            }
        };
        let Some((position, event)) = decode(&stored) else {
            self.warn("its checkpoint cannot be read; it starts from the beginning");
            return 0;
        };
        let source = Source::new(self.log.clone(), self.service, position - 1, self.name);
        if source.has(position, event).await {
            position
        } else {
            self.warn("its checkpoint is of another log; it starts from the beginning");
            0
        }
    }

    async fn run<F, R, E>(&self, mut after: u64, react: &F)
    where
        F: Fn(Envelope) -> R,
        R: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut source = Source::new(self.log.clone(), self.service, after, self.name);
        loop {
            let events = match source.next().await {
                Ok(Delivery::Events(events)) => events,
                Ok(Delivery::CaughtUp(_)) => continue,
                Err(error) => {
                    tracing::error!(reaction = self.name, service = %self.service, %error, "the reaction stopped");
                    return;
                }
            };
            for part in events.chunks(REPEATED_MAX) {
                for event in part.iter().filter(|event| event.position > after) {
                    self.surely(event, react).await;
                }
                if let Some(last) = part.last().filter(|last| last.position > after) {
                    after = last.position;
                    self.keep(last.position, last.event_id).await;
                }
            }
        }
    }

    /// Tells of one event until it goes through.
    async fn surely<F, R, E>(&self, event: &Envelope, react: &F)
    where
        F: Fn(Envelope) -> R,
        R: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut pause = PAUSE_FIRST;
        while let Err(error) = react(event.clone()).await {
            let (reaction, kind, position) = (self.name, event.kind.as_str(), event.position);
            tracing::warn!(reaction, kind, position, %error, "the reaction failed; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn keep(&self, position: u64, event: EventId) {
        let value = [&position.to_be_bytes()[..], event.as_bytes()].concat();
        let (kv, key) = (self.kv.clone(), self.key());
        let batch = Batch { puts: vec![(key, value)], deletes: Vec::new() };
        let kept = spawn_blocking(move || kv.apply(batch)).await;
        if !matches!(kept, Ok(Ok(()))) {
            self.warn("its checkpoint cannot be kept; more will be repeated after a restart");
        }
    }

    fn warn(&self, what: &str) {
        tracing::warn!(reaction = self.name, service = %self.service, "{what}");
    }
}

fn decode(stored: &[u8]) -> Option<(u64, EventId)> {
    let stored: &[u8; CHECKPOINT_BYTES] = stored.try_into().ok()?;
    let (position, event) = stored.split_first_chunk()?;
    let position = u64::from_be_bytes(*position);
    Some((position, EventId::from_slice(event).ok()?)).filter(|_| position > 0)
}
