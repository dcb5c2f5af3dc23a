//! What check-ins tell besides: who was there, and whether one identity lives twice. In memory, apart from the view and
//! its lock; a restart forgets it.

use std::sync::Arc;
use std::time::Duration;

use muster_eventlog::command::append_surely;
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Actor, Append, AppendError, Context, EventType, NewEvent};
use muster_proto::policy::v1::DevicesSeen;
use muster_types::id::derive;
use muster_types::{Aggregate, Clock, EventId, RequestId, Service, StreamId, TenantId, Version};
use parking_lot::Mutex;
use prost::Message as _;
use roaring::RoaringBitmap;
use tokio_util::sync::CancellationToken;

use crate::domain::session::{BootId, Held, Run, Seen, Verdict, observe};
use crate::metrics::PolicyMetrics;
use crate::wire::kind;

/// Parts, each with its own lock, by the last bits of the ordinal.
const PARTS: usize = 64;
/// Devices whose memory is taken together.
const BLOCK: usize = 64;
/// Ordinals that one event tells of: whoever of them was there, their bitmap takes less than the 512 KiB of a payload
/// (8 KiB for each 65,536).
const ORDINALS_PER_EVENT: u32 = 56 << 16;
/// How often an event is appended anew when another process was first.
const CONFLICTS_MAX: u32 = 16;

/// Who was there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Attendance(Arc<[Mutex<Part>]>);

#[derive(Debug, Default)]
struct Part {
    there: RoaringBitmap,
    /// Blocks by themselves: one list of all takes twice the room while it grows, and is copied.
    seen: Vec<Box<[Seen; BLOCK]>>,
}

/// What a check-in shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Two machines take turns, and that was not told yet.
    pub turns: Option<[BootId; 2]>,
    /// The device should say anew all it knows: its agent was restarted, its machine was put back to an earlier state, or
    /// check-ins were not seen.
    pub full_state: bool,
    /// The device needs its policy though the etag in force is right: the last one did not get there, or is gone again.
    pub again: bool,
}

impl Default for Attendance {
    fn default() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }
}

impl Attendance {
    /// Notes a check-in of a device and the version it says is in force, and judges both by what was seen before. While the
    /// device is in quarantine, machines that take turns are judged already.
    #[must_use]
    pub fn note(&self, ordinal: u32, run: Run, version: u64, quarantined: bool) -> Noted {
        self.with(ordinal, |part, seen| {
            part.insert(ordinal);
            let (verdict, held) = (observe(seen, run), seen.holds(version));
            let told = seen.is_suspected();
            let turns = match verdict {
                Verdict::TakingTurns(other) if !told && !quarantined => Some([other, run.boot()]),
                Verdict::New
                | Verdict::Same
                | Verdict::Repeated
                | Verdict::Skipped
                | Verdict::Restarted
                | Verdict::Restored
                | Verdict::TakingTurns(_) => None,
            };
            if quarantined || turns.is_some() {
                seen.suspected(turns.is_some());
            }
            let restored = verdict == Verdict::Restored || held == Held::WentBack;
            let full_state = restored || matches!(verdict, Verdict::Skipped | Verdict::Restarted);
            Noted { turns, full_state, again: restored || held == Held::Earlier }
        })
    }

    /// Notes that a policy was signed for a device.
    pub fn signed(&self, ordinal: u32, version: u64) {
        self.with(ordinal, |_, seen| seen.signed(version));
    }

    /// Forgets that a suspicion was told, since it could not be.
    pub fn untold(&self, ordinal: u32) {
        self.with(ordinal, |_, seen| seen.suspected(false));
    }

    fn with<T>(&self, ordinal: u32, change: impl FnOnce(&mut RoaringBitmap, &mut Seen) -> T) -> T {
        let (part, at) = (ordinal as usize % PARTS, ordinal as usize / PARTS);
        let mut part = self.0[part].lock();
        while part.seen.len() <= at / BLOCK {
            part.seen.push(Box::new([Seen::default(); BLOCK]));
        }
        let Part { there, seen } = &mut *part;
        change(there, &mut seen[at / BLOCK][at % BLOCK])
    }

    /// Takes out who was there since the last time.
    #[must_use]
    pub fn take(&self) -> RoaringBitmap {
        let taken = self.0.iter().map(|part| std::mem::take(&mut part.lock().there));
        taken.fold(RoaringBitmap::new(), |all, there| all | there)
    }

    /// Puts back who could not be told of.
    fn put_back(&self, there: &RoaringBitmap) {
        for ordinal in there {
            self.0[ordinal as usize % PARTS].lock().there.insert(ordinal);
        }
    }
}

/// Tells the log from time to time which devices were there.
pub struct Presence {
    /// Who was there.
    pub attendance: Attendance,
    /// The tenant served.
    pub tenant: TenantId,
    /// Where it is told.
    pub log: SharedLog,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// How often.
    pub every: Duration,
    /// Numbers.
    pub metrics: PolicyMetrics,
}

impl Presence {
    /// Tells until the process stops, and then once more.
    pub async fn run(self, stopping: CancellationToken) {
        let mut version = Version::NONE;
        loop {
            let last = tokio::select! {
                () = stopping.cancelled() => true,
                () = tokio::time::sleep(self.every) => false,
            };
            self.tell(&mut version).await;
            if last {
                return;
            }
        }
    }

    /// Appends who was there; nothing when nobody was.
    async fn tell(&self, version: &mut Version) {
        for there in pieces(self.attendance.take()) {
            if let Err(error) = self.append(&there, version).await {
                tracing::warn!(%error, devices = there.len(), "who was there is told later");
                self.attendance.put_back(&there);
            } else {
                self.metrics.presence_told(there.len());
            }
        }
    }

    /// Appends one event. The stream is long and never read: its version is learned from conflicts.
    async fn append(&self, there: &RoaringBitmap, version: &mut Version) -> Result<(), AppendError> {
        let request = RequestId::generate();
        let mut devices = Vec::with_capacity(there.serialized_size());
        there.serialize_into(&mut devices).expect("writing to memory cannot fail");
        let event = NewEvent {
            id: EventId::of_request(request, 0),
            kind: EventType::new(kind::DEVICES_SEEN),
            payload: DevicesSeen { devices }.encode_to_vec().into(),
        };
        let context = Context {
            actor: Actor::service(Service::Policy),
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: None,
        };
        let stream = stream(self.tenant);
        let mut conflicts = 0;
        loop {
            let append =
                Append { stream, expected: *version, events: vec![event.clone()], context: context.clone() };
            match append_surely(&self.log, vec![append]).await {
                Ok(_) => {
                    *version = version.next();
                    return Ok(());
                }
                Err(AppendError::Conflict { found, .. }) if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    *version = found;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where a tenant's presence is told.
#[must_use]
pub fn stream(tenant: TenantId) -> StreamId {
    StreamId::new(tenant, Aggregate::Presence, derive("presence", &[tenant.as_str().as_bytes()]))
}

/// Parts of a bitmap, none empty, each small enough for one event.
fn pieces(mut rest: RoaringBitmap) -> Vec<RoaringBitmap> {
    let mut pieces = Vec::new();
    while let Some(first) = rest.min() {
        let end = (first / ORDINALS_PER_EVENT).saturating_add(1).saturating_mul(ORDINALS_PER_EVENT);
        let mut piece = rest.clone();
        if end > first {
            piece.remove_range(end..);
            rest.remove_range(..end);
        } else {
            rest.clear();
        }
        piece.optimize();
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests;
