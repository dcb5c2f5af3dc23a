//! A policy service with what the other services told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use muster_envelope::Trust;
use muster_eventlog::kv::{Batch, Kv, KvError, MemoryKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::Views;
use muster_eventlog::{
    Actor, Append, AppendError, Appended, Context, Delivery, Envelope, EventLog, EventType, NewEvent,
    ReadError, Subscription,
};
use muster_pki::{InitOptions, LocalTrust};
use muster_policy::grpc::Grpc;
use muster_policy::wire::kind;
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_runtime::position::{MIN_POSITION, POSITION};
use muster_runtime::{Caller, Deps, Metrics, TaskGroup};
use muster_types::id::derive;
use muster_types::{
    Aggregate, DeviceId, EventId, FixedClock, GroupId, Positions, ResourceName, Service, StreamId, TenantId,
    Timestamp, Version,
};
use prost::Message;
use roaring::RoaringBitmap;
use tonic::{Request, Response};
use uuid::Uuid;

pub(crate) const TENANT: TenantId = TenantId::DEFAULT;

pub(crate) struct House {
    pub(crate) grpc: Grpc,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) tasks: TaskGroup,
    log: SharedLog,
    touched: Arc<AtomicUsize>,
    trust: LocalTrust,
    _dir: tempfile::TempDir,
}

impl House {
    /// A service with an empty log.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
        Self::on(Arc::new(MemoryLog::default()), clock)
    }

    /// A service on a log that others may use too.
    pub(crate) fn on(log: SharedLog, clock: Arc<FixedClock>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = muster_types::Clock::now(clock.as_ref());
        let trust = LocalTrust::init(&dir.path().join("pki"), &InitOptions::local(now)).unwrap();
        let touched = Arc::<AtomicUsize>::default();
        let log: SharedLog = Arc::new(Counted { inner: log, touched: touched.clone() });
        let tasks = TaskGroup::new();
        let moments = muster_runtime::moments(&log, Arc::new(MemoryKv::default()), clock.clone(), &tasks);
        let deps = Deps {
            moments,
            log: log.clone(),
            kv: Arc::new(Counted { inner: MemoryKv::default(), touched: touched.clone() }),
            clock: clock.clone(),
            tasks: tasks.clone(),
            metrics: Metrics::default(),
            views: Views::default(),
            tenant: TENANT,
            trust: trust.clone(),
        };
        let (grpc, _fleet) = muster_policy::grpc(muster_policy::Config::default(), &deps).unwrap();
        Self { grpc, clock, tasks, log, touched, trust, _dir: dir }
    }

    /// The same with devices 0, 1 and 2 (Linux, trusted in this order) and group 0 with the first two of them.
    pub(crate) async fn with_devices() -> Self {
        let house = Self::new();
        fleet(&house.log).await;
        house.settled().await;
        house
    }

    /// Tells an event of a device's enrollment, and waits until the service has folded it.
    pub(crate) async fn enroll(&self, n: u8, kind: &str, message: &impl Message) {
        tell(&self.log, Aggregate::Enrollment, device(n).uuid(), kind, message).await;
        self.settled().await;
    }

    /// Tells an event of a device's registration, and waits until the service has folded it.
    pub(crate) async fn identity(&self, n: u8, kind: &str, message: &impl Message) {
        tell(&self.log, Aggregate::Registration, device(n).uuid(), kind, message).await;
        self.settled().await;
    }

    /// Waits until the service has folded what is in the logs.
    pub(crate) async fn settled(&self) {
        let mut heads = Positions::ZERO;
        for service in [Service::Enroll, Service::Identity, Service::Policy] {
            heads = heads.join(Positions::of(service, self.log.head(service).await.unwrap()));
        }
        self.seen(&heads.to_string()).await;
    }

    /// How many events of the policy service admins and devices led to by what they decided or did.
    pub(crate) async fn decided(&self) -> usize {
        let mut events = self.log.subscribe(Service::Policy, 0).await.unwrap();
        let mut decided = 0;
        while let Some(Delivery::Events(events)) = events.next().await.unwrap() {
            let told = [Aggregate::Resolution, Aggregate::Delivery, Aggregate::Presence];
            decided += events.iter().filter(|event| !told.contains(&event.stream.aggregate)).count();
        }
        decided
    }

    /// How often the log or the store was asked for anything.
    pub(crate) fn touched(&self) -> usize {
        self.touched.load(Ordering::SeqCst)
    }

    /// Payloads of the events in a stream.
    pub(crate) async fn told<M: Message + Default>(&self, aggregate: Aggregate, id: Uuid) -> Vec<M> {
        payloads(&self.log, StreamId::new(TENANT, aggregate, id)).await
    }

    /// Waits until the service has folded a position.
    pub(crate) async fn seen(&self, position: &str) {
        let list = pb::ListPoliciesRequest {
            parent: parent(),
            page_size: 0,
            page_token: String::new(),
            ..Default::default()
        };
        let mut request = admin(list);
        request.metadata_mut().insert(MIN_POSITION, position.parse().unwrap());
        self.grpc.list_policies(request).await.unwrap();
    }

    pub(crate) async fn create(&self, name: &str, settings: Vec<pb::Setting>) -> pb::Policy {
        let created = self.grpc.create_policy(admin(create(name, settings))).await.unwrap();
        self.seen(&position(&created)).await;
        created.into_inner()
    }

    pub(crate) async fn assign(&self, policy: &str, n: u8) {
        let request =
            pb::AssignPolicyRequest { policy: policy.into(), group: group_name(n), ..Default::default() };
        let assigned = self.grpc.assign_policy(admin(request)).await.unwrap();
        self.seen(&position(&assigned)).await;
    }

    /// The keys that devices believe.
    pub(crate) fn believed(&self) -> &Trust {
        self.trust.policy_trust()
    }

    /// The log that the service writes to.
    pub(crate) const fn log(&self) -> &SharedLog {
        &self.log
    }

    pub(crate) async fn end(self) {
        self.end_with_log().await;
    }

    /// Ends the service and gives its log.
    pub(crate) async fn end_with_log(self) -> SharedLog {
        self.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        self.log
    }
}

/// A log or a store that counts what it is asked.
#[derive(Debug)]
struct Counted<T> {
    inner: T,
    touched: Arc<AtomicUsize>,
}

impl<T> Counted<T> {
    fn touch(&self) -> &T {
        self.touched.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

impl EventLog for Counted<SharedLog> {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.touch().append(appends)
    }

    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>> {
        self.touch().read(stream, after)
    }

    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>> {
        self.touch().subscribe(service, after)
    }

    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>> {
        self.touch().head(service)
    }
}

impl Kv for Counted<MemoryKv> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.touch().get(key)
    }

    fn scan(&self, prefix: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), KvError> {
        self.touch().scan(prefix, row)
    }

    /// Not counted: views write behind, whenever that comes.
    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        self.inner.apply(batch)
    }

    fn clear(&self, prefix: &[u8]) -> Result<(), KvError> {
        self.touch().clear(prefix)
    }
}

/// Devices 0, 1 and 2 (Linux, trusted in this order) and group 0 with the first two of them.
pub(crate) async fn fleet(log: &SharedLog) {
    for n in 0..3 {
        let platform = enroll::Platform::Linux.into();
        let facts = Some(enroll::DeviceFacts { platform, ..Default::default() });
        let facts_digest = vec![n; 32];
        let onboarded = enroll::DeviceOnboarded { facts, facts_digest, ..Default::default() };
        tell(log, Aggregate::Enrollment, device(n).uuid(), kind::DEVICE_ONBOARDED, &onboarded).await;
        let trusted = identity::TrustEstablished::default();
        tell(log, Aggregate::Registration, device(n).uuid(), kind::TRUST_ESTABLISHED, &trusted).await;
    }
    let defined = identity::GroupDefined { display_name: "Servers".into(), ..Default::default() };
    tell(log, Aggregate::Group, group(0).uuid(), kind::GROUP_DEFINED, &defined).await;
    let mut added = Vec::new();
    RoaringBitmap::from([0, 1]).serialize_into(&mut added).unwrap();
    let changed = identity::GroupMembershipChanged { added, removed: vec![] };
    tell(log, Aggregate::Group, group(0).uuid(), kind::MEMBERSHIP_CHANGED, &changed).await;
}

/// The code that a call was refused with.
pub(crate) fn code(status: &tonic::Status) -> muster_errors::ErrorCode {
    muster_errors::Fault::from_status(status).code
}

/// Appends an event to a stream, as another service does.
pub(crate) async fn tell(
    log: &SharedLog,
    aggregate: Aggregate,
    id: Uuid,
    kind: &str,
    message: &impl Message,
) {
    tell_at(log, Timestamp::from_micros(1), (aggregate, id), kind, message).await;
}

/// The same at a moment.
pub(crate) async fn tell_at(
    log: &SharedLog,
    time: Timestamp,
    (aggregate, id): (Aggregate, Uuid),
    kind: &str,
    message: &impl Message,
) {
    let stream = StreamId::new(TENANT, aggregate, id);
    let expected = Version(log.read(stream, Version::NONE).await.unwrap().len() as u64);
    let event = NewEvent {
        id: EventId::from_uuid(derive("test", &[id.as_bytes(), &expected.0.to_be_bytes()])),
        kind: EventType::new(kind),
        payload: message.encode_to_vec().into(),
    };
    let context = Context {
        actor: Actor::admin("test"),
        time,
        correlation_id: id,
        causation_id: None,
        traceparent: None,
    };
    log.append(vec![Append { stream, expected, events: vec![event], context }]).await.unwrap();
}

/// Payloads of the events in a stream.
pub(crate) async fn payloads<M: Message + Default>(log: &SharedLog, stream: StreamId) -> Vec<M> {
    let events = log.read(stream, Version::NONE).await.unwrap();
    events.iter().map(|event| M::decode(&event.payload[..]).unwrap()).collect()
}

pub(crate) fn device(n: u8) -> DeviceId {
    DeviceId::from_uuid(derive("test device", &[&[n]]))
}

pub(crate) fn group(n: u8) -> GroupId {
    GroupId::from_uuid(derive("test group", &[&[n]]))
}

pub(crate) fn group_name(n: u8) -> String {
    ResourceName::Group(TENANT, group(n)).to_string()
}

pub(crate) fn device_name(n: u8) -> String {
    ResourceName::Device(TENANT, device(n)).to_string()
}

pub(crate) fn parent() -> String {
    ResourceName::Tenant(TENANT).to_string()
}

pub(crate) fn admin<T>(message: T) -> Request<T> {
    by(Caller::Admin { name: Arc::from("ada") }, message)
}

pub(crate) fn from_device<T>(n: u8, message: T) -> Request<T> {
    by(Caller::Device { tenant: TENANT, device: device(n) }, message)
}

pub(crate) fn by<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

pub(crate) fn position<T>(response: &Response<T>) -> String {
    response.metadata().get(POSITION).map_or("", |value| value.to_str().unwrap()).to_owned()
}

pub(crate) fn create(name: &str, settings: Vec<pb::Setting>) -> pb::CreatePolicyRequest {
    let profile = "linux-antivirus".to_owned();
    let policy = pb::Policy { display_name: name.into(), profile, settings, ..Default::default() };
    pb::CreatePolicyRequest { parent: parent(), policy: Some(policy), ..Default::default() }
}

pub(crate) fn level(level: &str) -> pb::Setting {
    setting("enforcement_level", pb::setting_value::Kind::Text(level.into()))
}

pub(crate) fn setting(name: &str, kind: pb::setting_value::Kind) -> pb::Setting {
    let value = Some(pb::SettingValue { kind: Some(kind) });
    pb::Setting { id: format!("linux-antivirus/{name}"), value }
}
