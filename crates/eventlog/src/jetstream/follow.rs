//! Following a service's part of the log: an ephemeral consumer that acknowledges nothing, thrown away and made anew
//! from the last position whenever it breaks, is silent while the log grows, or leaves one out.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use futures::StreamExt as _;
use muster_types::Service;
use tokio_util::sync::CancellationToken;

use super::read::unavailable;
use super::{Link, PAUSE_FIRST, PAUSE_MAX, header};
use crate::log::Feed;
use crate::{Delivery, Envelope, ReadError};

/// Events in one delivery.
const DELIVERY_EVENTS_MAX: usize = 1_024;
/// Events, and bytes with their headers, that the servers send ahead of the reader.
const AHEAD_EVENTS_MAX: usize = 4_096;
const AHEAD_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Silence of the servers after which a consumer is taken for lost is twice this.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long one request for events stands.
const REQUEST_LIFE: Duration = Duration::from_secs(30);
/// After this much silence the leader is asked whether there is more.
const WATCHDOG: Duration = Duration::from_secs(20);
/// The servers drop a consumer nobody asks any more after this.
const ABANDONED: Duration = Duration::from_secs(60);

/// Why a consumer was given up.
enum End {
    /// Nobody reads any more.
    Unread,
    /// The log holds what cannot be read.
    Corrupt(ReadError),
    /// It broke; the next goes on from the last position.
    Broken(String),
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { reason } => Self::Broken(reason),
            corrupt @ ReadError::Corrupt { .. } => Self::Corrupt(corrupt),
        }
    }
}

/// Follows until the reader or the log is gone.
pub(super) async fn run(
    link: Arc<Link>,
    service: Service,
    after: u64,
    sender: Feed,
    closed: CancellationToken,
) {
    let mut follower = Follower { link, service, position: after, told: None, fruitful: false, sender };
    let following = async {
        let mut pause = PAUSE_FIRST;
        loop {
            follower.fruitful = false;
            match follower.follow().await {
                End::Unread => return,
                End::Corrupt(error) => return drop(follower.sender.send(Err(error)).await),
                End::Broken(reason) => {
                    let position = follower.position;
                    tracing::debug!(%service, position, reason, "following the log anew");
                }
            }
            pause = if follower.fruitful { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = follower.sender.closed() => return,
            }
        }
    };
    tokio::select! {
        () = following => {}
        () = closed.cancelled() => {}
    }
}

struct Follower {
    link: Arc<Link>,
    service: Service,
    /// Of the last event handed on.
    position: u64,
    /// The last position the reader was told to have caught up with.
    told: Option<u64>,
    /// Whether this consumer brought anything.
    fruitful: bool,
    sender: Feed,
}

impl Follower {
    /// Follows by one consumer, to its end.
    async fn follow(&mut self) -> End {
        let mut delivered = 0;
        let messages = match self.consume().await {
            Ok(messages) => messages,
            Err(end) => return end,
        };
        let mut chunks = Box::pin(messages.ready_chunks(DELIVERY_EVENTS_MAX));
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                () = self.sender.closed() => return End::Unread,
                () = tokio::time::sleep(WATCHDOG) => match self.link.head(self.service).await {
                    Ok(head) if head > self.position => return End::Broken("it fell silent".to_owned()),
                    _ => continue,
                },
            };
            let Some(chunk) = chunk else { return End::Broken("it ended".to_owned()) };
            let outcome = self.take(chunk, &mut delivered).await;
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    async fn consume(&mut self) -> Result<pull::Stream, End> {
        let config = pull::Config {
            description: Some(format!("muster: a reader of {}", self.service)),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.position + 1 },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            inactive_threshold: ABANDONED,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer =
            self.link.part(self.service).stream.create_consumer(config).await.map_err(unavailable)?;
        if consumer.cached_info().num_pending == 0 {
            // A replica may be behind; the leader knows whether there is really nothing more.
            if self.link.head(self.service).await? <= self.position {
                self.tell_caught_up().await?;
            }
        }
        consumer
            .stream()
            .max_messages_per_batch(AHEAD_EVENTS_MAX)
            .max_bytes_per_batch(AHEAD_BYTES_MAX)
            .heartbeat(HEARTBEAT)
            .expires(REQUEST_LIFE)
            .messages()
            .await
            .map_err(|error| End::Broken(error.to_string()))
    }

    /// Hands on what came. What came before a break in it is handed on too.
    async fn take(
        &mut self,
        chunk: Vec<Result<Message, pull::MessagesError>>,
        delivered: &mut u64,
    ) -> Result<(), End> {
        let mut events = Vec::with_capacity(chunk.len());
        let mut pending = 1;
        let mut end = Ok(());
        for message in chunk {
            match message
                .map_err(|error| End::Broken(error.to_string()))
                .and_then(|message| self.open(message, delivered))
            {
                Ok((event, left)) => {
                    pending = left;
                    events.push(event);
                }
                Err(broken) => {
                    end = Err(broken);
                    break;
                }
            }
        }
        if let Some(last) = events.last() {
            self.position = last.position;
            self.fruitful = true;
            self.sender.send(Ok(Delivery::Events(events))).await.map_err(|_| End::Unread)?;
        }
        if pending == 0 && end.is_ok() {
            self.tell_caught_up().await?;
        }
        end
    }

    fn open(&self, message: Message, delivered: &mut u64) -> Result<(Envelope, u64), End> {
        let info = message.info().map_err(|error| End::Broken(error.to_string()))?;
        let (position, count, pending) = (info.stream_sequence, info.consumer_sequence, info.pending);
        if count != *delivered + 1 {
            return Err(End::Broken(format!("it went from its message {delivered} to {count}")));
        }
        *delivered = count;
        let Message { message, context: _ } = message;
        let headers = message.headers.unwrap_or_default();
        let event = header::decode(&message.subject, position, &headers, message.payload)
            .map_err(|reason| End::Corrupt(ReadError::Corrupt { service: self.service, position, reason }))?;
        Ok((event, pending))
    }

    async fn tell_caught_up(&mut self) -> Result<(), End> {
        if self.told == Some(self.position) {
            return Ok(());
        }
        self.told = Some(self.position);
        self.sender.send(Ok(Delivery::CaughtUp(self.position))).await.map_err(|_| End::Unread)
    }
}
