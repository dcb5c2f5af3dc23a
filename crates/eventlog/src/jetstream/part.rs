//! The JetStream stream that holds one service's part of the log.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType, Stream,
};
use muster_types::Service;
use tokio::time::Instant;
use uuid::Uuid;

use super::{ConnectError, Options, PAUSE_FIRST, PAUSE_MAX};

/// How long the servers remember event ids. Repeats that come later are found by their stream's version.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Metadata key of the identity a JetStream stream gets when it is made.
const INCARNATION: &str = "muster-incarnation";
/// Metadata key of the format of what is in it.
const FORMAT: &str = "muster-format";
const FORMAT_NOW: &str = "1";

/// A service's part of the log.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) incarnation: String,
    pub(super) stream: Stream<()>,
}

fn wanted(service: Service, replicas: usize) -> Config {
    Config {
        name: format!("MUSTER_{}", service.as_str().to_ascii_uppercase()),
        description: Some(format!("Muster: the {service} service's part of the log")),
        subjects: vec![format!("muster.v1.{service}.>")],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: replicas,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        duplicate_window: DUPLICATE_WINDOW,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: HashMap::from([
            (INCARNATION.to_owned(), Uuid::now_v7().to_string()),
            (FORMAT.to_owned(), FORMAT_NOW.to_owned()),
        ]),
        ..Config::default()
    }
}

/// What an existing JetStream stream has otherwise than the log needs it.
fn mismatches(found: &Config, wanted: &Config) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |fine: bool, what: &str| {
        if !fine {
            wrong.push(what.to_owned());
        }
    };
    check(found.subjects == wanted.subjects, &format!("subjects must be {:?}", wanted.subjects));
    check(found.retention == wanted.retention, "retention must be limits");
    check(found.storage == wanted.storage, "storage must be file");
    check(found.discard == wanted.discard, "discard must be new");
    check(
        found.num_replicas == wanted.num_replicas,
        &format!("replicas are {}, configured are {}", found.num_replicas, wanted.num_replicas),
    );
    check(found.max_age.is_zero(), "max_age must be unlimited");
    check(found.max_messages_per_subject <= 0, "max_msgs_per_subject must be unlimited");
    check(found.deny_delete && found.deny_purge, "deny_delete and deny_purge must be set");
    check(found.allow_direct && found.allow_atomic_publish, "allow_direct and allow_atomic must be set");
    check(found.duplicate_window >= wanted.duplicate_window, "duplicate_window must be 2 minutes or more");
    check(found.persist_mode != Some(PersistenceMode::Async), "persist_mode must not be async");
    check(!found.no_ack && !found.sealed, "no_ack and sealed must not be set");
    check(found.metadata.contains_key(INCARNATION), "it was not made by Muster");
    let format = found.metadata.get(FORMAT).map_or("none", String::as_str);
    check(format == FORMAT_NOW, &format!("its format is {format}, this version reads {FORMAT_NOW}"));
    wrong
}

/// Makes the JetStream stream if it is missing, and checks it if it is there.
pub(super) async fn open(
    context: &Context,
    service: Service,
    options: &Options,
    deadline: Instant,
) -> Result<Part, ConnectError> {
    if !matches!(options.replicas, 1 | 3 | 5) {
        return Err(ConnectError::Invalid {
            reason: format!("{} replicas are not possible: choose 1, 3 or 5", options.replicas),
        });
    }
    let wanted = wanted(service, options.replicas);
    let mut pause = PAUSE_FIRST;
    loop {
        match get_or_make(context, &wanted).await {
            Ok(stream) => return check(context, &stream, &wanted).await,
            Err(reason) if Instant::now() + pause >= deadline => {
                return Err(ConnectError::Invalid {
                    reason: format!("JetStream stream {} cannot be made: {reason}", wanted.name),
                });
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn get_or_make(context: &Context, wanted: &Config) -> Result<Stream, String> {
    match context.get_stream(&wanted.name).await {
        Ok(stream) => return Ok(stream),
        Err(error) => {
            let missing = matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND);
            if !missing {
                return Err(error.to_string());
            }
        }
    }
    // When somebody else makes it in between, the next look finds it.
    context.create_stream(wanted.clone()).await.map_err(|error| error.to_string())
}

async fn check(context: &Context, stream: &Stream, wanted: &Config) -> Result<Part, ConnectError> {
    let found = &stream.cached_info().config;
    let wrong = mismatches(found, wanted);
    if !wrong.is_empty() {
        return Err(ConnectError::Invalid {
            reason: format!("JetStream stream {} is not set up as needed: {}", wanted.name, wrong.join("; ")),
        });
    }
    let unchecked = context.get_stream_no_info(&wanted.name).await;
    Ok(Part {
        name: wanted.name.clone(),
        incarnation: found.metadata.get(INCARNATION).cloned().unwrap_or_default(),
        stream: unchecked.map_err(|error| ConnectError::Invalid { reason: error.to_string() })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_may_lose_events_is_told_apart() {
        let right = wanted(Service::Policy, 3);
        assert!(mismatches(&right, &wanted(Service::Policy, 3)).is_empty());
        let wrong = Config {
            deny_purge: false,
            discard: DiscardPolicy::Old,
            num_replicas: 1,
            metadata: HashMap::new(),
            ..right.clone()
        };
        assert_eq!(mismatches(&wrong, &right).len(), 5);
    }
}
