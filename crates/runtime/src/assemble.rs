//! A server put together from its settings and services: one of them, or all four.

use std::fs;
use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::as_of::Index;
use muster_eventlog::embedded::EmbeddedLog;
use muster_eventlog::jetstream::JetStreamLog;
use muster_eventlog::kv::{Kv, OpenError, SledKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Views;
use muster_pki::{InitOptions, LocalTrust, TrustError};
use muster_types::{Clock, Service, SystemClock};
use tracing::info;

use crate::config::{LogSelection, ServerConfig};
use crate::process::{Failure, chain};
use crate::server::{self, Bound, ServerOptions};
use crate::{Deps, Metrics, Readiness, Revocations, ServiceParts, TaskGroup, admin, lag, mismatch};

/// File in the data directory that says where the server of that directory is.
pub const ENDPOINT_FILE: &str = "endpoint.json";

type Building = Pin<Box<dyn Future<Output = Result<ServiceParts, Failure>> + Send>>;

/// A service that is not built yet.
pub struct Part {
    service: Service,
    build: Box<dyn FnOnce(Deps) -> Building + Send>,
}

impl Part {
    /// A service by its `build`: `Part::new(Service::Enroll, |deps| muster_enroll::build(config, deps))`.
    pub fn new<F, E>(service: Service, build: impl FnOnce(Deps) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<ServiceParts, E>> + Send + 'static,
        E: Into<Failure>,
    {
        let build = move |deps| -> Building {
            let building = build(deps);
            Box::pin(async move { building.await.map_err(Into::into) })
        };
        Self { service, build: Box::new(build) }
    }
}

/// The two ports of a server, taken before anything else is touched.
#[derive(Debug)]
pub struct Ports {
    grpc: Bound,
    admin: Bound,
}

impl Ports {
    /// Checks the settings and takes the ports.
    ///
    /// # Errors
    /// `CONFIG_INVALID`, `PORT_IN_USE`.
    pub async fn take(config: &ServerConfig) -> Result<Self, Fault> {
        config.validate()?;
        Ok(Self { grpc: server::bind(config.listen).await?, admin: server::bind(config.admin_listen).await? })
    }

    /// The URL that clients on this machine reach the server by.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}", reachable(self.grpc.local_addr()))
    }

    /// The URL of the admin port.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", reachable(self.admin.local_addr()))
    }
}

/// A server that runs.
pub struct Running {
    /// The URL that clients on this machine reach it by.
    pub endpoint: String,
    /// The URL of its admin port.
    pub admin_url: String,
    /// Whether it can answer.
    pub readiness: Readiness,
    /// What it was built from; `kv` is the last service's.
    pub trust: LocalTrust,
    /// The log.
    pub log: SharedLog,
    /// Its metrics.
    pub metrics: Metrics,
}

/// Opens trust, log and stores, builds the services and serves them until the group stops.
///
/// # Errors
/// [`Failure`] of whatever part cannot start.
pub async fn start(
    config: &ServerConfig,
    ports: Ports,
    parts: Vec<Part>,
    tasks: &TaskGroup,
) -> Result<Running, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Metrics::default();
    let trust = open_trust(config, clock.as_ref())?;
    let log = open_log(config).await?;
    let shown = parts.first().map_or(Service::Enroll, |part| part.service);
    let (mut built, mut revocations, mut moments, mut followed) = (Vec::new(), None, None, Vec::new());
    for Part { service, build } in parts {
        let kv = open_store(config, service)?;
        let views = Views::default();
        let one = || {
            let moments = crate::moments(&log, kv.clone(), clock.clone(), tasks);
            views.register(log.clone(), moments.index().clone(), Index::default);
            moments
        };
        let deps = Deps {
            moments: moments.get_or_insert_with(one).clone(),
            log: log.clone(),
            kv,
            clock: clock.clone(),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
            tenant: config.tenant,
            trust: trust.clone(),
            views: views.clone(),
        };
        followed.push((service, views.clone()));
        // One for all, in the store of the first.
        revocations.get_or_insert_with(|| Revocations::start(&deps));
        built.push(build(deps).await?);
    }
    let gate = revocations.as_ref().map_or_else(Readiness::always, Revocations::readiness);
    let readiness = built.iter().fold(gate, |all, part| all.and(part.readiness.clone()));
    lag::show(readiness.clone(), &metrics);
    mismatch::show(followed.clone(), &metrics);
    let (endpoint, admin_url) = (ports.endpoint(), ports.admin_url());
    let mut options = ServerOptions::new(&trust, shown, clock)?;
    options.log = Some(log.clone());
    options.views = followed;
    options.revocations = revocations;
    server::start(ports.grpc, built, options, tasks, &metrics)?;
    admin::start(ports.admin, readiness.clone(), tasks, &metrics);
    tell_endpoint(&config.data_dir, &endpoint, &admin_url)?;
    info!(endpoint, admin_url, log = %config.log, "serving");
    Ok(Running { endpoint, admin_url, readiness, trust, log, metrics })
}

/// Runs one service alone until the group stops: what a service's `main` calls.
///
/// # Errors
/// As [`start`]; `CONFIG_INVALID` on the embedded log, which the other services could not read.
pub async fn run_alone(config: ServerConfig, part: Part, tasks: TaskGroup) -> Result<(), Failure> {
    if config.log == LogSelection::Embedded {
        let message = "a service alone needs a log that the others can reach; give --log nats://host:port";
        return Err(Fault::new(ErrorCode::ConfigInvalid, message).with_field("--log", message).into());
    }
    let ports = Ports::take(&config).await?;
    let _running = start(&config, ports, vec![part], &tasks).await?;
    tasks.stopping().cancelled().await;
    Ok(())
}

/// Opens the folder of keys and certificates, and makes what is missing.
///
/// # Errors
/// `CONFIG_INVALID`, `DATA_DIR_READ_ONLY`, `DISK_FULL`.
pub fn open_trust(config: &ServerConfig, clock: &dyn Clock) -> Result<LocalTrust, Failure> {
    let dir = config.pki_dir();
    // Pods are given what they need and no authority: nothing can be made there, and nothing needs to.
    let files = config.authority_files();
    let given = files.is_none() && dir.join("ca.pem").exists() && !dir.join("ca.key").exists();
    let opened = if given { LocalTrust::open(&dir) } else { init_trust(&dir, config, clock) };
    opened.map_err(|error| {
        let code = if let TrustError::Write { source, .. } = &error {
            unwritable(source)
        } else {
            ErrorCode::ConfigInvalid
        };
        Failure::new(code, error)
    })
}

fn init_trust(dir: &Path, config: &ServerConfig, clock: &dyn Clock) -> Result<LocalTrust, TrustError> {
    let trust = match LocalTrust::init(dir, &init_options(config, clock)) {
        Err(TrustError::Write { source, .. })
            if matches!(source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
                && dir.join("ca.pem").exists() =>
        {
            // The folder is mounted, as the authority's files are.
            return LocalTrust::open_with(dir, config.authority_files().as_ref());
        }
        opened => opened?,
    };
    trust.note_start(clock.now())?;
    Ok(trust)
}

fn init_options(config: &ServerConfig, clock: &dyn Clock) -> InitOptions {
    let ips = config.server_names.iter().filter_map(|name| name.parse::<IpAddr>().ok());
    let dns = config.server_names.iter().filter(|name| name.parse::<IpAddr>().is_err());
    InitOptions {
        trust_domain: config.trust_domain.clone(),
        dns_names: dns.cloned().collect(),
        ips: ips.chain([config.listen.ip()]).collect(),
        authority: config.authority_files(),
        now: clock.now(),
    }
}

/// Opens the event log that the settings name.
///
/// # Errors
/// Codes of the log: `DATA_DIR_*`, `DISK_FULL`, `NATS_*`, `LOG_*`.
pub async fn open_log(config: &ServerConfig) -> Result<SharedLog, Failure> {
    match &config.log {
        LogSelection::Embedded => {
            let dir = config.data_dir.join("log");
            // Opening reads the disk: minutes, at worst, that must not hold up the runtime.
            let opened =
                tokio::task::spawn_blocking(move || EmbeddedLog::open(&dir, Default::default())).await?;
            Ok(Arc::new(opened.map_err(|error| Failure::new(error.code(), error))?))
        }
        LogSelection::Nats(urls) => {
            let opened = JetStreamLog::connect(urls, config.nats.options(urls)).await;
            Ok(Arc::new(opened.map_err(|error| Failure::new(error.code(), error))?))
        }
    }
}

/// Opens a service's store for views. One that cannot be read is dropped: the log has it all.
fn open_store(config: &ServerConfig, service: Service) -> Result<Arc<dyn Kv>, Failure> {
    let dir = config.data_dir.join("views").join(service.as_str());
    let failure = |error: OpenError| {
        let code = match &error {
            OpenError::Held { .. } => ErrorCode::DataDirInUse,
            OpenError::Io { source, .. } => unwritable(source),
        };
        Failure::new(code, error)
    };
    Ok(Arc::new(SledKv::open(&dir).map_err(failure)?))
}

fn unwritable(error: &std::io::Error) -> ErrorCode {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    if full { ErrorCode::DiskFull } else { ErrorCode::DataDirReadOnly }
}

/// Leaves word in the data directory where the server is, for commands on this machine.
fn tell_endpoint(data_dir: &Path, endpoint: &str, admin_url: &str) -> Result<(), Failure> {
    let path = data_dir.join(ENDPOINT_FILE);
    let new = path.with_extension("json.new");
    // Both are made of addresses: nothing in them needs escaping.
    let text = format!("{{\"endpoint\":\"{endpoint}\",\"admin_url\":\"{admin_url}\"}}\n");
    let written = fs::create_dir_all(data_dir)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, &path));
    written.map_err(|error| {
        let message = format!("cannot write {}: {}", path.display(), chain(&error));
        Failure::new(unwritable(&error), message)
    })
}

/// The address by which this machine reaches what listens there.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}
