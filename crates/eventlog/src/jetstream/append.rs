//! Appending: publish with the expected last sequence, and look at the leader whenever the answer leaves a doubt.

use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use async_nats::jetstream::ErrorCode;
use async_nats::{HeaderMap, Request, client::RequestErrorKind};
use bytes::Bytes;
use muster_types::{Digest, Version};
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::heads::Head;
use super::{Link, PAUSE_FIRST, PAUSE_MAX, header};
use crate::memory::check;
use crate::{Append, AppendError, Appended, Envelope, ReadError};

/// Room for headers beside the payload in the servers' `max_payload`, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1_024;

/// The servers' answer to a publish.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// What one try at publishing came to.
enum Tried {
    /// Acknowledged at this sequence.
    Done { position: u64, duplicate: bool },
    /// Whether it is in the log must be looked up: a conflict, a duplicate, or no answer at all.
    Doubt { reason: String },
    /// Nothing was written and nothing will be by trying again.
    Refused(AppendError),
}

/// What the leader has, compared with an append.
enum Seen {
    /// All of it, ending at this position.
    All { position: u64 },
    /// None of it, and every stream is at its expected version.
    None { heads: Vec<Head> },
}

impl Link {
    pub(super) async fn append(&self, appends: &[Append]) -> Result<Appended, AppendError> {
        check(appends)?;
        self.fits(appends)?;
        let _place = self.flights.acquire().await.expect("it is never closed");
        let deadline = Instant::now() + self.options.append_timeout;
        let mut pause = PAUSE_FIRST;
        let mut heads = self.remembered(appends);
        let mut reason = String::new();
        loop {
            if heads.is_none() {
                match self.look(appends).await {
                    Ok(Seen::All { position }) => return Ok(Appended { position }),
                    Ok(Seen::None { heads: seen }) => heads = Some(seen),
                    Err(Looked::Conflict(conflict)) => return Err(conflict),
                    Err(Looked::Failed(failure)) => reason = failure.to_string(),
                }
                // The first look follows at once; the later ones give the servers time.
                if !reason.is_empty() {
                    if Instant::now() + pause >= deadline {
                        return Err(AppendError::Unknown { reason });
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            let Some(expected) = heads.take() else { continue };
            match self.publish(appends, &expected).await {
                Tried::Done { position, duplicate: false } => return Ok(Appended { position }),
                Tried::Done { position, duplicate: true } => {
                    appends.iter().for_each(|append| self.heads.forget(&append.stream));
                    return Ok(Appended { position });
                }
                Tried::Refused(error) if reason.is_empty() => return Err(error),
                // An earlier try may yet have gone through.
                Tried::Refused(error) => reason = error.to_string(),
                Tried::Doubt { reason: doubt } => {
                    appends.iter().for_each(|append| self.heads.forget(&append.stream));
                    reason = doubt;
                }
            }
        }
    }

    fn fits(&self, appends: &[Append]) -> Result<(), AppendError> {
        let max = self.client.max_payload().saturating_sub(HEADER_BYTES_MAX);
        let largest = appends.iter().flat_map(|append| &append.events).map(|event| event.payload.len()).max();
        match largest {
            Some(found) if max > 0 && found > max => Err(AppendError::TooLarge { found, max }),
            _ => Ok(()),
        }
    }

    /// The streams' heads, if all are known without asking, and as the writer believes.
    fn remembered(&self, appends: &[Append]) -> Option<Vec<Head>> {
        appends
            .iter()
            .map(|append| match self.heads.get(&append.stream) {
                Some(head) => (head.version == append.expected).then_some(head),
                None => (append.expected == Version::NONE).then_some(Head::default()),
            })
            .collect()
    }

    /// Compares the append with what the leader has.
    async fn look(&self, appends: &[Append]) -> Result<Seen, Looked> {
        let mut heads = Vec::with_capacity(appends.len());
        let mut position = 0;
        let (mut repeated, mut conflict) = (None, None);
        for append in appends {
            let last = self.last(&append.stream).await?;
            let head = last.as_ref().map_or(Head::default(), |last| Head::from(&last.event));
            if head.version == append.expected {
                heads.push(head);
                continue;
            }
            let stored = match last {
                Some(last) if head.version > append.expected => self.since(last, append.expected).await?,
                _ => Vec::new(),
            };
            let ids = stored.iter().take(append.events.len()).map(|event| event.event_id);
            if ids.eq(append.events.iter().map(|event| event.id)) {
                position = stored[append.events.len() - 1].position.max(position);
                repeated.get_or_insert((append, head.version));
            } else {
                conflict.get_or_insert((append, head.version));
            }
        }
        // Where some are there and some are not, it is not this append that brought them: it is all or nothing.
        let half = repeated.filter(|_| !heads.is_empty());
        match conflict.or(half) {
            Some((append, found)) => Err(Looked::conflict(append, found)),
            None if repeated.is_some() => Ok(Seen::All { position }),
            None => Ok(Seen::None { heads }),
        }
    }

    async fn publish(&self, appends: &[Append], heads: &[Head]) -> Tried {
        let last = match appends {
            [append] if append.events.len() == 1 => self.publish_one(append, heads[0]).await,
            _ => self.publish_batch(appends, heads).await,
        };
        match last {
            Ok(tried) => tried,
            Err(reason) => Tried::Doubt { reason },
        }
    }

    async fn publish_one(&self, append: &Append, head: Head) -> Result<Tried, String> {
        let event = envelope(append, 0, head.version, head.hash);
        let headers = header::encode(&event, Some(head.sequence));
        let tried = self.request(append.stream.subject(), headers, event.payload.clone()).await?;
        if let Tried::Done { position, duplicate: false } = &tried {
            let hash = event.hash();
            self.heads.put(append.stream, Head { version: event.version, sequence: *position, hash });
        }
        Ok(tried)
    }

    /// Publishes all events as one atomic batch. The servers store a batch without anything in between, so that the
    /// events' sequences follow from that of the last.
    async fn publish_batch(&self, appends: &[Append], heads: &[Head]) -> Result<Tried, String> {
        let batch = Uuid::new_v4().simple().to_string();
        let count: usize = appends.iter().map(|append| append.events.len()).sum();
        let mut ends = Vec::with_capacity(appends.len());
        let mut number = 0;
        let mut outcome = None;
        for (append, head) in appends.iter().zip(heads) {
            let subject = append.stream.subject();
            let mut end = *head;
            for index in 0..append.events.len() {
                let event = envelope(append, index, end.version, end.hash);
                let mut headers = header::encode(&event, (index == 0).then_some(head.sequence));
                number += 1;
                headers.insert(NATS_BATCH_ID, batch.as_str());
                headers.insert(NATS_BATCH_SEQUENCE, async_nats::HeaderValue::from(number));
                end = Head { version: event.version, sequence: number as u64, hash: event.hash() };
                if number == count {
                    headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
                    outcome = Some(self.request(subject.clone(), headers, event.payload).await?);
                } else {
                    self.client
                        .publish_with_headers(subject.clone(), headers, event.payload)
                        .await
                        .map_err(|error| error.to_string())?;
                }
            }
            ends.push((append.stream, end));
        }
        let tried = outcome.expect("a checked append holds an event");
        if let Tried::Done { position, duplicate: false } = &tried {
            for (stream, end) in ends {
                let sequence = *position + end.sequence - count as u64;
                self.heads.put(stream, Head { sequence, ..end });
            }
        }
        Ok(tried)
    }

    async fn request(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<Tried, String> {
        let request =
            Request::new().headers(headers).payload(payload).timeout(Some(self.options.ack_timeout));
        let answer = match self.client.send_request(subject, request).await {
            Ok(answer) => answer,
            Err(error) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                let max = self.client.max_payload();
                return Ok(Tried::Refused(AppendError::TooLarge { found: max + 1, max }));
            }
            Err(error) => return Err(error.to_string()),
        };
        let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
        Ok(match answer.error {
            None => Tried::Done { position: answer.seq, duplicate: answer.duplicate },
            Some(refusal) => judge(refusal),
        })
    }
}

/// What a refusal by the servers means for the append.
fn judge(Refusal { err_code, description }: Refusal) -> Tried {
    let reason = format!("{description} ({err_code})");
    match ErrorCode(err_code) {
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED => Tried::Refused(AppendError::Full { reason }),
        // The store's own limits ("maximum bytes exceeded") come under the code of any failed write.
        ErrorCode::STREAM_STORE_FAILED if description.contains("maximum") => {
            Tried::Refused(AppendError::Full { reason })
        }
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            Tried::Refused(AppendError::Invalid { reason })
        }
        _ => Tried::Doubt { reason },
    }
}

/// Why a look did not tell.
enum Looked {
    Conflict(AppendError),
    Failed(ReadError),
}

impl Looked {
    fn conflict(append: &Append, found: Version) -> Self {
        Self::Conflict(AppendError::Conflict { stream: append.stream, expected: append.expected, found })
    }
}

impl From<ReadError> for Looked {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

/// The envelope of an append's event; its position is not known yet.
fn envelope(append: &Append, index: usize, before: Version, prev_hash: Digest) -> Envelope {
    let event = &append.events[index];
    Envelope {
        position: 0,
        event_id: event.id,
        stream: append.stream,
        version: before.next(),
        kind: event.kind.clone(),
        context: append.context.clone(),
        prev_hash,
        payload: event.payload.clone(),
    }
}
