//! The identity service in process, on a log in memory: how soon groups follow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::{SharedLog, Subscription};
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::Views;
use muster_eventlog::{Append, Delivery, Envelope, NewEvent};
use muster_identity::domain::group::{self, Group};
use muster_identity::domain::registration::{self, Registration, Removal};
use muster_identity::wire::{self, kind};
use muster_pki::{InitOptions, LocalTrust};
use muster_proto::enroll::v1::DeviceTagged;
use muster_proto::identity::v1::GroupMembershipChanged;
use muster_runtime::{Deps, Metrics, TaskGroup};
use muster_types::{Aggregate, Clock as _, EventId, Service, SystemClock, TenantId, Version};
use prost::Message as _;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::{GROUPS, fleet};
use crate::measure::{Limit, Row, quantile};

const DEVICES: u32 = 20_000;
const DELETED: u32 = 10_000;
const SAMPLES: u32 = 1_000;
const LATENCY_MAX: Duration = Duration::from_millis(5);
const DELETION_MAX: Duration = Duration::from_secs(1);
/// Longest wait for anything.
const WAIT_MAX: Duration = Duration::from_secs(300);
const PROBE: &str = r#"device.tags -any (_ -eq "probe")"#;

/// From the event of a device's tags in the log to the event of the group that it comes into or leaves.
pub(crate) async fn latency() -> anyhow::Result<Row> {
    let mut house = House::with(DEVICES / 10).await?;
    let mut times = Vec::new();
    for number in 0..SAMPLES {
        let device = number % (DEVICES / 10);
        let tag = || vec!["probe".to_owned()];
        let message = if (number / (DEVICES / 10)).is_multiple_of(2) {
            DeviceTagged { added: tag(), removed: vec![] }
        } else {
            DeviceTagged { added: vec![], removed: tag() }
        };
        let tagged = fleet::told(Aggregate::Enrollment, device_id(device), kind::DEVICE_TAGGED, &message);
        house.append(&[tagged]).await?;
        let start = Instant::now();
        house.until(|event, _| event.stream.id == probe_group()).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    house.tasks.stop();
    let (median, p99) = (quantile(times.clone(), 0.5), quantile(times, 0.99));
    Ok(Row {
        name: "a device's event to a group's, p99, 1,000 groups",
        product: format!("{:.2} ms", p99 * 1e3),
        bare: format!("p50 {:.2} ms", median * 1e3),
        value: p99,
        limit: Limit::Below(LATENCY_MAX),
    })
}

/// From the deletion of 10,000 devices to the last event that lets one of them out of a group.
pub(crate) async fn delete() -> anyhow::Result<Row> {
    let mut house = House::with(DEVICES).await?;
    let gone: RoaringBitmap = (0..DELETED).collect();
    let mut left: u64 = house.members.values().map(|members| members.intersection_len(&gone)).sum();
    let removed = |n| {
        let event = registration::Event::RegistrationRemoved(Removal::Deleted);
        fleet::state::<Registration>(device_id(n), &event)
    };
    let events: Vec<_> = (0..DELETED).map(removed).collect();
    let start = Instant::now();
    house.append(&events).await?;
    let (memberships, mut changes) = (left, 0_u64);
    house
        .until(|_, change| {
            changes += 1;
            left -= change.1.intersection_len(&gone);
            left == 0
        })
        .await?;
    let took = start.elapsed();
    house.tasks.stop();
    Ok(Row {
        name: "10,000 deleted devices leave 1,000 groups",
        product: format!("{:.0} ms", took.as_secs_f64() * 1e3),
        bare: format!("{memberships} in {changes}"),
        value: took.as_secs_f64(),
        limit: Limit::Below(DELETION_MAX),
    })
}

fn device_id(n: u32) -> Uuid {
    Uuid::from_u128(u128::from(n))
}

fn group_id(number: usize) -> Uuid {
    Uuid::from_u128(1 << 100 | number as u128)
}

fn probe_group() -> Uuid {
    group_id(GROUPS)
}

/// The service with a fleet and 1,000 groups that have found their members.
struct House {
    log: SharedLog,
    tasks: TaskGroup,
    subscription: Subscription,
    versions: FxHashMap<muster_types::StreamId, u64>,
    members: FxHashMap<Uuid, RoaringBitmap>,
    _dir: tempfile::TempDir,
}

impl House {
    async fn with(devices: u32) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let log: SharedLog = Arc::new(MemoryLog::default());
        let tasks = TaskGroup::new();
        let subscription = log.subscribe(Service::Identity, 0).await?;
        let trust = LocalTrust::init(dir.path(), &InitOptions::local(SystemClock.now()))?;
        let mut house = Self {
            log: log.clone(),
            tasks: tasks.clone(),
            subscription,
            versions: FxHashMap::default(),
            members: FxHashMap::default(),
            _dir: dir,
        };
        let events: Vec<_> = (0..devices).flat_map(fleet::events).collect();
        house.append(&events).await?;
        let rules = fleet::rules(GROUPS).into_iter().chain([PROBE.to_owned()]);
        let define = |(number, rule): (usize, String)| {
            let display_name = format!("group {number}");
            let event =
                group::Event::Defined { display_name, rule: Some(rule.into()), at: SystemClock.now() };
            fleet::state::<Group>(group_id(number), &event)
        };
        let groups: Vec<_> = rules.enumerate().map(define).collect();
        house.append(&groups).await?;
        let deps = Deps {
            moments: muster_runtime::moments(
                &log,
                Arc::new(MemoryKv::default()),
                Arc::new(SystemClock),
                &tasks,
            ),
            log,
            kv: Arc::new(MemoryKv::default()),
            clock: Arc::new(SystemClock),
            tasks,
            metrics: Metrics::default(),
            views: Views::default(),
            tenant: TenantId::DEFAULT,
            trust,
        };
        muster_identity::build(muster_identity::Config::default(), deps).await?;
        // Once a device comes into the probe's group, all groups were asked about the fleet.
        let tags = DeviceTagged { added: vec!["probe".to_owned()], removed: vec![] };
        let last = device_id(devices - 1);
        house.append(&[fleet::told(Aggregate::Enrollment, last, kind::DEVICE_TAGGED, &tags)]).await?;
        house.until(|event, _| event.stream.id == probe_group()).await?;
        let tags = DeviceTagged { added: vec![], removed: vec!["probe".to_owned()] };
        house.append(&[fleet::told(Aggregate::Enrollment, last, kind::DEVICE_TAGGED, &tags)]).await?;
        house.until(|event, change| event.stream.id == probe_group() && !change.1.is_empty()).await?;
        Ok(house)
    }

    /// Appends events, a thousand at a time, each to its stream.
    async fn append(&mut self, events: &[Envelope]) -> anyhow::Result<()> {
        let mut appends = Vec::new();
        for event in events {
            let version = self.versions.entry(event.stream).or_default();
            let id = muster_types::id::derive(
                "bench",
                &[event.stream.id.as_bytes(), &[event.stream.aggregate as u8], &version.to_be_bytes()],
            );
            let new = NewEvent {
                id: EventId::from_uuid(id),
                kind: event.kind.clone(),
                payload: event.payload.clone(),
            };
            let append = Append {
                stream: event.stream,
                expected: Version(*version),
                events: vec![new],
                context: event.context.clone(),
            };
            *version += 1;
            appends.push(append);
        }
        for append in appends {
            self.log.append(vec![append]).await?;
        }
        Ok(())
    }

    /// Folds changes of members, up to one that is waited for.
    async fn until(
        &mut self,
        mut wanted: impl FnMut(&Envelope, (&RoaringBitmap, &RoaringBitmap)) -> bool,
    ) -> anyhow::Result<()> {
        let found = async {
            loop {
                let delivery = self.subscription.next().await?.context("the log ended")?;
                let Delivery::Events(events) = delivery else { continue };
                let mut found = false;
                for event in events.iter().filter(|event| event.kind.as_str() == kind::MEMBERSHIP_CHANGED) {
                    let change = GroupMembershipChanged::decode(&event.payload[..])?;
                    let read = |bytes: &[u8]| wire::bitmap(bytes).map_err(anyhow::Error::msg);
                    let (added, removed) = (read(&change.added)?, read(&change.removed)?);
                    let members = self.members.entry(event.stream.id).or_default();
                    *members |= &added;
                    *members -= &removed;
                    found |= wanted(event, (&added, &removed));
                }
                if found {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(WAIT_MAX, found).await.context("groups did not follow")?
    }
}
