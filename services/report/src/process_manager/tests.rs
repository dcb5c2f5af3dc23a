//! Given what was heard of devices, when time passes, then who is told to be stale or back.

use muster_eventlog::command::State as _;
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::{Actor, Append, Context, EventType, NewEvent, project};
use muster_proto::policy::v1::DevicesSeen;
use muster_runtime::{Metrics, TaskGroup};
use muster_types::{Aggregate, EventId, FixedClock, RequestId, StreamId, TenantId, Version};
use prost::Message as _;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::*;
use crate::commands::Asked;
use crate::domain::device_status::{DeviceStatus, Event};
use crate::domain::report_settings::Values;
use crate::store::encode_bitmap;
use crate::wire::kind;

const TENANT: TenantId = TenantId::DEFAULT;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const BEGIN: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

struct World {
    log: SharedLog,
    clock: Arc<FixedClock>,
    tasks: TaskGroup,
    manager: ProcessManager,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

fn id(number: u16) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

impl World {
    fn new() -> Self {
        Self::over(Arc::new(MemoryLog::default()), Arc::new(FixedClock::at(BEGIN)))
    }

    /// A process over a log: another one, or the same after a restart.
    fn over(log: SharedLog, clock: Arc<FixedClock>) -> Self {
        let tasks = TaskGroup::new();
        let stopping = tasks.stopping().clone().cancelled_owned();
        let kv = Arc::new(MemoryKv::default());
        let (sightings, folding) = project::start(log.clone(), kv, Sightings::default, stopping);
        tasks.spawn("sightings", folding);
        let commands = Commands::new(TENANT, log.clone(), clock.clone(), sightings.clone());
        let metrics = ReportMetrics::register(&Metrics::default());
        let manager = ProcessManager::new(Arc::new(commands), sightings, clock.clone(), metrics);
        Self { log, clock, tasks, manager }
    }

    async fn append(&self, aggregate: Aggregate, id: Uuid, kind: &'static str, payload: Vec<u8>) {
        let stream = StreamId::new(TENANT, aggregate, id);
        let request = RequestId::generate();
        let event = NewEvent {
            id: EventId::of_request(request, 0),
            kind: EventType::new(kind),
            payload: payload.into(),
        };
        let context = Context {
            actor: Actor::admin("ada"),
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: None,
        };
        let expected = Version(self.log.read(stream, Version::NONE).await.unwrap().len() as u64);
        self.log.append(vec![Append { stream, expected, events: vec![event], context }]).await.unwrap();
    }

    async fn trust(&self, devices: impl IntoIterator<Item = u16>) {
        for number in devices {
            self.append(Aggregate::Registration, id(number), kind::TRUST_ESTABLISHED, vec![]).await;
        }
    }

    async fn see(&self, ordinals: &[u32]) {
        let devices = encode_bitmap(&ordinals.iter().copied().collect::<RoaringBitmap>());
        let payload = DevicesSeen { devices }.encode_to_vec();
        self.append(Aggregate::Presence, Uuid::nil(), kind::DEVICES_SEEN, payload).await;
    }

    async fn set_stale_after(&self, stale_after: Duration) {
        let asked = Asked {
            actor: Actor::admin("ada"),
            request: RequestId::generate(),
            validate_only: false,
            reason: String::new(),
        };
        let values = Values { stale_after, ..Values::default() };
        self.manager.commands.change_report_settings(&asked, values, String::new()).await.unwrap();
    }

    /// Lets time pass and tells until there is nothing more to tell.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        let mut positions = Positions::ZERO;
        for service in [Service::Identity, Service::Policy, Service::Report] {
            positions.advance(service, self.log.head(service).await.unwrap());
        }
        self.manager.sightings.wait_for(&positions).await.unwrap();
        let mut progress = self.manager.sightings.watch();
        progress.wait_for(project::Progress::is_ready).await.unwrap();
        while self.manager.tell().await.is_some_and(|next| next <= self.clock.now()) {
            tokio::task::yield_now().await;
        }
    }

    /// What was told of a device: `s` for stale, `r` for returned.
    async fn told(&self, number: u16) -> String {
        let stream = StreamId::new(TENANT, Aggregate::DeviceStatus, id(number));
        let events = self.log.read(stream, Version::NONE).await.unwrap();
        let told = events.iter().filter_map(|event| match DeviceStatus::decode(event).unwrap() {
            Some(Event::WentStale { .. }) => Some('s'),
            Some(Event::Returned { .. }) => Some('r'),
            Some(Event::Reported { .. } | Event::DriftSuspected { .. }) | None => None,
        });
        told.collect()
    }

    async fn head(&self) -> u64 {
        self.log.head(Service::Report).await.unwrap()
    }
}

#[tokio::test]
async fn a_silent_device_goes_stale_once_and_returns_once() {
    let world = World::new();
    world.trust([0, 1]).await;
    world.pass(6 * DAY).await;
    world.see(&[1]).await;
    world.pass(DAY).await;
    assert_eq!(world.told(0).await, "", "its last minute is not over by 7 days");
    world.pass(Duration::from_secs(60)).await;
    assert_eq!((world.told(0).await.as_str(), world.told(1).await.as_str()), ("s", ""));
    world.pass(HOUR).await;
    world.pass(HOUR).await;
    assert_eq!(world.told(0).await, "s");
    world.see(&[0]).await;
    world.pass(HOUR).await;
    world.see(&[0, 1]).await;
    world.pass(HOUR).await;
    assert_eq!((world.told(0).await.as_str(), world.told(1).await.as_str()), ("sr", ""));
    world.pass(8 * DAY).await;
    assert_eq!((world.told(0).await.as_str(), world.told(1).await.as_str()), ("srs", "s"));
}

#[tokio::test]
async fn what_is_told_names_the_last_time_it_was_heard_of() {
    let world = World::new();
    world.trust([0]).await;
    world.pass(8 * DAY).await;
    let stream = StreamId::new(TENANT, Aggregate::DeviceStatus, id(0));
    let events = world.log.read(stream, Version::NONE).await.unwrap();
    let Some(Event::WentStale { last_seen }) = DeviceStatus::decode(&events[0]).unwrap() else {
        panic!("not stale: {events:?}");
    };
    assert!(last_seen <= BEGIN && BEGIN.since(last_seen) < Duration::from_secs(60));
    assert_eq!(events[0].context.actor, Actor::service(Service::Report));
}

#[tokio::test]
async fn a_lower_threshold_makes_devices_stale_at_once_and_a_higher_one_brings_none_back() {
    let world = World::new();
    world.trust([0, 1]).await;
    world.pass(DAY).await;
    assert_eq!(world.head().await, 0);
    world.set_stale_after(2 * HOUR).await;
    world.pass(Duration::ZERO).await;
    assert_eq!((world.told(0).await.as_str(), world.told(1).await.as_str()), ("s", "s"));
    world.set_stale_after(30 * DAY).await;
    world.pass(HOUR).await;
    assert_eq!(world.told(0).await, "s", "it returns when it is heard of");
}

#[tokio::test]
async fn a_device_that_is_removed_never_goes_stale() {
    let world = World::new();
    world.trust([0]).await;
    world.append(Aggregate::Registration, id(0), kind::REGISTRATION_REMOVED, vec![]).await;
    world.pass(30 * DAY).await;
    assert_eq!(world.head().await, 0);
    world.trust([0]).await;
    world.pass(8 * DAY).await;
    assert_eq!(world.told(0).await, "s");
}

#[tokio::test]
async fn after_a_restart_devices_have_time_to_be_heard_of_and_nothing_is_told_again() {
    let first = World::new();
    first.trust([0, 1, 2]).await;
    first.pass(DAY).await;
    first.see(&[1, 2]).await;
    first.pass(6 * DAY + HOUR).await;
    assert_eq!(first.told(0).await, "s");
    let (log, clock, head) = (first.log.clone(), first.clock.clone(), first.head().await);
    drop(first);
    clock.advance(3 * DAY);
    let second = World::over(log, clock);
    second.pass(HOUR).await;
    assert_eq!(second.head().await, head, "nobody could be heard of while nobody listened");
    second.see(&[1]).await;
    second.pass(HOUR).await;
    assert_eq!((second.told(0).await.as_str(), second.told(1).await.as_str()), ("s", ""));
    assert_eq!(second.told(2).await, "s");
}

#[tokio::test]
async fn two_processes_tell_it_once() {
    let one = World::new();
    let two = World::over(one.log.clone(), one.clock.clone());
    one.trust(0..40).await;
    one.clock.advance(8 * DAY);
    tokio::join!(one.pass(Duration::ZERO), two.pass(Duration::ZERO));
    for number in 0..40 {
        assert_eq!(one.told(number).await, "s", "{number}");
    }
    one.see(&(0..40).collect::<Vec<_>>()).await;
    tokio::join!(one.pass(HOUR), two.pass(Duration::ZERO));
    for number in 0..40 {
        assert_eq!(one.told(number).await, "sr", "{number}");
    }
}

#[tokio::test]
async fn many_are_told_in_batches() {
    let world = World::new();
    world.trust(0..2_100).await;
    world.clock.advance(8 * DAY);
    world.pass(Duration::ZERO).await;
    assert_eq!(world.head().await, 2_100);
}

#[tokio::test]
async fn the_next_look_is_when_the_longest_silence_is_too_long() {
    let world = World::new();
    world.trust([0]).await;
    world.pass(HOUR).await;
    let planned = plan(&world.manager.sightings.read(), BEGIN, world.clock.now());
    let next = planned.next.unwrap();
    assert_eq!(planned.absences, []);
    assert!((7 * DAY..=7 * DAY + Duration::from_secs(60)).contains(&next.since(BEGIN)));
}
