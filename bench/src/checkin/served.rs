//! The servers, each in a process of its own: this program started anew, until its input ends. So that what a server
//! costs can be told from what its callers cost.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::Views;
use muster_eventlog::{Actor, Append, Context, EventType, NewEvent};
use muster_pki::{LocalTrust, tls};
use muster_policy::wire::kind;
use muster_proto::convert;
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::check_in_response::Outcome;
use muster_proto::policy::v1::device_policy_service_server::{
    DevicePolicyService, DevicePolicyServiceServer,
};
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Deps, Metrics, Revocations, ServiceParts, TaskGroup};
use muster_types::{Aggregate, EventId, Service, StreamId, SystemClock, TenantId, Timestamp, Version};
use prost::Message as _;
use roaring::RoaringBitmap;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::device::{device, group};

/// A check-in with this sequence makes the echo push to its watches.
pub(super) const PUSH: u64 = u64::MAX;
/// Bytes of the policy that the echo answers with: as large as one of 40 settings.
const POLICY_BYTES: usize = 2_600;
const READY_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Devices told in one append.
const TOLD_AT_ONCE: u32 = 100;

/// What a process of its own serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The policy service, with so many devices.
    Product,
    /// A bare tonic service of the same contract with the same TLS settings.
    Echo,
    /// The report service, with so many devices that a policy is assigned to and that reported on it.
    Report,
}

/// A server that runs.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Served {
    /// Starts this program as a server with a folder of trust.
    pub(crate) async fn start(kind: Kind, dir: &Path, devices: u32) -> anyhow::Result<Self> {
        let kind = match kind {
            Kind::Product => "product",
            Kind::Echo => "echo",
            Kind::Report => "report",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", kind, "--devices", &devices.to_string(), "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(READY_WITHIN, lines.next_line()).await??;
        let address = line.context("the server ended")?.parse()?;
        Ok(Self { address, child })
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server ended")
    }

    /// Ends its input, and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        tokio::time::timeout(2 * DRAIN_MAX, self.child.wait()).await??;
        Ok(())
    }
}

/// Serves until the input ends.
#[expect(clippy::print_stdout, reason = "tells its parent where it is")]
pub(crate) async fn run(kind: Kind, dir: &Path, devices: u32) -> anyhow::Result<()> {
    let trust = LocalTrust::open(&dir.join("pki"))?;
    let tasks = TaskGroup::new();
    let address = match kind {
        Kind::Product => product(&trust, devices, &tasks).await?,
        Kind::Echo => echo(&trust, &tasks).await?,
        Kind::Report => report(&trust, devices, &tasks).await?,
    };
    println!("{address}");
    let input_ends = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    input_ends.await??;
    tasks.shutdown(DRAIN_MAX).await.ok();
    Ok(())
}

async fn product(trust: &LocalTrust, devices: u32, tasks: &TaskGroup) -> anyhow::Result<SocketAddr> {
    let log: SharedLog = Arc::new(MemoryLog::default());
    tell(&log, devices).await?;
    let deps = deps(log, trust, tasks);
    let policy = muster_policy::build(muster_policy::Config::default(), deps.clone()).await?;
    serve(policy, &deps).await
}

async fn report(trust: &LocalTrust, devices: u32, tasks: &TaskGroup) -> anyhow::Result<SocketAddr> {
    let log: SharedLog = Arc::new(MemoryLog::default());
    tell(&log, devices).await?;
    crate::export::tell(&log, devices).await?;
    let deps = deps(log, trust, tasks);
    let report = muster_report::build(muster_report::Config::default(), deps.clone()).await?;
    serve(report, &deps).await
}

fn deps(log: SharedLog, trust: &LocalTrust, tasks: &TaskGroup) -> Deps {
    Deps {
        moments: muster_runtime::moments(&log, Arc::new(MemoryKv::default()), Arc::new(SystemClock), tasks),
        log,
        kv: Arc::new(MemoryKv::default()),
        clock: Arc::new(SystemClock),
        tasks: tasks.clone(),
        metrics: Metrics::default(),
        views: Views::default(),
        tenant: TenantId::DEFAULT,
        trust: trust.clone(),
    }
}

/// Serves a service once its views show what the log holds.
async fn serve(parts: ServiceParts, deps: &Deps) -> anyhow::Result<SocketAddr> {
    let revocations = Revocations::start(deps);
    let readiness = parts.readiness.clone().and(revocations.readiness());
    let ready = async {
        while !readiness.is_ready() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, ready).await.context("the service does not get ready")?;
    let refused = |fault: muster_errors::Fault| anyhow::anyhow!("{}: {}", fault.code, fault.message);
    let bound = server::bind(([127, 0, 0, 1], 0).into()).await.map_err(refused)?;
    let address = bound.local_addr();
    let mut options = ServerOptions::new(&deps.trust, parts.service, deps.clock.clone()).map_err(refused)?;
    options.revocations = Some(revocations);
    server::start(bound, vec![parts], options, &deps.tasks, &deps.metrics).map_err(refused)?;
    Ok(address)
}

/// Tells the log of devices (Windows, trusted in order) and of a group of all of them.
async fn tell(log: &SharedLog, devices: u32) -> anyhow::Result<()> {
    let platform = enroll::Platform::Windows.into();
    let facts = Some(enroll::DeviceFacts { platform, ..Default::default() });
    let onboarded = enroll::DeviceOnboarded { facts, facts_digest: vec![2; 32], ..Default::default() };
    let onboarded = onboarded.encode_to_vec();
    for from in (0..devices).step_by(TOLD_AT_ONCE as usize) {
        let some = from..devices.min(from + TOLD_AT_ONCE);
        let told = |aggregate, kind, payload: &[u8]| {
            let append = |n| event((aggregate, device(n).uuid()), 0, kind, payload.to_vec());
            some.clone().map(append).collect::<Vec<_>>()
        };
        log.append(told(Aggregate::Enrollment, kind::DEVICE_ONBOARDED, &onboarded)).await?;
        log.append(told(Aggregate::Registration, kind::TRUST_ESTABLISHED, &[])).await?;
    }
    let all = (Aggregate::Group, group().uuid());
    let defined = identity::GroupDefined { display_name: "All".into(), ..Default::default() };
    log.append(vec![event(all, 0, kind::GROUP_DEFINED, defined.encode_to_vec())]).await?;
    let mut added = Vec::new();
    (0..devices).collect::<RoaringBitmap>().serialize_into(&mut added)?;
    let changed = identity::GroupMembershipChanged { added, removed: vec![] };
    log.append(vec![event(all, 1, kind::MEMBERSHIP_CHANGED, changed.encode_to_vec())]).await?;
    Ok(())
}

pub(crate) fn event(
    (aggregate, id): (Aggregate, Uuid),
    version: u64,
    kind: &str,
    payload: Vec<u8>,
) -> Append {
    let event_id =
        muster_types::id::derive("bench", &[&[aggregate as u8], id.as_bytes(), &version.to_be_bytes()]);
    let event = NewEvent {
        id: EventId::from_uuid(event_id),
        kind: EventType::new(kind.to_owned()),
        payload: payload.into(),
    };
    let context = Context {
        actor: Actor::admin("bench"),
        time: Timestamp::from_micros(1),
        correlation_id: id,
        causation_id: None,
        traceparent: None,
    };
    let stream = StreamId::new(TenantId::DEFAULT, aggregate, id);
    Append { stream, expected: Version(version), events: vec![event], context }
}

/// Answers every check-in with one of two replies, and pushes one message to all watches.
struct Echo {
    settled: pb::CheckInResponse,
    policy: pb::CheckInResponse,
    push: watch::Sender<pb::WatchResponse>,
}

#[tonic::async_trait]
impl DevicePolicyService for Echo {
    async fn check_in(
        &self,
        request: Request<pb::CheckInRequest>,
    ) -> Result<Response<pb::CheckInResponse>, Status> {
        let request = request.into_inner();
        if request.sequence == PUSH {
            let hint = pb::WatchResponse { etag: vec![1; 32], ..Default::default() };
            self.push.send_replace(hint);
        }
        let reply = if request.applied_etag.is_empty() { &self.policy } else { &self.settled };
        Ok(Response::new(reply.clone()))
    }

    type WatchStream = futures::stream::BoxStream<'static, Result<pb::WatchResponse, Status>>;

    async fn watch(&self, _: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let pushed = self.push.subscribe();
        let stream = futures::stream::unfold(pushed, async |mut pushed| {
            pushed.changed().await.ok()?;
            let hint = pushed.borrow_and_update().clone();
            Some((Ok(hint), pushed))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

async fn echo(trust: &LocalTrust, tasks: &TaskGroup) -> anyhow::Result<SocketAddr> {
    let settled = pb::CheckInResponse {
        outcome: Some(Outcome::NotModified(pb::NotModified {})),
        next_check_in: Some(convert::duration(Duration::from_secs(90 * 60 + 17))),
        server_time: Some(convert::timestamp(Timestamp::from_micros(1_700_000_000_000_000))),
        ..pb::CheckInResponse::default()
    };
    let signed = pb::SignedPolicy {
        payload_type: muster_envelope::POLICY_PAYLOAD_TYPE.to_owned(),
        payload: vec![7; POLICY_BYTES].into(),
        signatures: vec![pb::Signature { key_id: "0123456789abcdef".into(), signature: vec![9; 64] }],
    };
    let policy = pb::CheckInResponse { outcome: Some(Outcome::Policy(signed)), ..settled.clone() };
    let service = DevicePolicyServiceServer::new(Echo { settled, policy, push: watch::Sender::default() });
    let config = tls::server_config(trust.ca_certs(), &trust.service_identity(Service::Policy)?)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, accepted) = mpsc::channel(64);
    tasks.spawn("accept", accept(listener, TlsAcceptor::from(config), sender));
    let serving = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(accepted));
    tasks.spawn("serve", async move { drop(serving.await) });
    Ok(address)
}

#[expect(clippy::disallowed_methods, reason = "serves until the process ends")]
async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    accepted: mpsc::Sender<std::io::Result<TlsStream<TcpStream>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, accepted) = (tls.clone(), accepted.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            if let Ok(stream) = tls.accept(stream).await {
                drop(accepted.send(Ok(stream)).await);
            }
        });
    }
}
