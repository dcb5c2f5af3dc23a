//! Reading one stream. What its JetStream stream's leader has decides; replicas only bring what is long settled.

use std::time::Duration;

use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::{Message, StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use muster_types::{Service, StreamId, Version};

use super::heads::Head;
use super::{Link, header};
use crate::{Envelope, ReadError};

/// Events fetched one by one from the leader, last first; more are fetched in pages from any replica.
const WALK_EVENTS_MAX: u64 = 8;
/// Events in one page.
const PAGE_EVENTS_MAX: u64 = 256;
/// Bytes in one page.
const PAGE_BYTES_MAX: u64 = 8 * 1_024 * 1_024;
/// How long the next event of a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a subscription looks whether the log really ends before the position it was asked to go on from.
const REACH_LOOKS_MAX: u32 = 5;
const REACH_PAUSE: Duration = Duration::from_millis(500);

/// An event as the servers have it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) event: Envelope,
    /// Sequence of the event before it in its stream; 0 when there is none.
    before: u64,
}

#[expect(clippy::needless_pass_by_value, reason = "it stands as it is in `map_err`")]
pub(super) fn unavailable(reason: impl ToString) -> ReadError {
    ReadError::Unavailable { reason: reason.to_string() }
}

/// Which message is wanted of the leader.
enum Which<'a> {
    LastOn(&'a StreamId),
    At(u64),
}

impl Link {
    /// The last position of a service's part, as the leader has it.
    pub(super) async fn head(&self, service: Service) -> Result<u64, ReadError> {
        let info = self.part(service).stream.get_info().await.map_err(unavailable)?;
        Ok(info.state.last_sequence)
    }

    /// Whether the log reaches a position that a reader says it has seen.
    pub(super) async fn reaches(&self, service: Service, position: u64) -> Result<(), ReadError> {
        if position == 0 {
            return Ok(());
        }
        let mut last = 0;
        for look in 0..REACH_LOOKS_MAX {
            if look > 0 {
                tokio::time::sleep(REACH_PAUSE).await;
            }
            last = self.head(service).await?;
            if last >= position {
                return Ok(());
            }
        }
        let reason = format!("the log ends at position {last}, but a reader has seen {position}");
        Err(ReadError::Corrupt { service, position, reason })
    }

    pub(super) async fn read(&self, stream: StreamId, after: Version) -> Result<Vec<Envelope>, ReadError> {
        let Some(last) = self.last(&stream).await? else { return Ok(Vec::new()) };
        self.since(last, after).await
    }

    /// The last event of a stream, as the leader has it; remembered for the next append.
    pub(super) async fn last(&self, stream: &StreamId) -> Result<Option<Stored>, ReadError> {
        let stored = self.fetch(stream.service(), Which::LastOn(stream)).await?;
        if let Some(stored) = &stored {
            self.heads.put(*stream, Head::from(&stored.event));
        }
        Ok(stored)
    }

    /// The events of a stream after a version, up to `last`.
    pub(super) async fn since(&self, last: Stored, after: Version) -> Result<Vec<Envelope>, ReadError> {
        if last.event.version <= after {
            return Ok(Vec::new());
        }
        let mut events = if last.event.version.0 - after.0 > WALK_EVENTS_MAX {
            self.settled(&last, after).await?
        } else {
            Vec::new()
        };
        let known = events.last().map_or(after, |event| event.version);
        let rest = self.walk(last, known).await?;
        events.extend(rest.into_iter().rev());
        Ok(events)
    }

    /// The events from `last` back to the one after `after`, last first, one by one from the leader.
    async fn walk(&self, last: Stored, after: Version) -> Result<Vec<Envelope>, ReadError> {
        let (service, stream) = (last.event.stream.service(), last.event.stream);
        let mut events = Vec::new();
        let mut at = last;
        while at.event.version > after {
            let before = at.before;
            let version = at.event.version;
            events.push(at.event);
            if version.0 == after.0 + 1 {
                break;
            }
            let gone = |reason: String| ReadError::Corrupt { service, position: before, reason };
            at = self
                .fetch(service, Which::At(before))
                .await?
                .ok_or_else(|| gone(format!("the event before version {version} of {stream} is gone")))?;
            if at.event.stream != stream || at.event.version.next() != version {
                return Err(gone(format!("it is not the event before version {version} of {stream}")));
            }
        }
        Ok(events)
    }

    async fn fetch(&self, service: Service, which: Which<'_>) -> Result<Option<Stored>, ReadError> {
        let request = self.part(service).stream.raw_message_builder();
        let request = match which {
            Which::LastOn(stream) => request.last_by_subject(stream.subject()),
            Which::At(sequence) => request.sequence(sequence),
        };
        match request.send().await {
            Ok(message) => {
                stored(service, &message.subject, message.sequence, &message.headers, message.payload)
                    .map(Some)
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The events after `after` that a replica has, in order and without a gap, possibly not up to `last`.
    async fn settled(&self, last: &Stored, after: Version) -> Result<Vec<Envelope>, ReadError> {
        let mut events: Vec<Envelope> = Vec::new();
        let mut sequence = 1;
        let mut known = Version::NONE;
        while known < last.event.version {
            let page = self.page(last, sequence).await?;
            let Some(end) = page.last() else { break };
            sequence = end.position + 1;
            for event in page {
                if event.version != known.next() {
                    return Ok(events);
                }
                known = event.version;
                if known > after {
                    events.push(event);
                }
            }
        }
        Ok(events)
    }

    /// One page of a stream's events by direct get, from a sequence on.
    async fn page(&self, last: &Stored, sequence: u64) -> Result<Vec<Envelope>, ReadError> {
        let service = last.event.stream.service();
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(unavailable)?;
        let request = format!(
            r#"{{"seq":{sequence},"next_by_subj":"{}","batch":{PAGE_EVENTS_MAX},"max_bytes":{PAGE_BYTES_MAX}}}"#,
            last.event.stream.subject()
        );
        let subject = format!("$JS.API.DIRECT.GET.{}", self.part(service).name);
        self.client.publish_with_reply(subject, inbox, request.into()).await.map_err(unavailable)?;
        let mut events: Vec<Envelope> = Vec::new();
        while let Ok(Some(answer)) = tokio::time::timeout(PAGE_TIMEOUT, answers.next()).await {
            if !matches!(answer.status, None | Some(StatusCode::OK)) {
                return Ok(events);
            }
            let event = direct(service, answer)?;
            if event.position > last.event.position {
                return Ok(events);
            }
            events.push(event);
        }
        Ok(events)
    }
}

fn stored(
    service: Service,
    subject: &str,
    sequence: u64,
    headers: &async_nats::HeaderMap,
    payload: Bytes,
) -> Result<Stored, ReadError> {
    let corrupt = |reason| ReadError::Corrupt { service, position: sequence, reason };
    let event = header::decode(subject, sequence, headers, payload).map_err(corrupt)?;
    let before = header::sequence_before(sequence, headers)
        .ok_or_else(|| corrupt("it does not tell where the event before it is".to_owned()))?;
    Ok(Stored { event, before })
}

/// An event as direct get brings it: where it was stored is told by headers.
fn direct(service: Service, message: Message) -> Result<Envelope, ReadError> {
    let headers = message.headers.unwrap_or_default();
    let text = |name: &str| headers.get(name).map_or("", |value| value.as_str());
    let sequence: u64 =
        text("Nats-Sequence").parse().map_err(|_| unavailable("an answer has no sequence"))?;
    header::decode(text("Nats-Subject"), sequence, &headers, message.payload)
        .map_err(|reason| ReadError::Corrupt { service, position: sequence, reason })
}
