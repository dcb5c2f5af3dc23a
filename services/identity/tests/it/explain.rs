//! Why a device is or is not in a group, now and then: the same as what the views say, at every past position.

use std::collections::BTreeMap;

use muster_eventlog::command::State;
use muster_eventlog::project::{Dirty, View as _};
use muster_eventlog::{Actor, Context, Envelope, EventType};
use muster_identity::domain::directory_device::{DirectoryDevice, Event as DirectoryEvent, Record};
use muster_identity::domain::group::{self, Group};
use muster_identity::domain::registration::{self, Certificate, Proven, Registration, Removal, Serial};
use muster_identity::domain::rule::{Property, Rule, Truth};
use muster_identity::projection::membership::alone::Alone;
use muster_identity::projection::{Histories, Membership};
use muster_identity::queries::explain::{named_groups, said};
use muster_identity::wire::kind;
use muster_proto::enroll::v1 as enroll;
use muster_types::{
    Aggregate, DeviceId, DirectoryDeviceId, EventId, GroupId, Positions, Service, StreamId, TenantId,
    Timestamp, Version,
};
use proptest::prelude::*;
use prost::Message;
use roaring::RoaringBitmap;
use uuid::Uuid;

const DEVICES: u8 = 3;

fn device(n: u8) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(100 + u128::from(n)))
}

/// The group whose devices are named by hand.
fn named_group() -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(500))
}

fn rules() -> Vec<Rule> {
    let member_of = format!("device.memberOf -any (group.objectId -in ['{}'])", named_group());
    let texts = [
        r#"device.deviceOSType -eq "Linux" -and device.tags -any (_ -eq "lab")"#,
        r#"device.deviceTrustType -eq "AzureAD" -or device.accountEnabled -eq false"#,
        r#"device.deviceOwnership -eq "Company" -and device.displayName -startsWith "h""#,
        r#"-not (device.enrollmentCode -eq "ENROLLED")"#,
        member_of.as_str(),
    ];
    texts.iter().map(|text| Rule::parse(text).expect("it holds")).collect()
}

/// The log of enroll and identity, in the order in which things happened.
#[derive(Debug, Default)]
struct Log {
    events: Vec<Envelope>,
    heads: BTreeMap<Service, u64>,
}

impl Log {
    fn push(&mut self, aggregate: Aggregate, id: Uuid, (kind, payload): (EventType, Vec<u8>)) {
        let position = self.heads.entry(aggregate.service()).or_default();
        *position += 1;
        let time = i64::try_from(self.events.len()).expect("few");
        self.events.push(Envelope {
            position: *position,
            event_id: EventId::from_uuid(Uuid::from_u128(self.events.len() as u128)),
            stream: StreamId::new(TenantId::DEFAULT, aggregate, id),
            version: Version(*position),
            kind,
            context: Context {
                actor: Actor::admin(if time % 2 == 0 { "ada" } else { "bob" }),
                time: Timestamp::from_micros(time),
                correlation_id: Uuid::nil(),
                causation_id: None,
                traceparent: None,
            },
            prev_hash: [0; 32],
            payload: payload.into(),
        });
    }

    fn enroll(&mut self, n: u8, kind: &'static str, message: &impl Message) {
        let event = (EventType::new(kind), message.encode_to_vec());
        self.push(Aggregate::Enrollment, device(n).uuid(), event);
    }

    fn state<S: State>(&mut self, id: Uuid, event: &S::Event) {
        self.push(S::AGGREGATE, id, S::encode(event));
    }
}

fn facts(windows: bool, host: u8) -> Option<enroll::DeviceFacts> {
    let platform = if windows { enroll::Platform::Windows } else { enroll::Platform::Linux };
    Some(enroll::DeviceFacts {
        platform: platform.into(),
        hostname: format!("{}{host}", if host == 0 { "g" } else { "h" }),
        ..Default::default()
    })
}

fn trusted(n: u8, in_directory: bool) -> registration::Event {
    let serial = Serial::from_slice(&[n; 16]).expect("16 bytes");
    registration::Event::TrustEstablished {
        proven: in_directory.then(|| proven(n)),
        spiffe_id: String::new(),
        certificate: Certificate { key_digest: [n; 32], serial, not_after: Timestamp::from_micros(9) },
        hardware_keys: vec![],
    }
}

fn directory_id(n: u8) -> String {
    format!("id-{n}")
}

fn proven(n: u8) -> Proven {
    Proven { registration: format!("directory:{}", directory_id(n)).into(), join_type: "AzureAD".into() }
}

/// Lets something happen to a device.
fn happen(log: &mut Log, (what, n, way): (u8, u8, u8)) {
    let id = device(n).uuid();
    let record = DirectoryDeviceId::of(TenantId::DEFAULT, &directory_id(n)).uuid();
    match what {
        0 => {
            let facts = facts(way == 0, way);
            log.enroll(n, kind::DEVICE_ONBOARDED, &enroll::DeviceOnboarded { facts, ..Default::default() });
        }
        1 => {
            let facts = facts(way == 0, way);
            log.enroll(n, kind::FACTS_CHANGED, &enroll::DeviceFactsChanged { facts, ..Default::default() });
        }
        2 => {
            let tag = vec![if way == 0 { "Lab" } else { "web" }.to_owned()];
            log.enroll(n, kind::DEVICE_TAGGED, &enroll::DeviceTagged { added: tag, removed: vec![] });
        }
        3 => {
            let tag = vec!["lab".to_owned()];
            log.enroll(n, kind::DEVICE_TAGGED, &enroll::DeviceTagged { added: vec![], removed: tag });
        }
        4 => log.enroll(n, kind::ENROLLMENT_SUCCEEDED, &enroll::EnrollmentSucceeded::default()),
        5 => log.state::<Registration>(id, &trusted(n, way == 0)),
        6 => log.state::<Registration>(id, &registration::Event::RegistrationPromoted(proven(n))),
        7 => log.state::<Registration>(id, &registration::Event::RegistrationRemoved(Removal::Deleted)),
        8 => {
            let record_told = Record {
                directory_id: directory_id(n).into(),
                display_name: format!("h{way}").into(),
                join_type: "AzureAD".into(),
                hardware_keys: Box::default(),
                attributes: [(
                    "deviceOwnership".into(),
                    if way == 0 { "Company" } else { "Personal" }.into(),
                )]
                .into(),
            };
            log.state::<DirectoryDevice>(record, &DirectoryEvent::Upserted(record_told));
        }
        9 => log.state::<DirectoryDevice>(record, &DirectoryEvent::Removed),
        _ => {
            let some: RoaringBitmap = [u32::from(n)].into();
            let (added, removed) =
                if way == 0 { (some, RoaringBitmap::new()) } else { (RoaringBitmap::new(), some) };
            let at = Timestamp::from_micros(0);
            let event = group::Event::MembershipChanged { added, removed, at };
            log.state::<Group>(named_group().uuid(), &event);
        }
    }
}

fn history() -> impl Strategy<Value = Log> {
    let happening = (0..11_u8, 0..DEVICES, 0..2_u8);
    proptest::collection::vec(happening, 0..40).prop_map(|happenings| {
        let mut log = Log::default();
        let defined = group::Event::Defined {
            display_name: "by hand".into(),
            rule: None,
            at: Timestamp::from_micros(0),
        };
        log.state::<Group>(named_group().uuid(), &defined);
        happenings.into_iter().for_each(|happening| happen(&mut log, happening));
        log
    })
}

/// Events that tell of a device up to a moment, as they are read from the log.
fn own(events: &[Envelope], n: u8) -> (Vec<Envelope>, Vec<Envelope>) {
    let of = |aggregate, id: Uuid| {
        let it = events.iter().filter(move |it| (it.stream.aggregate, it.stream.id) == (aggregate, id));
        it.cloned().collect::<Vec<_>>()
    };
    let mut identity = of(Aggregate::Registration, device(n).uuid());
    let records: Vec<_> =
        identity.iter().filter_map(|event| Alone::directory_device(event).expect("sound")).collect();
    if let Some(record) = records.first() {
        identity.extend(of(Aggregate::DirectoryDevice, record.uuid()));
    }
    identity.sort_by_key(|event| event.position);
    (of(Aggregate::Enrollment, device(n).uuid()), identity)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn at_every_moment_a_device_alone_is_what_it_is_in_the_fleet(log in history()) {
        let (mut fleet, mut histories) = (Membership::new(Default::default()), Histories::default());
        for (place, event) in log.events.iter().enumerate() {
            fleet.apply(event, &mut Dirty::everything()).expect("sound");
            if event.stream.service() == Service::Identity {
                histories.apply(event, &mut Dirty::everything()).expect("sound");
            }
            let past = &log.events[..=place];
            let identity = past.iter().filter(|it| it.stream.service() == Service::Identity).count() as u64;
            for (n, rule) in (0..DEVICES).flat_map(|n| rules().into_iter().map(move |rule| (n, rule))) {
                let index = fleet.fleet().index();
                let Some(ordinal) = index.ordinal(device(n)) else { continue };
                let groups = named_groups(&histories, &rule, ordinal, identity);
                let said = said(&rule, device(n), &own(past, n), &groups).expect("sound");
                let live = if index.present().contains(ordinal) { index.says(&rule, ordinal) } else { Truth::False };
                prop_assert_eq!(said.verdict, live, "device {} after {} events, {}", n, place + 1, rule.text());
                let described = index.described(ordinal);
                prop_assert_eq!(&said.parts, &rule.explain(&described));
                for fact in &said.facts {
                    let has = described.told().find(|(told, _)| *told == fact.property);
                    if fact.property != Property::named("memberOf").expect("a property") {
                        prop_assert_eq!(fact.has.as_ref(), has.map(|(_, has)| has));
                    }
                    if let Some(brought) = fact.brought {
                        let found = past.iter().find(|it| {
                            (it.stream.service(), it.position) == (brought.service, brought.position)
                        });
                        prop_assert_eq!(found.map(|it| it.context.time), Some(brought.time));
                    }
                }
            }
        }
    }

    #[test]
    fn at_every_position_a_member_is_who_the_events_up_to_there_leave_in(
        moves in proptest::collection::vec((proptest::collection::vec(0..6_u32, 0..4), proptest::collection::vec(0..6_u32, 0..4)), 1..200),
    ) {
        let mut log = Log::default();
        let at = Timestamp::from_micros(0);
        log.state::<Group>(named_group().uuid(), &group::Event::Defined { display_name: "g".into(), rule: None, at });
        for (added, removed) in moves {
            let (added, removed) = (added.into_iter().collect(), removed.into_iter().collect());
            log.state::<Group>(named_group().uuid(), &group::Event::MembershipChanged { added, removed, at });
        }
        let mut histories = Histories::default();
        log.events.iter().for_each(|event| histories.apply(event, &mut Dirty::everything()).expect("sound"));
        let stored = stored(&histories);
        prop_assert_eq!(&rows(&stored), &rows(&histories));
        for histories in [&histories, &stored] {
            let history = histories.get(named_group()).expect("defined");
            let (mut members, mut last) = (RoaringBitmap::new(), BTreeMap::new());
            for event in &log.events {
                if let Some(group::Event::MembershipChanged { added, removed, .. }) = Group::decode(event).expect("sound") {
                    members |= &added;
                    members -= &removed;
                    last.extend((added | removed).iter().map(|ordinal| (ordinal, event)));
                }
                for ordinal in 0..6 {
                    let (member, changed) = history.member(ordinal, event.position);
                    prop_assert_eq!(member, members.contains(ordinal));
                    let expected = last.get(&ordinal);
                    prop_assert_eq!(changed.as_ref().map(|step| step.position), expected.map(|it| it.position));
                    let actor = changed.map(|step| step.actor.to_string());
                    prop_assert_eq!(actor, expected.map(|it| it.context.actor.as_str().to_owned()));
                }
            }
        }
    }
}

fn rows(histories: &Histories) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    histories.row_keys(&mut |key| {
        let before = rows.insert(key.to_vec(), histories.encode_row(key).expect("a row that was named"));
        assert!(before.is_none(), "a row was named twice");
    });
    rows
}

fn stored(histories: &Histories) -> Histories {
    let mut loaded = Histories::default();
    for (key, value) in rows(histories) {
        loaded.load_row(&key, &value).expect("sound");
    }
    loaded.loaded(&Positions::ZERO);
    loaded
}

#[test]
fn the_rule_of_a_moment_is_the_last_one_written_by_then() {
    let mut log = Log::default();
    let (id, at) = (named_group().uuid(), Timestamp::from_micros(0));
    let rule = |text: &str| Some(text.into());
    let defined =
        group::Event::Defined { display_name: "g".into(), rule: rule("device.objectId -ne null"), at };
    log.state::<Group>(id, &defined);
    let rule_changed = group::Event::RuleChanged { rule: "device.objectId -eq null".into() };
    log.state::<Group>(id, &rule_changed);
    log.state::<Group>(id, &group::Event::Deleted);
    let mut histories = Histories::default();
    log.events.iter().for_each(|event| histories.apply(event, &mut Dirty::everything()).expect("sound"));
    let history = stored(&histories);
    let history = history.get(named_group()).expect("it was there");
    let at = |position| {
        let definition = history.at(position)?;
        Some((
            definition.rule.as_deref().unwrap_or_default(),
            &*definition.step.actor,
            definition.step.position,
        ))
    };
    assert_eq!(at(0), None);
    assert_eq!(at(1), Some(("device.objectId -ne null", "admin:ada", 1)));
    assert_eq!(at(2), Some(("device.objectId -eq null", "admin:bob", 2)));
    assert_eq!(at(3), None, "it was deleted");
}
