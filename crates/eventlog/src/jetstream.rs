//! The log in a cluster: one JetStream stream a service, one literal subject an aggregate.
//!
//! - [`append`] writes: optimistic concurrency by the literal subject's last sequence, which [`heads`] remembers.
//! - [`read`] reads one stream, led by what the JetStream stream's leader has.
//! - [`follow`] follows a service's part by an ephemeral consumer that is made anew whenever anything about it is odd.
//! - [`header`] knows how an event looks as a message: CloudEvents 1.0, binary mode.
//! - [`part`] makes the JetStream streams and checks them; [`doctor`] refuses servers that would lose events, [`probe`]
//!   measures what they do not tell.
//!
//! Standalone (R1) and replicated (R3) servers answer a repeated publish differently: the first with a conflict, the
//! second as a duplicate. Neither answer is relied on: what the leader has, by event id, decides.

mod append;
mod doctor;
mod follow;
mod header;
mod heads;
mod part;
mod probe;
mod read;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, ServerAddr};
use futures::future::BoxFuture;
use muster_errors::{ErrorCode, Fault};
use muster_types::{Service, StreamId, Version};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::heads::Heads;
use self::part::Part;
use crate::{Append, AppendError, Appended, Envelope, EventLog, ReadError, Subscription};

/// Appends that wait for their acknowledgement; further callers wait for a place.
pub const APPENDS_IN_FLIGHT_MAX: usize = 4_096;
/// Oldest nats-server that keeps the promises of the log.
pub const SERVER_VERSION_MIN: (u32, u32, u32) = (2, 15, 1);
/// Pause before the first repeat of what failed; doubled each time, at most [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How it is made sure that the servers sync to disk before they acknowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncCheck {
    /// Asked of the servers' monitoring ports (`http://host:8222`), the only place where they tell. As many
    /// different servers as there are replicas must answer, all with `sync_interval: always`.
    Monitor(Vec<String>),
    /// Asked of the monitoring ports where they may be, and where none answers, measured: an acknowledgement by a server
    /// that syncs takes as much longer as the disk does. For one replica; where syncing costs nothing (a file system in
    /// memory) it cannot be told from not syncing, and is refused.
    MonitorOrMeasure(Vec<String>),
    /// Not checked: somebody else vouches for it. With a server left at its default, a power cut loses
    /// acknowledged events of up to two minutes.
    Trust,
}

/// How to reach and use a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Servers that hold a copy of each event: 1, 3 or 5.
    pub replicas: usize,
    /// How syncing is checked.
    pub sync: SyncCheck,
    /// How long to try to connect and to make the JetStream streams.
    pub connect_timeout: Duration,
    /// How long to wait for one answer.
    pub ack_timeout: Duration,
    /// How long an append is tried before its outcome is called unknown. A lost leader takes up to 6 s.
    pub append_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            replicas: 1,
            sync: SyncCheck::Monitor(Vec::new()),
            connect_timeout: Duration::from_secs(15),
            ack_timeout: Duration::from_secs(5),
            append_timeout: Duration::from_secs(20),
        }
    }
}

/// The log cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No server answers.
    #[error("{urls} cannot be reached: {reason}")]
    Unreachable {
        /// Where it was tried.
        urls: String,
        /// What the client said last.
        reason: String,
    },
    /// A server is too old.
    #[error("nats-server {server} is version {found}, at least {wanted} is needed")]
    TooOld {
        /// Its name.
        server: String,
        /// Its version.
        found: String,
        /// The oldest that will do.
        wanted: String,
    },
    /// A server acknowledges before it syncs to disk.
    #[error("nats-server {server} acknowledges before it syncs to disk; set `sync_interval: always`")]
    LazySync {
        /// Its name.
        server: String,
    },
    /// It could not be found out whether the servers sync.
    #[error("whether the servers sync to disk before they acknowledge is not known: {reason}")]
    SyncUnverified {
        /// Why not.
        reason: String,
    },
    /// The servers or the JetStream streams are not set up as the log needs them.
    #[error("{reason}")]
    Invalid {
        /// What is wrong, with what is wanted.
        reason: String,
    },
}

impl ConnectError {
    /// The code users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable { .. } => ErrorCode::NatsUnreachable,
            Self::TooOld { .. } => ErrorCode::NatsTooOld,
            Self::LazySync { .. } | Self::SyncUnverified { .. } => ErrorCode::NatsLazySync,
            Self::Invalid { .. } => ErrorCode::ConfigInvalid,
        }
    }
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// A log kept by nats-servers. Reconnects for ever.
#[derive(Debug)]
pub struct JetStreamLog {
    link: Arc<Link>,
    closed: CancellationToken,
    _close: DropGuard,
}

/// What the log's parts share.
#[derive(Debug)]
struct Link {
    client: Client,
    options: Options,
    parts: [Part; 4],
    heads: Heads,
    flights: Semaphore,
}

impl Link {
    fn part(&self, service: Service) -> &Part {
        &self.parts[service as usize - 1]
    }
}

impl JetStreamLog {
    /// Connects to servers (`nats://host:port`, several separated by commas), checks them, and makes or checks the
    /// JetStream streams. Who connects is said in the first of them that has `user:password@` before its host.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(urls: &str, options: Options) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + options.connect_timeout;
        let client = reach(urls, &options, deadline).await?;
        let context = ContextBuilder::new().timeout(options.ack_timeout).build(client.clone());
        doctor::examine(&client, &context, &options, deadline).await?;
        let mut parts = Vec::with_capacity(Service::ALL.len());
        for service in Service::ALL {
            parts.push(part::open(&context, service, &options, deadline).await?);
        }
        let parts = parts.try_into().expect("there is one for each service");
        let link = Link {
            client,
            options,
            parts,
            heads: Heads::default(),
            flights: Semaphore::new(APPENDS_IN_FLIGHT_MAX),
        };
        let closed = CancellationToken::new();
        Ok(Self { link: Arc::new(link), closed: closed.clone(), _close: closed.drop_guard() })
    }

    /// Identity that a service's JetStream stream got when it was made: another one means another log, whose
    /// positions mean nothing to readers of this one.
    #[must_use]
    pub fn incarnation(&self, service: Service) -> &str {
        &self.link.part(service).incarnation
    }
}

async fn reach(urls: &str, options: &Options, deadline: Instant) -> Result<Client, ConnectError> {
    let addresses: Vec<ServerAddr> =
        urls.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>().map_err(|error| {
            ConnectError::Invalid { reason: format!("this is not an address of nats-servers: {error}") }
        })?;
    let user = addresses.iter().find_map(|address| Some((address.username()?, address.password()?)));
    let mut pause = PAUSE_FIRST;
    loop {
        let as_whom = user.map_or_else(ConnectOptions::new, |(name, password)| {
            ConnectOptions::with_user_and_password(name.to_owned(), password.to_owned())
        });
        let connecting = as_whom
            .name("muster")
            .connection_timeout(options.ack_timeout)
            .request_timeout(Some(options.ack_timeout))
            .reconnect_delay_callback(|attempt| {
                PAUSE_FIRST.saturating_mul(u32::try_from(attempt).unwrap_or(u32::MAX)).min(PAUSE_MAX)
            })
            .connect(addresses.clone());
        match connecting.await {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() + pause >= deadline => {
                let urls = addresses.iter().map(shown).collect::<Vec<_>>().join(",");
                return Err(ConnectError::Unreachable { urls, reason: error.to_string() });
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// An address without the password that may stand in it.
fn shown(address: &ServerAddr) -> String {
    format!("{}://{}:{}", address.scheme(), address.host(), address.port())
}

impl EventLog for JetStreamLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move { self.link.append(&appends).await })
    }

    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>> {
        Box::pin(self.link.read(stream, after))
    }

    #[expect(clippy::disallowed_methods, reason = "the following task ends with the subscription or the log")]
    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>> {
        Box::pin(async move {
            self.link.reaches(service, after).await?;
            let (sender, subscription) = Subscription::channel();
            tokio::spawn(follow::run(Arc::clone(&self.link), service, after, sender, self.closed.clone()));
            Ok(subscription)
        })
    }

    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>> {
        Box::pin(self.link.head(service))
    }
}
