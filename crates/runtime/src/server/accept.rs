//! Taking connections: a limit on their number, TLS, and who is at the other end, once each.
//!
//! tonic's own TLS keeps 256 sessions and has no tickets, so that a fleet could not resume any; hence this loop.

use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::stream::{self, Stream};
use muster_pki::{SpiffeId, TrustDomain, peer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::Bound;
use crate::caller::Certificate;
use crate::revocation::{Held, Link};
use crate::{Caller, Metrics, Revocations, TaskGroup};

/// Connections a process holds; it may open 20,000 files on a usual machine, and the log needs some.
pub const CONNECTIONS_MAX: usize = 16_000;
/// A handshake that takes longer is given up.
pub const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pause when the machine has no more files to give.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// The kernel asks a silent peer this often whether it is there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(super) enum Peer {
    /// Showed no certificate.
    Unknown,
    /// Showed one of ours.
    Known(Known),
    /// Showed one that names nobody of ours.
    Refused(&'static str),
}

/// Who showed a certificate of ours.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) caller: Caller,
    pub(super) certificate: Certificate,
    /// Where a device's certificate stands; nobody asks that of services.
    pub(super) link: Option<Arc<Link>>,
}

/// What every call on a connection is given. Who is at the other end stands in it before the first call can come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection(Arc<OnceLock<Peer>>);

impl Connection {
    pub(super) fn peer(&self) -> &Peer {
        self.0.get().unwrap_or(&Peer::Unknown)
    }

    /// The certificate of ours that was shown.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match self.peer() {
            Peer::Known(known) => Some(&known.certificate),
            Peer::Unknown | Peer::Refused(_) => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Takes connections off a port.
pub(super) struct Acceptor {
    tls: TlsAcceptor,
    domain: TrustDomain,
    revocations: Option<Revocations>,
    places: Arc<Semaphore>,
    tasks: TaskGroup,
    open: Gauge,
    outcomes: Family<Outcome, Counter>,
}

impl Acceptor {
    pub(super) fn new(
        tls: Arc<ServerConfig>,
        domain: TrustDomain,
        revocations: Option<Revocations>,
        connections_max: usize,
        tasks: TaskGroup,
        metrics: &Metrics,
    ) -> Self {
        let (open, outcomes) = (Gauge::default(), Family::default());
        metrics.registry(|registry| {
            registry.register("connections_open", "Connections at this moment", open.clone());
            let help = "Connections taken, by how their handshake ended (full, resumed, failed, late, limit)";
            registry.register("connections", help, outcomes.clone());
        });
        let places = Arc::new(Semaphore::new(connections_max));
        Self { tls: TlsAcceptor::from(tls), domain, revocations, places, tasks, open, outcomes }
    }

    /// The connections that come, until the group stops. Each shakes hands in the task that serves it, so that none waits for
    /// another's.
    pub(super) fn incoming(self, bound: Bound) -> impl Stream<Item = Result<Io, Infallible>> {
        let state = (Arc::new(self), bound.into_listener());
        stream::unfold(state, async |(this, listener)| {
            let stopping = this.tasks.stopping();
            loop {
                let taken = tokio::select! {
                    () = stopping.cancelled() => return None,
                    taken = listener.accept() => taken,
                };
                match taken {
                    Ok((stream, _)) => {
                        if let Some(io) = this.admit(stream) {
                            return Some((Ok(io), (this, listener)));
                        }
                    }
                    Err(error) => {
                        warn!(error = %error, "cannot take a connection");
                        tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    }
                }
            }
        })
    }

    /// Takes a connection, if there is a place for it and it is not over already.
    fn admit(self: &Arc<Self>, stream: TcpStream) -> Option<Io> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.count("limit");
            return None;
        };
        if let Err(error) = tuned(&stream) {
            debug!(error = %error, "a connection ended as it came");
            self.count("failed");
            return None;
        }
        let accept = self.tls.accept(stream);
        let deadline = Box::pin(tokio::time::sleep(HANDSHAKE_WAIT_MAX));
        Some(Io {
            state: State::Shaking(Box::new(Shaking { accept, deadline })),
            connection: Connection::default(),
            held: None,
            acceptor: self.clone(),
            _place: place,
        })
    }

    /// Looks who is at the other end of a connection whose hands are shaken.
    fn meet(&self, stream: &TlsStream<TcpStream>) -> (Peer, Option<Held>) {
        let session = stream.get_ref().1;
        self.count(match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => "resumed",
            _ => "full",
        });
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let mut peer = certificate.map_or(Peer::Unknown, |der| identify(der, &self.domain));
        let held = self.hold(&mut peer);
        self.open.inc();
        (peer, held)
    }

    /// Registers a device's connection, so that it ends with its certificate.
    fn hold(&self, peer: &mut Peer) -> Option<Held> {
        let Peer::Known(Known { caller: Caller::Device { tenant: _, device }, certificate, link }) = peer
        else {
            return None;
        };
        let held = self.revocations.as_ref()?.register(*device, certificate.issued());
        *link = Some(held.link().clone());
        Some(held)
    }

    fn count(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&Outcome { outcome }).inc();
    }
}

fn tuned(stream: &TcpStream) -> io::Result<()> {
    // Without it each small reply waits for the delayed acknowledgement of the last: 40 ms.
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn identify(certificate: &[u8], domain: &TrustDomain) -> Peer {
    let Ok(read) = peer::read(certificate) else {
        return Peer::Refused("names no device or service");
    };
    if read.id.domain() != domain {
        return Peer::Refused("is of another trust domain");
    }
    let caller = match read.id {
        SpiffeId::Device { domain: _, tenant, device } => Caller::Device { tenant, device },
        SpiffeId::Service { domain: _, service } => Caller::Service(service),
    };
    let certificate = Certificate { serial: read.serial, not_after: read.not_after };
    Peer::Known(Known { caller, certificate, link: None })
}

/// A connection, as the server reads and writes it.
pub(super) struct Io {
    state: State,
    connection: Connection,
    held: Option<Held>,
    acceptor: Arc<Acceptor>,
    _place: OwnedSemaphorePermit,
}

/// Boxed: a connection is moved about while it is set up, and a TLS session is large.
enum State {
    Shaking(Box<Shaking>),
    Open(Box<TlsStream<TcpStream>>),
    Failed,
}

struct Shaking {
    accept: Accept<TcpStream>,
    deadline: Pin<Box<Sleep>>,
}

impl Shaking {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<TlsStream<TcpStream>, Unmet>> {
        match Pin::new(&mut self.accept).poll(context) {
            Poll::Ready(done) => Poll::Ready(done.map_err(Unmet::Failed)),
            Poll::Pending => self.deadline.as_mut().poll(context).map(|()| Err(Unmet::Late)),
        }
    }
}

/// Why hands were not shaken.
enum Unmet {
    Failed(io::Error),
    Late,
}

impl Io {
    /// The stream, once hands are shaken.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<TcpStream>>>> {
        if let State::Shaking(shaking) = &mut self.state {
            let error = match ready!(shaking.poll(context)) {
                Ok(stream) => {
                    let (peer, held) = self.acceptor.meet(&stream);
                    self.held = held;
                    self.connection.0.set(peer).ok();
                    self.state = State::Open(Box::new(stream));
                    None
                }
                Err(Unmet::Failed(error)) => {
                    debug!(error = %error, "handshake failed");
                    self.acceptor.count("failed");
                    Some(error)
                }
                Err(Unmet::Late) => {
                    self.acceptor.count("late");
                    Some(io::ErrorKind::TimedOut.into())
                }
            };
            if let Some(error) = error {
                self.state = State::Failed;
                return Poll::Ready(Err(error));
            }
        }
        match &mut self.state {
            State::Open(stream) => Poll::Ready(Ok(Pin::new(stream))),
            State::Shaking(_) | State::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if matches!(self.state, State::Open(_)) {
            self.acceptor.open.dec();
        }
    }
}

impl Connected for Io {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The end of what the peer says: the server then ends the streams and closes the connection.
        if self.held.as_ref().is_some_and(|held| held.link().is_closing(context.waker())) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_open(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Open(stream) => Pin::new(stream).poll_shutdown(context),
            // Nothing was said, so nothing need be said: dropping it closes it.
            State::Shaking(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
