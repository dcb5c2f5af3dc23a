//! Connecting: TCP without delay, TLS with our authority only, HTTP/2.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use muster_errors::{ErrorCode, Fault};
use muster_pki::{AdminToken, Identity};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

/// How long connecting may take.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a call may take, with its retries, unless it brings a deadline of its own.
pub const CALL_WAIT_MAX: Duration = Duration::from_secs(15);
/// A silent server is asked this often whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// It is gone when it does not answer within this.
const KEEPALIVE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Whom to call, and as whom.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The server: `https://host:port`.
    pub endpoint: String,
    /// The authorities whose servers are believed, in DER.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The certificate to show, if any.
    pub identity: Option<Identity>,
    /// The admin token to send, if any.
    pub bearer: Option<AdminToken>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a call may take, with its retries.
    pub call_timeout: Duration,
}

impl ConnectOptions {
    /// Anonymous calls to a server of these authorities.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, authorities: Vec<CertificateDer<'static>>) -> Self {
        Self {
            endpoint: endpoint.into(),
            authorities,
            identity: None,
            bearer: None,
            connect_timeout: CONNECT_WAIT_MAX,
            call_timeout: CALL_WAIT_MAX,
        }
    }

    /// Shows a certificate.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sends the admin token.
    #[must_use]
    pub fn with_bearer(mut self, token: AdminToken) -> Self {
        self.bearer = Some(token);
        self
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody answers.
    #[error("nobody answers")]
    Unreachable(#[source] io::Error),
    /// The server is not of our authority, or not the one called.
    #[error("the server's certificate is not of the authority trusted here, or for another name: {0}")]
    Untrusted(rustls::CertificateError),
    /// The server does not take our certificate.
    #[error("the server does not accept the client certificate: {0:?}")]
    NotAccepted(rustls::AlertDescription),
    /// What answers does not speak TLS 1.3 with HTTP/2.
    #[error("what answers does not speak TLS 1.3")]
    Protocol(#[source] io::Error),
}

impl ConnectError {
    /// The code that users see.
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable(_) | Self::Protocol(_) => ErrorCode::ServerUnreachable,
            Self::Untrusted(_) => ErrorCode::ServerUntrusted,
            Self::NotAccepted(_) => ErrorCode::CertificateInvalid,
        }
    }

    fn too_late() -> Self {
        Self::Unreachable(io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))
    }

    fn of_tls(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(reason)) => Self::Untrusted(reason.clone()),
            Some(rustls::Error::AlertReceived(alert)) => Self::NotAccepted(*alert),
            Some(_) => Self::Protocol(error),
            None => Self::Unreachable(error),
        }
    }
}

/// A channel that connects when it is used.
pub(crate) fn channel(options: &ConnectOptions) -> Result<Channel, Fault> {
    let invalid = |reason: String| Fault::new(ErrorCode::ConfigInvalid, reason);
    let wrong =
        || invalid(format!("{:?} is not an endpoint such as https://127.0.0.1:7443", options.endpoint));
    let uri: Uri = options.endpoint.parse().map_err(|_| wrong())?;
    if uri.scheme_str() != Some("https") || uri.path() != "/" {
        return Err(wrong());
    }
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let address = (host.clone(), uri.port_u16().unwrap_or(443));
    let name = ServerName::try_from(host).map_err(|_| wrong())?;
    let tls = muster_pki::tls::client_config(&options.authorities, options.identity.as_ref())
        .map_err(|error| invalid(format!("{error}: {}", error_source(&error))))?;
    // tonic refuses `https` where it does not do the TLS itself, so it is told of it only as the origin of calls.
    let plain = format!("http://{}", uri.authority().ok_or_else(wrong)?);
    let endpoint = Endpoint::from_shared(plain)
        .map_err(|_| wrong())?
        .origin(uri)
        .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
        .map_err(|_| wrong())?
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_WAIT_MAX)
        .keep_alive_while_idle(true);
    let (shows_certificate, wait_max) = (options.identity.is_some(), options.connect_timeout);
    Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let (address, name, tls) = (address.clone(), name.clone(), tls.clone());
        async move {
            let opening = tokio::time::timeout(wait_max, open(address, name, tls, shows_certificate));
            let opened = opening.await.unwrap_or_else(|_| Err(ConnectError::too_late()));
            opened.map(TokioIo::new)
        }
    })))
}

async fn open(
    address: (String, u16),
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    shows_certificate: bool,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let stream = TcpStream::connect(address).await.map_err(ConnectError::Unreachable)?;
    stream.set_nodelay(true).map_err(ConnectError::Unreachable)?;
    let connecting = TlsConnector::from(tls).connect(name, stream);
    let mut stream = connecting.await.map_err(ConnectError::of_tls)?;
    if shows_certificate {
        await_acceptance(&mut stream).await?;
    }
    Ok(stream)
}

/// In TLS 1.3 a client's handshake is done before the server has looked at its certificate. Waits for the server's
/// first words (its HTTP/2 settings, or an alert), so that a refusal is told as such and not as a lost connection.
async fn await_acceptance(stream: &mut TlsStream<TcpStream>) -> Result<(), ConnectError> {
    stream.read(&mut []).await.map(drop).map_err(ConnectError::of_tls)
}

fn error_source(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
