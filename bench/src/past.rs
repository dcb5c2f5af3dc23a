//! Explanations of a device at past moments, over a log of a million events on a disk, of which the device has a thousand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Views;
use muster_eventlog::{Actor, Append, Context, EventType, NewEvent};
use muster_pki::{InitOptions, LocalTrust};
use muster_policy::domain::assignment;
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::log::v1::{AsOf, as_of::At};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_runtime::{Caller, Deps, Metrics, TaskGroup};
use muster_types::{
    Aggregate, Clock as _, DeviceId, EventId, GroupId, PolicyId, ResourceName, StreamId, SystemClock,
    TenantId, Timestamp, Version,
};
use prost::Message;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use tonic::Request;
use uuid::Uuid;

use crate::inventory::facts;
use crate::measure::{Limit, Row};
use crate::policies::settings;

const EVENTS: usize = 1_000_000;
/// Devices; each has six events, and joins one group.
const DEVICES: u32 = 160_000;
const GROUPS: u32 = 20;
/// Revisions of each group's policy.
const REVISIONS: u64 = 10;
const DEVICE_EVENTS: u32 = 1_000;
/// The platform's profile that the device has.
const PROFILE: &str = "windows-antivirus";
/// Events that are appended at once.
const FLUSHED: usize = 5_400;
const ASKED: u64 = 400;
const WITHIN: Duration = Duration::from_millis(50);
const READ_WITHIN: Duration = Duration::from_secs(300);

/// The 99th percentile of explanations at moments all over the middle of the log.
pub(crate) async fn run() -> anyhow::Result<Row> {
    let dir = tempfile::tempdir_in(".")?;
    let log: SharedLog = Arc::new(EmbeddedLog::open(&dir.path().join("log"), Options::default())?);
    let mut story = Story::new(log.clone());
    story.tell().await?;
    let (begin, end) = (story.begin, story.now());
    let (tasks, metrics) = (TaskGroup::new(), Metrics::default());
    let clock = Arc::new(SystemClock);
    let deps = Deps {
        moments: muster_runtime::moments(&log, Arc::new(MemoryKv::default()), clock.clone(), &tasks),
        log,
        kv: Arc::new(MemoryKv::default()),
        clock,
        tasks: tasks.clone(),
        metrics: metrics.clone(),
        tenant: TenantId::DEFAULT,
        trust: LocalTrust::init(&dir.path().join("pki"), &InitOptions::local(SystemClock.now()))?,
        views: Views::default(),
    };
    let (grpc, _fleet) = muster_policy::grpc(muster_policy::Config::default(), &deps)?;
    let ask = async |at: Timestamp| {
        let at = At::Time(muster_proto::convert::timestamp(at));
        let device = ResourceName::Device(TenantId::DEFAULT, device(0)).to_string();
        let message =
            pb::ExplainDeviceRequest { device, setting: String::new(), as_of: Some(AsOf { at: Some(at) }) };
        let mut request = Request::new(message);
        request.extensions_mut().insert(Caller::Admin { name: Arc::from("bench") });
        grpc.explain_device(request).await
    };
    let started = Instant::now();
    while ask(end).await.is_err() {
        anyhow::ensure!(started.elapsed() < READ_WITHIN, "the past was not read in time");
    }
    let read_in = started.elapsed();
    let span = end.since(begin);
    let mut times = Vec::new();
    for n in 0..ASKED {
        let into = span.mul_f64(
            0.3 + 0.6 * f64::from(u32::try_from(n * 7_919 % ASKED)?) / f64::from(u32::try_from(ASKED)?),
        );
        let asked = Instant::now();
        let explanation = ask(begin.plus(into)).await.context("it is explained")?.into_inner();
        times.push(asked.elapsed().as_secs_f64());
        anyhow::ensure!(!explanation.settings.is_empty(), "nothing is set");
    }
    tasks.shutdown(Duration::from_secs(30)).await?;
    times.sort_by(f64::total_cmp);
    let (median, value) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    Ok(Row {
        name: "explain a past moment, of 1,000,000 events",
        product: format!("p50 {:.1} ms", median * 1e3),
        bare: format!("{} MB in {:.1} s", past_bytes(&metrics)? / 1_000_000, read_in.as_secs_f64()),
        value,
        limit: Limit::Below(WITHIN),
    })
}

fn past_bytes(metrics: &Metrics) -> anyhow::Result<u64> {
    let text = metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix("muster_policy_past_bytes "));
    Ok(line.context("the metric is there")?.parse()?)
}

/// What happens, an event each millisecond.
struct Story {
    log: SharedLog,
    versions: FxHashMap<StreamId, u64>,
    waiting: Vec<(StreamId, Append)>,
    begin: Timestamp,
    events: usize,
}

impl Story {
    fn new(log: SharedLog) -> Self {
        let begin = SystemClock.now().micros() - i64::try_from(EVENTS * 2_000).unwrap_or(i64::MAX);
        let begin = Timestamp::from_micros(begin);
        Self { log, versions: FxHashMap::default(), waiting: Vec::new(), begin, events: 0 }
    }

    fn now(&self) -> Timestamp {
        self.begin.plus(Duration::from_millis(self.events as u64))
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        for n in 0..DEVICES {
            self.comes(n).await?;
            if n % (DEVICES / DEVICE_EVENTS) == 0 && n > 0 {
                // The facts of its neighbour: what runs the platform that the policies are for.
                let facts = Some(facts(n + 1, false));
                let changed = enroll::DeviceFactsChanged { facts, facts_digest: vec![1; 32] };
                self.add(
                    Aggregate::Enrollment,
                    device(0).uuid(),
                    "muster.enroll.v1.DeviceFactsChanged",
                    &changed,
                )
                .await?;
            }
            let turn = DEVICES / 4 / GROUPS;
            if n % turn == 0 && n / turn < GROUPS {
                self.policy(n / turn).await?;
            }
            if n % (DEVICES / 10) == 1 {
                for group in 0..GROUPS {
                    self.revised(group, u64::from(n / (DEVICES / 10)) + 2).await?;
                }
            }
        }
        while self.events < EVENTS {
            let changed = enroll::DeviceTagged { added: vec!["t".into()], removed: Vec::new() };
            let n = u32::try_from(self.events)? % DEVICES;
            self.add(Aggregate::Enrollment, device(n).uuid(), "muster.enroll.v1.DeviceTagged", &changed)
                .await?;
        }
        self.flush().await
    }

    async fn comes(&mut self, n: u32) -> anyhow::Result<()> {
        let (id, devices) = (device(n).uuid(), bits(n)?);
        let onboarded = enroll::DeviceOnboarded {
            facts: Some(facts(n, false)),
            facts_digest: vec![3; 32],
            ..Default::default()
        };
        self.add(Aggregate::Enrollment, id, "muster.enroll.v1.DeviceOnboarded", &onboarded).await?;
        let trusted = identity::TrustEstablished::default();
        self.add(Aggregate::Registration, id, "muster.identity.v1.TrustEstablished", &trusted).await?;
        let succeeded = enroll::EnrollmentSucceeded::default();
        self.add(Aggregate::Enrollment, id, "muster.enroll.v1.EnrollmentSucceeded", &succeeded).await?;
        let joined = identity::GroupMembershipChanged { added: devices.clone(), removed: Vec::new() };
        let group = group(n % GROUPS).uuid();
        self.add(Aggregate::Group, group, "muster.identity.v1.GroupMembershipChanged", &joined).await?;
        let resolution = (n == 0).then(|| pb::Resolution { etag: vec![7; 32], ..Default::default() });
        let of = pb::Resolved {
            resolution_id: vec![8; 32],
            devices: devices.clone(),
            cause_time: None,
            resolution,
        };
        let changed = pb::EffectivePoliciesChanged { resolved: vec![of], ..Default::default() };
        self.add(Aggregate::Resolution, Uuid::nil(), "muster.policy.v1.EffectivePoliciesChanged", &changed)
            .await?;
        let sent = pb::Delivered { etag: vec![7; 32], step: pb::DeliveryStep::Sent.into(), devices };
        let delivered = pb::PoliciesDelivered { delivered: vec![sent], first_time: None };
        self.add(Aggregate::Delivery, Uuid::nil(), "muster.policy.v1.PoliciesDelivered", &delivered).await
    }

    /// A group that the device is in, and its policy.
    async fn policy(&mut self, n: u32) -> anyhow::Result<()> {
        let joined = identity::GroupMembershipChanged { added: bits(0)?, removed: Vec::new() };
        self.add(Aggregate::Group, group(n).uuid(), "muster.identity.v1.GroupMembershipChanged", &joined)
            .await?;
        let created = pb::PolicyCreated {
            display_name: format!("policy {n}"),
            profile: PROFILE.into(),
            settings: settings(PROFILE, false)?,
            ..Default::default()
        };
        self.add(Aggregate::Policy, policy(n).uuid(), "muster.policy.v1.PolicyCreated", &created).await?;
        let assigned = pb::PolicyAssigned {
            policy_id: policy(n).as_bytes().to_vec(),
            group_id: group(n).as_bytes().to_vec(),
            intent: pb::AssignmentIntent::Include.into(),
            priority: Some(n + 1),
            ..Default::default()
        };
        let id = assignment::stream_id(policy(n), group(n));
        self.add(Aggregate::Assignment, id, "muster.policy.v1.PolicyAssigned", &assigned).await
    }

    async fn revised(&mut self, n: u32, revision: u64) -> anyhow::Result<()> {
        let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Policy, policy(n).uuid());
        if revision > REVISIONS || !self.versions.contains_key(&stream) {
            return Ok(());
        }
        let revised = pb::PolicyRevised {
            revision: self.versions[&stream] + 1,
            display_name: format!("policy {n}"),
            settings: settings(PROFILE, revision.is_multiple_of(2))?,
            ..Default::default()
        };
        self.add(Aggregate::Policy, policy(n).uuid(), "muster.policy.v1.PolicyRevised", &revised).await
    }

    /// Adds an event; many are appended at once, each stream once in an append.
    async fn add(
        &mut self,
        aggregate: Aggregate,
        id: Uuid,
        kind: &str,
        message: &impl Message,
    ) -> anyhow::Result<()> {
        let stream = StreamId::new(TenantId::DEFAULT, aggregate, id);
        let time = self.now();
        self.events += 1;
        let event = NewEvent {
            id: EventId::from_uuid(Uuid::from_u128(self.events as u128)),
            kind: EventType::new(kind),
            payload: message.encode_to_vec().into(),
        };
        let version = self.versions.entry(stream).or_default();
        let expected = Version(*version);
        *version += 1;
        let context = Context {
            actor: Actor::admin("bench"),
            time,
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        };
        self.waiting.push((stream, Append { stream, expected, events: vec![event], context }));
        if self.waiting.len() >= FLUSHED { self.flush().await } else { Ok(()) }
    }

    /// Appends what waits: what a stream gets stands together, with the time of its first event.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let mut parts: [Vec<Append>; 4] = Default::default();
        let mut places: FxHashMap<StreamId, usize> = FxHashMap::default();
        for (stream, append) in std::mem::take(&mut self.waiting) {
            let part = &mut parts[stream.service() as usize - 1];
            match places.get(&stream) {
                Some(place) => part[*place].events.extend(append.events),
                None => {
                    places.insert(stream, part.len());
                    part.push(append);
                }
            }
        }
        // Appends that wait together share a sync.
        let appends = parts.into_iter().flatten().map(|append| self.log.append(vec![append]));
        futures::future::try_join_all(appends).await?;
        Ok(())
    }
}

fn bits(ordinal: u32) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    RoaringBitmap::from_iter([ordinal]).serialize_into(&mut bytes)?;
    Ok(bytes)
}

fn device(n: u32) -> DeviceId {
    DeviceId::from_uuid(muster_types::id::derive("bench-device", &[&n.to_be_bytes()]))
}

fn group(n: u32) -> GroupId {
    GroupId::from_uuid(muster_types::id::derive("bench-group", &[&n.to_be_bytes()]))
}

fn policy(n: u32) -> PolicyId {
    PolicyId::from_uuid(muster_types::id::derive("bench-policy", &[&n.to_be_bytes()]))
}
