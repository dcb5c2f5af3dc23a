//! What other services saw ends registrations here, once.

use std::sync::Arc;

use muster_errors::ErrorCode;
use muster_eventlog::Envelope;
use muster_eventlog::command::State;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::{Actor, Context, EventType};
use muster_identity::commands::{Commands, Order};
use muster_identity::domain::registration::{Certificate, Command, Registration, Removal, Serial, Standing};
use muster_identity::metrics::IdentityMetrics;
use muster_identity::process_manager::{ProcessManager, Reaction, react};
use muster_identity::projection::{
    Directory, Groups, Hardware, Histories, Membership, Registrations, TrustAnchors,
};
use muster_identity::queries::Queries;
use muster_pki::{InitOptions, LocalTrust};
use muster_proto::enroll::v1::{DeviceDeleted, DeviceOffboarded, ReenrollmentAllowed};
use muster_proto::identity::v1 as pb;
use muster_proto::policy::v1::DuplicateSessionsObserved;
use muster_types::{
    Aggregate, DeviceId, EventId, RequestId, Service, StreamId, SystemClock, TenantId, Timestamp, Version,
};
use prost::Message;
use tempfile::TempDir;
use uuid::Uuid;

use crate::server::{PARENT, TestDevice, TestServer, code, deps};

const DELETED: &str = "muster.enroll.v1.DeviceDeleted";
const OFFBOARDED: &str = "muster.enroll.v1.DeviceOffboarded";

fn enrollment(device: DeviceId) -> StreamId {
    StreamId::new(TenantId::DEFAULT, Aggregate::Enrollment, device.uuid())
}

async fn groups_with(server: &TestServer, device: &TestDevice, count: usize) -> Vec<String> {
    let mut admin = server.admin().groups();
    let mut names = Vec::new();
    for number in 0..count {
        let group = pb::Group {
            display_name: format!("group {number}"),
            kind: pb::GroupKind::Static.into(),
            ..Default::default()
        };
        let create =
            pb::CreateGroupRequest { parent: PARENT.into(), group: Some(group), ..Default::default() };
        let name = admin.create_group(create).await.expect("defined").into_inner().name;
        admin.modify_group_members(add(&name, device)).await.expect("let in");
        names.push(name);
    }
    names
}

fn add(group: &str, device: &TestDevice) -> pb::ModifyGroupMembersRequest {
    pb::ModifyGroupMembersRequest {
        name: group.into(),
        add_devices: vec![device.name.clone()],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_device_deleted_in_enroll_is_no_longer_registered_and_leaves_its_groups() {
    let server = TestServer::start().await;
    let device = server.trusted_device(1).await;
    let groups = groups_with(&server, &device, 2).await;
    server.append(enrollment(device.id()), DELETED, &DeviceDeleted {}).await;
    let events = server.events_until(8).await;
    assert_eq!(events[5..], ["RegistrationRemoved", "GroupMembershipChanged", "GroupMembershipChanged"]);
    let removed = &server.envelopes().await[5];
    assert_eq!(removed.context.actor.as_str(), "service:identity");
    assert!(removed.context.causation_id.is_some());

    let mut admin = server.admin().groups();
    for name in &groups {
        let group = admin.get_group(pb::GetGroupRequest { name: name.clone() }).await.expect("shown");
        assert_eq!(group.into_inner().member_count, 0);
    }
    let refused = admin.modify_group_members(add(&groups[0], &device)).await;
    assert_eq!(code(refused), Some(ErrorCode::DeviceUnknown), "a removed device comes into no group");
    let back = server.trusted_device(1).await;
    let group = admin.modify_group_members(add(&groups[0], &back)).await.expect("let in").into_inner();
    assert_eq!(group.member_count, 1);
}

#[tokio::test]
async fn a_device_that_was_offboarded_is_no_longer_registered() {
    let server = TestServer::start().await;
    let device = server.trusted_device(1).await;
    server.append(enrollment(device.id()), OFFBOARDED, &DeviceOffboarded::default()).await;
    server.events_until(2).await;
    let request = pb::GetRegistrationRequest { name: device.registration() };
    let shown = server.admin().registrations().get_registration(request).await.expect("shown").into_inner();
    assert_eq!((shown.state(), &shown.reason[..]), (pb::RegistrationState::Removed, "offboarded"));
}

#[tokio::test]
async fn enrolls_answer_to_a_deletion_here_makes_no_echo() {
    let server = TestServer::start().await;
    let (device, other) = (server.trusted_device(1).await, server.trusted_device(2).await);
    let delete = pb::DeleteRegistrationRequest { name: device.registration(), ..Default::default() };
    server.admin().registrations().delete_registration(delete).await.expect("deleted");
    server.append(enrollment(device.id()), DELETED, &DeviceDeleted {}).await;
    // What comes behind it in the same log shows that it was dealt with.
    server.append(enrollment(other.id()), DELETED, &DeviceDeleted {}).await;
    let events = server.events_until(4).await;
    assert_eq!(events[2..], ["RegistrationRemoved", "RegistrationRemoved"]);
}

/// The process manager on a log of its own, told of events by hand.
struct Told {
    log: SharedLog,
    commands: Arc<Commands>,
    manager: ProcessManager,
}

impl Told {
    fn new() -> Self {
        let log: SharedLog = Arc::new(MemoryLog::default());
        let dir = TempDir::new().expect("a temporary folder");
        let trust = LocalTrust::init(dir.path(), &InitOptions::local(now())).expect("a folder of trust");
        let deps = deps(log.clone(), &trust);
        let commands = Arc::new(Commands::new(log.clone(), deps.clock.clone()));
        let queries = Queries::new(
            deps.follow(Registrations::default),
            deps.follow(Groups::default),
            deps.follow(TrustAnchors::default),
            deps.follow(Directory::default),
            deps.follow(Hardware::default),
            deps.follow(|| Membership::new(Arc::default())),
            deps.follow(Histories::default),
        );
        let manager =
            ProcessManager { commands: commands.clone(), queries, metrics: IdentityMetrics::default() };
        Self { log, commands, manager }
    }

    async fn trust(&self, device: DeviceId, number: u8) {
        let command = Command::Establish {
            proven: None,
            spiffe_id: String::new(),
            certificate: certificate(number),
            hardware_keys: vec![],
        };
        self.run(device, &command, u128::from(number)).await;
    }

    async fn run(&self, device: DeviceId, command: &Command, request: u128) {
        let order =
            Order::of(Actor::service(Service::Enroll), RequestId::from_uuid(Uuid::from_u128(request)));
        let at = (TenantId::DEFAULT, device);
        self.commands.registration(at, command, &order).await.expect("done");
    }

    async fn standing(&self, device: DeviceId) -> Standing {
        let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Registration, device.uuid());
        let mut registration = Registration::default();
        for envelope in self.log.read(stream, Version::NONE).await.expect("a log") {
            let event = <Registration as State>::decode(&envelope).expect("readable");
            registration.evolve(&event.expect("known"));
        }
        registration.registered().expect("trusted").standing()
    }
}

fn certificate(number: u8) -> Certificate {
    let serial = Serial::from_slice(&[number]).expect("one byte");
    Certificate { key_digest: [number; 32], serial, not_after: Timestamp::from_micros(9) }
}

fn envelope(
    stream: StreamId,
    version: u64,
    kind: &'static str,
    message: &impl Message,
    time: Timestamp,
) -> Envelope {
    Envelope {
        position: version,
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(version))),
        stream,
        version: Version(version),
        kind: EventType::new(kind),
        context: Context {
            actor: Actor::admin("ada"),
            time,
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: message.encode_to_vec().into(),
    }
}

fn now() -> Timestamp {
    muster_types::Clock::now(&SystemClock)
}

#[tokio::test]
async fn a_deletion_told_again_after_the_device_was_let_back_changes_nothing() {
    let told = Told::new();
    let device = DeviceId::from_uuid(Uuid::from_u128(7));
    told.trust(device, 1).await;
    let deleted = envelope(enrollment(device), 1, DELETED, &DeviceDeleted {}, now());
    told.log.append(vec![as_append(&deleted)]).await.expect("acknowledged");
    told.manager.handle(deleted.clone()).await.expect("handled");
    told.manager.handle(deleted.clone()).await.expect("handled");
    assert_eq!(told.standing(device).await, Standing::Removed(Removal::Deleted));

    let kind = "muster.enroll.v1.ReenrollmentAllowed";
    let allowed = envelope(enrollment(device), 2, kind, &ReenrollmentAllowed {}, now());
    told.log.append(vec![as_append(&allowed)]).await.expect("acknowledged");
    told.trust(device, 2).await;
    told.manager.handle(deleted).await.expect("handled");
    assert_eq!(told.standing(device).await, Standing::Active);
    let again = envelope(enrollment(device), 3, DELETED, &DeviceDeleted {}, now());
    told.manager.handle(again).await.expect("handled");
    assert_eq!(told.standing(device).await, Standing::Removed(Removal::Deleted));
}

#[tokio::test]
async fn sessions_seen_before_a_suspicion_was_resolved_make_no_new_one() {
    let told = Told::new();
    let device = DeviceId::from_uuid(Uuid::from_u128(7));
    told.trust(device, 1).await;
    let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Session, device.uuid());
    let kind = "muster.policy.v1.DuplicateSessionsObserved";
    let boots = DuplicateSessionsObserved { boot_ids: vec![vec![1; 16], vec![2; 16]] };
    let seen = envelope(stream, 1, kind, &boots, now());
    told.manager.handle(seen.clone()).await.expect("handled");
    assert_eq!(told.standing(device).await, Standing::Quarantined);
    let resolution = muster_identity::domain::registration::Resolution::Dismiss;
    told.run(device, &Command::ResolveClone { resolution, now: now() }, 9).await;
    told.manager.handle(seen).await.expect("handled");
    assert_eq!(told.standing(device).await, Standing::Active);
    let later = envelope(stream, 2, kind, &boots, now());
    told.manager.handle(later).await.expect("handled");
    assert_eq!(told.standing(device).await, Standing::Quarantined);
}

#[tokio::test]
async fn what_is_about_nobody_or_unreadable_is_passed_over() {
    let told = Told::new();
    let device = DeviceId::from_uuid(Uuid::from_u128(7));
    let unknown = envelope(enrollment(device), 1, DELETED, &DeviceDeleted {}, now());
    told.manager.handle(unknown).await.expect("handled");
    let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Session, device.uuid());
    let kind = "muster.policy.v1.DuplicateSessionsObserved";
    let boots = DuplicateSessionsObserved { boot_ids: vec![vec![1; 3]] };
    let unreadable = envelope(stream, 1, kind, &boots, now());
    assert!(react(&unreadable).is_err());
    told.manager.handle(unreadable).await.expect("handled");
    assert_eq!(told.log.head(Service::Identity).await.expect("a log"), 0);
}

#[test]
fn each_event_asks_for_one_thing() {
    let device = DeviceId::from_uuid(Uuid::from_u128(7));
    let asked = |kind| react(&envelope(enrollment(device), 1, kind, &DeviceDeleted {}, now()));
    assert_eq!(asked(DELETED), Ok(Some(Reaction::Remove(Removal::Deleted))));
    assert_eq!(asked(OFFBOARDED), Ok(Some(Reaction::Remove(Removal::Offboarded))));
    assert_eq!(asked("muster.identity.v1.RegistrationRemoved"), Ok(None));
    assert_eq!(asked("muster.enroll.v1.DeviceOnboarded"), Ok(None));
}

#[tokio::test]
async fn a_merge_ends_one_device_and_certifies_the_other_or_does_neither() {
    let told = Told::new();
    let (from, into) = (DeviceId::from_uuid(Uuid::from_u128(7)), DeviceId::from_uuid(Uuid::from_u128(8)));
    told.trust(from, 1).await;
    told.trust(into, 2).await;
    let merge = muster_identity::commands::Merge {
        tenant: TenantId::DEFAULT,
        from,
        into,
        certificate: certificate(3),
    };
    let order = Order::of(Actor::device(from), RequestId::from_uuid(Uuid::from_u128(30)));
    told.run(into, &Command::Revoke { reason: String::new() }, 20).await;
    assert!(told.commands.merge(&merge, &order).await.is_err());
    assert_eq!(told.standing(from).await, Standing::Active);

    told.trust(into, 4).await;
    let done = told.commands.merge(&merge, &order).await.expect("merged");
    assert_eq!(done.state.registered().map(|known| known.serial), Some(certificate(3).serial));
    assert_eq!(told.standing(from).await, Standing::Removed(Removal::Merged { into }));
    assert_eq!(told.standing(into).await, Standing::Active);
    assert!(told.commands.merge(&merge, &order).await.is_err(), "who has ended asks for nothing");
}

fn as_append(event: &Envelope) -> muster_eventlog::Append {
    muster_eventlog::Append {
        stream: event.stream,
        expected: Version(event.version.0 - 1),
        events: vec![muster_eventlog::NewEvent {
            id: event.event_id,
            kind: event.kind.clone(),
            payload: event.payload.clone(),
        }],
        context: event.context.clone(),
    }
}
