//! The log as its users see it.

use std::sync::Arc;

use futures::future::BoxFuture;
use muster_errors::{ErrorCode, Fault};
use muster_types::{Service, StreamId, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{Context, Envelope, NewEvent};

/// Most events that one append may hold.
pub const APPEND_EVENTS_MAX: usize = 1_000;

/// Events for one stream, with what the writer believes its version to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// The version the decision was based on.
    pub expected: Version,
    /// At least one event.
    pub events: Vec<NewEvent>,
    /// What the events have in common.
    pub context: Context,
}

/// The log has it, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Position of the last event of the append.
    pub position: u64,
}

/// The log does not have it, or does not say.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream moved on. Nothing was written; decide again.
    #[error("stream {stream} moved on: expected version {expected}, found {found}")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the writer believed.
        expected: Version,
        /// What the log has.
        found: Version,
    },
    /// No acknowledgement came; the events may or may not be in the log. Append again with the same event ids.
    #[error("the log did not acknowledge: {reason}")]
    Unknown {
        /// What the log's engine said.
        reason: String,
    },
    /// The append breaks a rule of the log; nothing was written.
    #[error("the append is not acceptable: {reason}")]
    Invalid {
        /// Which rule, with the limit.
        reason: String,
    },
    /// An event is larger than the log takes; nothing was written.
    #[error("an event of {found} bytes is larger than the {max} bytes the log takes")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// No room; nothing was written.
    #[error("the log has no room: {reason}")]
    Full {
        /// What the engine said.
        reason: String,
    },
    /// The log took no append since a failed write or a broken chain; an operator must look.
    #[error("the log is read-only: {reason}")]
    ReadOnly {
        /// What happened.
        reason: String,
    },
}

impl AppendError {
    /// The code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Conflict { .. } => ErrorCode::LogConflict,
            Self::Unknown { .. } => ErrorCode::LogUnavailable,
            Self::Invalid { .. } => ErrorCode::Internal,
            Self::TooLarge { .. } => ErrorCode::EventTooLarge,
            Self::Full { .. } => ErrorCode::DiskFull,
            Self::ReadOnly { .. } => ErrorCode::LogReadOnly,
        }
    }

    /// The failure as users see it.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(self.code(), self.to_string())
    }
}

/// The log could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The engine does not answer; try again.
    #[error("the log cannot be read now: {reason}")]
    Unavailable {
        /// What the engine said.
        reason: String,
    },
    /// What is stored is not what was written: a gap, a broken chain, an unreadable record.
    #[error("the log is damaged at {service} position {position}: {reason}")]
    Corrupt {
        /// Whose part of the log.
        service: Service,
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
}

impl ReadError {
    /// The code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } => ErrorCode::LogUnavailable,
            Self::Corrupt { .. } => ErrorCode::LogCorrupt,
        }
    }

    /// The failure as users see it.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(self.code(), self.to_string())
    }
}

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Events in log order; never empty.
    Events(Vec<Envelope>),
    /// Everything up to this position was delivered; sent once after catching up, and again whenever the reader
    /// has caught up once more.
    CaughtUp(u64),
}

/// A subscription to one service's part of the log: first what is there, then what comes. Dropping it ends it.
///
/// A reader that stalls holds up nobody but itself: whoever feeds it waits, and what waits for it is bounded in number
/// and in bytes.
#[derive(Debug)]
pub struct Subscription(mpsc::Receiver<(Result<Delivery, ReadError>, OwnedSemaphorePermit)>);

/// Deliveries that wait for a slow reader.
pub const SUBSCRIPTION_QUEUE_MAX: usize = 16;
/// Bytes of events that wait for a slow reader; a delivery that is larger waits alone.
pub const SUBSCRIPTION_BYTES_MAX: u32 = 2 * 1_024 * 1_024;
/// What an event is counted as beside its payload, in bytes.
const ENVELOPE_BYTES: usize = 256;

/// The end that feeds a [`Subscription`].
#[derive(Debug)]
pub struct Feed {
    sender: mpsc::Sender<(Result<Delivery, ReadError>, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// Nobody reads the subscription any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads any more")]
pub struct Unread;

impl Feed {
    /// Hands a delivery on, as soon as there is room.
    ///
    /// # Errors
    /// [`Unread`] when the subscription was dropped.
    pub async fn send(&self, delivery: Result<Delivery, ReadError>) -> Result<(), Unread> {
        let share = delivery.as_ref().map_or(0, Delivery::bytes);
        let share = u32::try_from(share).unwrap_or(u32::MAX).min(SUBSCRIPTION_BYTES_MAX);
        let permit = tokio::select! {
            permit = self.room.clone().acquire_many_owned(share) => permit.map_err(|_| Unread)?,
            () = self.sender.closed() => return Err(Unread),
        };
        self.sender.send((delivery, permit)).await.map_err(|_| Unread)
    }

    /// Waits until the subscription is dropped.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

impl Delivery {
    /// How much memory it stands for, roughly.
    fn bytes(&self) -> usize {
        match self {
            Self::Events(events) => events.iter().map(|event| event.payload.len() + ENVELOPE_BYTES).sum(),
            Self::CaughtUp(_) => 0,
        }
    }
}

impl Subscription {
    /// A subscription and the end that feeds it.
    #[must_use]
    pub fn channel() -> (Feed, Self) {
        let (sender, receiver) = mpsc::channel(SUBSCRIPTION_QUEUE_MAX);
        let room = Arc::new(Semaphore::new(SUBSCRIPTION_BYTES_MAX as usize));
        (Feed { sender, room }, Self(receiver))
    }

    /// Waits for the next delivery; `None` when the log was closed. Safe to cancel.
    ///
    /// # Errors
    /// [`ReadError`], after which the subscription is over: subscribe again from the last position seen.
    pub async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        self.0.recv().await.map(|(delivery, _room)| delivery).transpose()
    }
}

/// An append-only log in four parts, one a service.
///
/// Guarantees that every implementation gives, each with a case in [`crate::conformance`]:
/// - an append is all or nothing, and durable before it is acknowledged;
/// - of racing appends to one stream with the same expected version exactly one wins;
/// - an append repeated with the same event ids is acknowledged at its first position, and writes nothing;
/// - events of one service are delivered in one order to everybody, those of a stream without a gap;
/// - `prev_hash` links each event to the one before it in its stream.
pub trait EventLog: Send + Sync + 'static {
    /// Appends to one or more streams of one service, all or nothing. One event for one stream is the cheap form;
    /// more are for facts that must stand or fall together.
    ///
    /// # Errors
    /// See [`AppendError`]; only `Unknown` leaves open whether something was written.
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Reads a stream after a version, in order, up to what was acknowledged before the call.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>>;

    /// Follows a service's part of the log after a position (0: from the beginning).
    ///
    /// # Errors
    /// See [`ReadError`].
    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>>;

    /// Position of the last event of a service's part; 0 when there is none.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>>;
}

/// A log shared by the parts of a process.
pub type SharedLog = Arc<dyn EventLog>;
