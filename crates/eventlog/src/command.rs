//! The way in: load, decide, append with the expected version.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use muster_types::{Aggregate, EventId, RequestId, Service, StreamId, Version};
use parking_lot::Mutex;

use crate::log::SharedLog;
use crate::{Append, AppendError, Context, Envelope, EventType, NewEvent, ReadError};

/// How often a command is decided anew when others write first.
pub const CONFLICT_RETRIES_MAX: u32 = 16;
/// How often an append without acknowledgement is repeated, with the same event ids.
pub const UNKNOWN_RETRIES_MAX: u32 = 8;
/// Pause before the first repeat; doubled each time, at most [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Aggregates a [`Repository`] keeps in memory; the oldest go when there are more.
pub const CACHED_AGGREGATES_MAX: usize = 100_000;

/// State that is a fold of events, and nothing else.
pub trait State: Default + Clone + Send + Sync + 'static {
    /// The kind of aggregate.
    const AGGREGATE: Aggregate;
    /// Its events, in the domain's words.
    type Event: Send + Sync;

    /// Folds one event. Pure: no clock, no randomness, no I/O.
    fn evolve(&mut self, event: &Self::Event);
    /// The event's type and bytes for the log.
    fn encode(event: &Self::Event) -> (EventType, Vec<u8>);
    /// Reads an event of this aggregate back, upcasting old forms; `None` for a type this version does not know.
    ///
    /// # Errors
    /// A description of what is wrong with the bytes.
    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String>;
}

/// A command did not go through.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R> {
    /// The rules refused it; nothing was written.
    #[error("refused")]
    Refused(R),
    /// The log refused it or did not answer.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The aggregate could not be loaded.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed<S> {
    /// The aggregate after it.
    pub state: S,
    /// Its version after it.
    pub version: Version,
    /// Position of the last event written; `None` when there was nothing to do.
    pub position: Option<u64>,
}

/// Loads aggregates of one kind and writes their events. Keeps recent ones in memory; the expected version makes
/// a stale copy harmless.
#[derive(Debug)]
pub struct Repository<S: State> {
    cache: Mutex<HashMap<StreamId, (S, Version)>>,
}

impl<S: State> Default for Repository<S> {
    fn default() -> Self {
        Self { cache: Mutex::default() }
    }
}

impl<S: State> Repository<S> {
    /// The aggregate as far as this process knows it, read from the log if it is not in memory.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read or holds what cannot be decoded.
    pub async fn load(&self, log: &SharedLog, stream: StreamId) -> Result<(S, Version), ReadError> {
        if let Some(known) = self.cache.lock().get(&stream) {
            return Ok(known.clone());
        }
        self.refresh(log, stream, (S::default(), Version::NONE)).await
    }

    async fn refresh(
        &self,
        log: &SharedLog,
        stream: StreamId,
        (mut state, mut version): (S, Version),
    ) -> Result<(S, Version), ReadError> {
        for envelope in log.read(stream, version).await? {
            let event = S::decode(&envelope).map_err(|reason| ReadError::Corrupt {
                service: stream.service(),
                position: envelope.position,
                reason,
            })?;
            if let Some(event) = event {
                state.evolve(&event);
            }
            version = envelope.version;
        }
        self.remember(stream, state.clone(), version);
        Ok((state, version))
    }

    /// Puts an aggregate that was just written into memory.
    pub fn remember(&self, stream: StreamId, state: S, version: Version) {
        let mut cache = self.cache.lock();
        if cache.len() >= CACHED_AGGREGATES_MAX && !cache.contains_key(&stream) {
            cache.clear();
        }
        if cache.get(&stream).is_none_or(|(_, known)| *known < version) {
            cache.insert(stream, (state, version));
        }
    }

    /// Forgets an aggregate, so that the next load reads the log.
    pub fn forget(&self, stream: StreamId) {
        self.cache.lock().remove(&stream);
    }

    /// Runs a command on one aggregate: `decide` gets its state and answers with events (none: nothing to do).
    /// When another writer was first, it is asked again about the new state; when the log does not acknowledge, the
    /// same events are appended again.
    ///
    /// # Errors
    /// [`ExecuteError`]; only an [`AppendError::Unknown`] in it leaves open whether something was written.
    pub async fn execute<R>(
        &self,
        log: &SharedLog,
        stream: StreamId,
        request: RequestId,
        context: &Context,
        decide: impl Fn(&S) -> Result<Vec<S::Event>, R>,
    ) -> Result<Executed<S>, ExecuteError<R>> {
        let mut conflicts = 0;
        loop {
            let (mut state, version) = self.load(log, stream).await?;
            let events = decide(&state).map_err(ExecuteError::Refused)?;
            if events.is_empty() {
                return Ok(Executed { state, version, position: None });
            }
            let append = prepare::<S>(stream, version, request, context, &events);
            match append_surely(log, vec![append]).await {
                Ok(appended) => {
                    events.iter().for_each(|event| state.evolve(event));
                    let version = Version(version.0 + events.len() as u64);
                    self.remember(stream, state.clone(), version);
                    return Ok(Executed { state, version, position: Some(appended.position) });
                }
                Err(AppendError::Conflict { .. }) if conflicts < CONFLICT_RETRIES_MAX => {
                    conflicts += 1;
                    self.forget(stream);
                }
                Err(error) => {
                    self.forget(stream);
                    return Err(error.into());
                }
            }
        }
    }

    /// Asks what a command would come to, and writes nothing: for `validate_only`.
    ///
    /// # Errors
    /// [`ExecuteError`], as [`Repository::execute`] would refuse it now.
    pub async fn rehearse<R>(
        &self,
        log: &SharedLog,
        stream: StreamId,
        decide: impl Fn(&S) -> Result<Vec<S::Event>, R>,
    ) -> Result<Executed<S>, ExecuteError<R>> {
        let (mut state, version) = self.load(log, stream).await?;
        decide(&state).map_err(ExecuteError::Refused)?.iter().for_each(|event| state.evolve(event));
        Ok(Executed { state, version, position: None })
    }
}

/// Makes the append of a command's events. Event ids follow from the request, so that a retry brings the same ones.
#[must_use]
pub fn prepare<S: State>(
    stream: StreamId,
    expected: Version,
    request: RequestId,
    context: &Context,
    events: &[S::Event],
) -> Append {
    let events = (0..)
        .zip(events)
        .map(|(index, event)| {
            let (kind, payload) = S::encode(event);
            NewEvent { id: event_id(stream, request, index), kind, payload: payload.into() }
        })
        .collect();
    Append { stream, expected, events, context: context.clone() }
}

/// The id of the `index`-th event that a request makes on a stream.
#[must_use]
pub fn event_id(stream: StreamId, request: RequestId, index: u32) -> EventId {
    let salt = RequestId::from_uuid(muster_types::id::derive(
        "request-on-stream",
        &[request.as_bytes(), &[stream.aggregate as u8], stream.id.as_bytes()],
    ));
    EventId::of_request(salt, index)
}

/// Appends, and appends the same again while the log does not say whether it has it.
///
/// # Errors
/// [`AppendError`]; `Unknown` once the repeats are used up.
pub async fn append_surely(log: &SharedLog, appends: Vec<Append>) -> Result<crate::Appended, AppendError> {
    let mut pause = PAUSE_FIRST;
    for _ in 0..UNKNOWN_RETRIES_MAX {
        match log.append(appends.clone()).await {
            Err(AppendError::Unknown { .. }) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            outcome => return outcome,
        }
    }
    log.append(appends).await
}

/// Runs a fallible read again a few times while the log is unavailable.
///
/// # Errors
/// The last [`ReadError`].
pub async fn read_surely<T, F: Future<Output = Result<T, ReadError>>>(
    read: impl Fn() -> F,
) -> Result<T, ReadError> {
    let mut pause = PAUSE_FIRST;
    for _ in 0..UNKNOWN_RETRIES_MAX {
        match read().await {
            Err(ReadError::Unavailable { .. }) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            outcome => return outcome,
        }
    }
    read().await
}

/// The service whose part of the log a state is written to.
#[must_use]
pub const fn service_of<S: State>() -> Service {
    S::AGGREGATE.service()
}
