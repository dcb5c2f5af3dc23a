//! The gRPC server: TLS, callers, health, reflection, metrics, drain.

mod accept;
mod calls;
mod health;
mod layer;
mod listen;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Views;
use muster_pki::{AdminToken, LocalTrust, TrustDomain};
use muster_types::{Clock, Service};
use rustls::ServerConfig;
use tonic::service::Routes;
use tracing::{error, info};

use crate::{Metrics, Revocations, ServiceParts, TaskGroup};

pub(crate) use accept::Connection;
pub use accept::{CONNECTIONS_MAX, HANDSHAKE_WAIT_MAX};
pub use listen::{Bound, bind};

/// Calls in flight on one connection; more wait at the client.
pub const CALLS_PER_CONNECTION_MAX: u32 = 256;
/// Largest header block of a call, in bytes.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// A silent peer is asked this often whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// It is gone when it does not answer within this.
const KEEPALIVE_WAIT_MAX: Duration = Duration::from_secs(20);

/// What a server needs besides its services.
#[derive(Clone)]
pub struct ServerOptions {
    /// TLS settings; see [`muster_pki::tls::server_config`].
    pub tls: Arc<ServerConfig>,
    /// Whose SPIFFE IDs count.
    pub trust_domain: TrustDomain,
    /// What opens the admin API; nobody is admin without.
    pub admin_token: Option<AdminToken>,
    /// Where time comes from: certificates end in the middle of connections.
    pub clock: Arc<dyn Clock>,
    /// The log, if admins may read the parts' events here.
    pub log: Option<SharedLog>,
    /// The views of the services, which admins who may read the log may have verified.
    pub views: Vec<(Service, Views)>,
    /// Which certificates were ended before their time; without, none was.
    pub revocations: Option<Revocations>,
    /// Connections at once; more are closed as they come.
    pub connections_max: usize,
}

impl ServerOptions {
    /// Options from a folder of trust, showing the certificate of `service`.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when keys or certificates cannot be used.
    pub fn new(trust: &LocalTrust, service: Service, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let identity = trust.service_identity(service).map_err(|error| unusable(&error))?;
        let tls =
            muster_pki::tls::server_config(trust.ca_certs(), &identity).map_err(|error| unusable(&error))?;
        Ok(Self {
            tls,
            trust_domain: trust.trust_domain().clone(),
            admin_token: trust.admin_token().cloned(),
            clock,
            log: None,
            views: Vec::new(),
            revocations: None,
            connections_max: CONNECTIONS_MAX,
        })
    }
}

/// Serves the parts, with health and reflection, until the group stops; then takes no new connections, lets calls in
/// flight end, and closes. [`TaskGroup::shutdown`] waits for that.
///
/// # Errors
/// `INTERNAL` when the compiled contract cannot be read.
pub fn start(
    bound: Bound,
    mut parts: Vec<ServiceParts>,
    options: ServerOptions,
    tasks: &TaskGroup,
    metrics: &Metrics,
) -> Result<(), Fault> {
    let ServerOptions { tls, trust_domain, admin_token, clock, log, views, revocations, connections_max } =
        options;
    let calls = calls::Calls::register(metrics)?;
    gate(&mut parts, revocations.as_ref());
    let health = health::service(&parts, tasks.stopping().clone());
    let services: Vec<_> = parts.iter().map(|part| part.service).collect();
    let mut routes = merge(parts.into_iter().map(|part| part.routes))
        .add_service(health)
        .add_service(reflection().build_v1().map_err(|error| contract(&error))?)
        .add_service(reflection().build_v1alpha().map_err(|error| contract(&error))?);
    if let Some(log) = log {
        routes = routes.add_service(tail::service(log, services, views, tasks.stopping().clone()));
    }
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT_MAX))
        .layer(layer::CallLayer::new(calls, admin_token, clock, revocations.clone()))
        .add_routes(routes);

    let acceptor =
        accept::Acceptor::new(tls, trust_domain, revocations, connections_max, tasks.clone(), metrics);
    info!(address = %bound.local_addr(), "taking calls");
    let stopping = tasks.stopping().clone();
    let incoming = acceptor.incoming(bound);
    tasks.spawn("serve", async move {
        let served = server.serve_with_incoming_shutdown(incoming, stopping.cancelled_owned()).await;
        if let Err(error) = served {
            error!(error = %error, "the server ended");
        }
    });
    Ok(())
}

/// Health tells of no part that it serves before revoked devices can be told from others.
fn gate(parts: &mut [ServiceParts], revocations: Option<&Revocations>) {
    let Some(revocations) = revocations else { return };
    for part in parts {
        let revocations = revocations.clone();
        part.readiness = std::mem::take(&mut part.readiness).check("revocations", move || {
            let behind = || "catching up".to_owned();
            revocations.caught_up().then_some(()).ok_or_else(behind)
        });
    }
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, crate::process::chain(error))
}

fn contract(error: &tonic_reflection::server::Error) -> Fault {
    Fault::new(ErrorCode::Internal, format!("the compiled contract cannot be read: {error}"))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(muster_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// One router of many. Each brings the answer to unknown methods, and two of those do not merge.
fn merge(routes: impl Iterator<Item = Routes>) -> Routes {
    let merged =
        routes.fold(axum::Router::new(), |all, routes| all.merge(routes.into_axum_router().reset_fallback()));
    Routes::from(merged.fallback(unimplemented))
}

async fn unimplemented() -> http::Response<tonic::body::Body> {
    tonic::Status::unimplemented("no such method").into_http()
}
