//! The service in a real server, called by devices with their certificates.

use std::sync::Arc;
use std::time::Duration;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::Views;
use muster_pki::{Identity, InitOptions, LocalTrust, SpiffeId, csr};
use muster_policy::wire::kind;
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Deps, Metrics, Readiness, Revocations, TaskGroup};
use muster_types::{Aggregate, Clock as _, FixedClock, Service, StreamId, SystemClock, Timestamp};

use crate::device::SOON;
use crate::house::{TENANT, device, fleet, payloads, tell, tell_at};

struct Served {
    endpoint: String,
    clock: Arc<FixedClock>,
    log: SharedLog,
    trust: LocalTrust,
    tasks: TaskGroup,
    revocations: Revocations,
    _dir: tempfile::TempDir,
}

impl Served {
    /// A server with the devices of [`fleet`].
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::at(SystemClock.now()));
        let trust = LocalTrust::init(dir.path(), &InitOptions::local(clock.now())).unwrap();
        let bound = server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let endpoint = format!("https://{}", bound.local_addr());
        let (log, tasks): (SharedLog, _) = (Arc::new(MemoryLog::default()), TaskGroup::new());
        fleet(&log).await;
        let moments = muster_runtime::moments(&log, Arc::new(MemoryKv::default()), clock.clone(), &tasks);
        let deps = Deps {
            moments,
            log: log.clone(),
            kv: Arc::new(MemoryKv::default()),
            clock: clock.clone(),
            tasks: tasks.clone(),
            metrics: Metrics::default(),
            views: Views::default(),
            tenant: TENANT,
            trust: trust.clone(),
        };
        let revocations = Revocations::start(&deps);
        let policy = muster_policy::build(muster_policy::Config::default(), deps.clone()).await.unwrap();
        until(&policy.readiness.clone().and(revocations.readiness())).await;
        let mut options = ServerOptions::new(&trust, Service::Policy, clock.clone()).unwrap();
        options.revocations = Some(revocations.clone());
        server::start(bound, vec![policy], options, &tasks, &deps.metrics).unwrap();
        Self { endpoint, clock, log, trust, tasks, revocations, _dir: dir }
    }

    /// A device with a certificate that was issued then, for a week.
    fn device(&self, n: u8, issued: Timestamp) -> Client {
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = csr::parse(&csr::create(&key).unwrap()).unwrap();
        let id = SpiffeId::device(self.trust.trust_domain().clone(), TENANT, device(n));
        let end = issued.plus(Duration::from_secs(7 * 24 * 3_600));
        let issued = self.trust.authority().unwrap().issue_device(&csr, &id, issued, end).unwrap();
        let identity = Identity::from_der(vec![issued.certificate_der], key.serialize_der());
        let options = ConnectOptions::new(&self.endpoint, self.trust.ca_certs().to_vec());
        Client::connect(options.with_identity(identity)).unwrap()
    }

    async fn end(self) {
        self.tasks.shutdown(Duration::from_secs(10)).await.unwrap();
    }
}

async fn until(readiness: &Readiness) {
    let ready = async {
        while !readiness.is_ready() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, ready).await.unwrap();
}

async fn check_in(client: &Client, boot: u8, sequence: u64) -> Result<pb::CheckInResponse, Fault> {
    let (boot_id, session_id) = (vec![boot; 16], vec![boot; 16]);
    let request = pb::CheckInRequest { sequence, boot_id, session_id, ..Default::default() };
    let answer = client.device_policy().check_in(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
}

#[tokio::test]
async fn a_deleted_device_loses_its_watch_and_is_refused() {
    let served = Served::start().await;
    let issued = served.clock.now();
    let client = served.device(0, issued);
    check_in(&client, 1, 1).await.unwrap();
    let mut watch = client.device_policy().watch(pb::WatchRequest::default()).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some(), "its etag is another");
    let id = device(0).uuid();
    tell(&served.log, Aggregate::Enrollment, id, kind::DEVICE_DELETED, &enroll::DeviceDeleted {}).await;
    let reason = identity::RemovalReason::Deleted.into();
    let removed = identity::RegistrationRemoved { reason, ..Default::default() };
    let registration = (Aggregate::Registration, id);
    tell_at(&served.log, issued, registration, kind::REGISTRATION_REMOVED, &removed).await;
    let ended = tokio::time::timeout(SOON, watch.message()).await.expect("the stream ends");
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    assert!(served.revocations.reason(device(0), issued).is_some());
    let refused = async {
        loop {
            match check_in(&client, 1, 2).await {
                Err(fault) if fault.code != ErrorCode::ServerUnreachable => return fault.code,
                Ok(_) | Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, refused).await.unwrap(), ErrorCode::DeviceDeleted);
    check_in(&served.device(1, issued), 1, 1).await.unwrap();
    served.end().await;
}

#[tokio::test]
async fn a_copied_identity_is_told_to_the_log_and_put_in_quarantine() {
    let served = Served::start().await;
    let client = served.device(0, served.clock.now());
    for (boot, sequence) in [(1, 5), (2, 1), (1, 6)] {
        check_in(&client, boot, sequence).await.unwrap();
    }
    let stream = StreamId::new(TENANT, Aggregate::Session, device(0).uuid());
    let told = async {
        while payloads::<pb::DuplicateSessionsObserved>(&served.log, stream).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, told).await.unwrap();
    let suspected = identity::CloneSuspected::default();
    tell(&served.log, Aggregate::Registration, device(0).uuid(), kind::CLONE_SUSPECTED, &suspected).await;
    let quarantined = async {
        loop {
            let answer = check_in(&client, 1, 7).await.unwrap();
            if answer.directive() == pb::Directive::Quarantine {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(SOON, quarantined).await.unwrap();
    assert!(matches!(answer.outcome, Some(pb::check_in_response::Outcome::NotModified(_))));
    served.end().await;
}

#[tokio::test]
async fn a_certificate_in_its_last_third_is_asked_to_be_renewed() {
    let served = Served::start().await;
    let needs = async |client: &Client| check_in(client, 1, 1).await.unwrap().needs;
    let renewal = i32::from(pb::Need::Renewal);
    assert!(!needs(&served.device(0, served.clock.now())).await.contains(&renewal));
    let days_ago =
        |days: i64| Timestamp::from_micros(served.clock.now().micros() - days * 24 * 3_600_000_000);
    assert!(needs(&served.device(0, days_ago(5))).await.contains(&renewal));
    served.end().await;
}
