//! Taking connections: a limit on their number, TLS in a task of its own, and who is at the other end, once each.
//!
//! tonic's own TLS keeps 256 sessions and has no tickets, so that a fleet could not resume any; hence this loop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use muster_pki::{SpiffeId, TrustDomain, peer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
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

/// What every call on a connection is given.
#[derive(Debug, Clone)]
pub(crate) struct Connection(pub(super) Arc<Peer>);

impl Connection {
    /// The certificate of ours that was shown.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match &*self.0 {
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

    /// Takes connections until the group stops.
    pub(super) async fn run(self, bound: Bound, accepted: mpsc::Sender<Io>) {
        let listener = bound.into_listener();
        let this = Arc::new(self);
        let stopping = this.tasks.stopping().clone();
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                stream = listener.accept() => match stream {
                    Ok((stream, _)) => this.admit(stream, &accepted),
                    Err(error) => {
                        warn!(error = %error, "cannot take a connection");
                        tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    }
                },
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, accepted: &mpsc::Sender<Io>) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.count("limit");
            return;
        };
        let (this, accepted) = (self.clone(), accepted.clone());
        self.tasks.spawn("handshake", async move {
            let stopping = this.tasks.stopping().clone();
            let handshake = timeout(HANDSHAKE_WAIT_MAX, this.shake(stream));
            let stream = tokio::select! {
                () = stopping.cancelled() => return,
                done = handshake => match done {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => {
                        debug!(error = %error, "handshake failed");
                        return this.count("failed");
                    }
                    Err(_) => return this.count("late"),
                },
            };
            let io = this.take(stream, place);
            // Only fails when the server stops, and then the connection may close.
            drop(accepted.send(io).await);
        });
    }

    async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // Without it each small reply waits for the delayed acknowledgement of the last: 40 ms.
        stream.set_nodelay(true)?;
        let keepalive = socket2::TcpKeepalive::new().with_time(TCP_KEEPALIVE);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        self.tls.accept(stream).await
    }

    fn take(&self, stream: TlsStream<TcpStream>, place: OwnedSemaphorePermit) -> Io {
        let session = stream.get_ref().1;
        self.count(match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => "resumed",
            _ => "full",
        });
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let mut peer = certificate.map_or(Peer::Unknown, |der| identify(der, &self.domain));
        let held = self.hold(&mut peer);
        self.open.inc();
        let connection = Connection(Arc::new(peer));
        Io { stream, connection, held, open: self.open.clone(), _place: place }
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
    stream: TlsStream<TcpStream>,
    connection: Connection,
    held: Option<Held>,
    open: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Drop for Io {
    fn drop(&mut self) {
        self.open.dec();
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
