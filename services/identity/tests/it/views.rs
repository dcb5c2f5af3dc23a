//! A view that was stopped anywhere, stored and taken up again is the view that was never stopped.

use std::collections::BTreeMap;

use muster_eventlog::command::State;
use muster_eventlog::project::{Dirty, View};
use muster_eventlog::{Actor, Context, Envelope};
use muster_identity::domain::group::{self, Group};
use muster_identity::domain::registration::{
    self, Certificate, Proven, Registration, Removal, Resolution, Serial, Standing,
};
use muster_identity::projection::registrations::Which;
use muster_identity::projection::{Groups, Registrations};
use muster_types::{DeviceId, EventId, Positions, StreamId, TenantId, Timestamp, Version};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use uuid::Uuid;

/// Something that happens, to one of a few devices and groups.
#[derive(Debug, Clone)]
enum Happening {
    Trust { device: u8, proven: Option<u8> },
    Registration { device: u8, command: registration::Command },
    Define(u8),
    Modify { group: u8, add: Vec<u32>, remove: Vec<u32> },
}

fn happening() -> impl Strategy<Value = Happening> {
    let ordinals = || proptest::collection::vec(0..100_000_u32, 0..4);
    prop_oneof![
        (0..6_u8, proptest::option::of(0..3_u8))
            .prop_map(|(device, proven)| Happening::Trust { device, proven }),
        (0..6_u8, command()).prop_map(|(device, command)| Happening::Registration { device, command }),
        (0..3_u8).prop_map(Happening::Define),
        (0..3_u8, ordinals(), ordinals()).prop_map(|(group, add, remove)| Happening::Modify {
            group,
            add,
            remove
        }),
    ]
}

fn command() -> impl Strategy<Value = registration::Command> {
    use registration::Command;
    prop_oneof![
        (any::<u8>(), proptest::option::of(0..3_u8)).prop_map(|(serial, number)| Command::Renew {
            certificate: certificate(serial),
            proven: number.map(proven)
        }),
        any::<u8>().prop_map(|issued| Command::Activate { serial: serial(issued) }),
        Just(Command::Revoke { reason: "stolen".into() }),
        (0..3_u8).prop_map(|number| Command::Promote(proven(number))),
        prop_oneof![
            Just(Removal::Deleted),
            Just(Removal::Offboarded),
            Just(Removal::Merged { into: DeviceId::from_uuid(Uuid::from_u128(5)) })
        ]
        .prop_map(Command::Remove),
        any::<u8>().prop_map(|at| Command::SuspectClone {
            boot_ids: vec![[1; 16], [2; 16]],
            observed: Timestamp::from_micros(at.into())
        }),
        prop_oneof![Just(Resolution::Dismiss), Just(Resolution::Reissue)]
            .prop_map(|resolution| Command::ResolveClone { resolution, now: Timestamp::from_micros(0) }),
    ]
}

fn serial(issued: u8) -> Serial {
    let mut bytes = [9; 16];
    bytes[..8].copy_from_slice(&u64::from(issued).to_be_bytes());
    Serial::from_slice(&bytes).expect("16 bytes")
}

pub(crate) fn certificate(issued: u8) -> Certificate {
    Certificate { key_digest: [issued; 32], serial: serial(issued), not_after: Timestamp::from_micros(9) }
}

fn proven(number: u8) -> Proven {
    Proven { registration: format!("directory:{number}").into(), join_type: "AzureAD".into() }
}

pub(crate) fn envelope<S: State>(id: u128, position: u64, event: &S::Event) -> Envelope {
    let (kind, payload) = S::encode(event);
    Envelope {
        position,
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(position))),
        stream: StreamId::new(TenantId::DEFAULT, S::AGGREGATE, Uuid::from_u128(id)),
        version: Version(position),
        kind,
        context: Context {
            actor: Actor::admin("ada"),
            time: Timestamp::from_micros(0),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: payload.into(),
    }
}

/// An event of a device's registration, as the log gives it.
pub(crate) fn registration_event(device: u128, position: u64, event: &registration::Event) -> Envelope {
    envelope::<Registration>(device, position, event)
}

/// What the log holds after all that happened.
#[derive(Default)]
struct History {
    events: Vec<Envelope>,
    groups: BTreeMap<u8, Group>,
    registrations: BTreeMap<u8, Registration>,
}

impl History {
    fn push<S: State>(&mut self, id: u8, event: &S::Event) {
        let position = self.events.len() as u64 + 1;
        self.events.push(envelope::<S>(u128::from(id), position, event));
    }

    fn decide(&mut self, id: u8, command: &group::Command) {
        let group = self.groups.entry(id).or_default();
        let events = group.decide(command).unwrap_or_default();
        events.iter().for_each(|event| group.evolve(event));
        events.iter().for_each(|event| self.push::<Group>(id, event));
    }

    fn register(&mut self, device: u8, command: &registration::Command) {
        let registration = self.registrations.entry(device).or_default();
        let events = registration.decide(command).unwrap_or_default();
        events.iter().for_each(|event| registration.evolve(event));
        events.iter().for_each(|event| self.push::<Registration>(device, event));
    }

    fn happen(&mut self, happening: Happening) {
        let now = Timestamp::from_micros(0);
        match happening {
            Happening::Trust { device, proven: number } => {
                let issued = u8::try_from(self.events.len() % 256).expect("less than 256");
                let command = registration::Command::Establish {
                    proven: number.map(proven),
                    spiffe_id: String::new(),
                    certificate: certificate(issued),
                    hardware_keys: vec![],
                };
                self.register(device, &command);
            }
            Happening::Registration { device, command } => self.register(device, &command),
            Happening::Define(group) => {
                let display_name = format!("group {group}");
                self.decide(group, &group::Command::Define { display_name, rule: None, obstacle: None, now });
            }
            Happening::Modify { group, add, remove } => {
                let (add, remove) = (RoaringBitmap::from_iter(add), RoaringBitmap::from_iter(remove));
                self.decide(group, &group::Command::ModifyMembers { add, remove, expected: None, now });
            }
        }
    }
}

type StoredRows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows<V: View>(view: &V) -> StoredRows {
    let mut rows = StoredRows::new();
    view.row_keys(&mut |key| {
        rows.insert(key.to_vec(), view.encode_row(key).expect("a row for each key"));
    });
    rows
}

fn fold<V: View>(view: &mut V, events: &[Envelope], stored: &mut StoredRows) {
    let mut dirty = Dirty::default();
    events.iter().for_each(|event| view.apply(event, &mut dirty).expect("an event that can be folded"));
    for key in dirty.keys() {
        match view.encode_row(key) {
            Some(row) => stored.insert(key.to_vec(), row),
            None => stored.remove(key),
        };
    }
}

/// What stands in the indices is what stands in the rows.
fn indices_agree(view: &Registrations, now: &BTreeMap<u8, Registration>) {
    for (id, registration) in now {
        let device = DeviceId::from_uuid(Uuid::from_u128(u128::from(*id)));
        let row = view.get(device);
        assert_eq!(row.map(|(_, row)| &row.registered), registration.registered());
        let Some((ordinal, row)) = row else { continue };
        let which = match row.registered.standing() {
            Standing::Removed(_) => Which::Removed,
            Standing::Revoked => Which::Revoked,
            Standing::Quarantined => Which::Quarantined,
            Standing::Active => Which::Active,
        };
        for other in [Which::Removed, Which::Revoked, Which::Quarantined, Which::Active] {
            assert_eq!(view.select(other, None).contains(ordinal), other == which, "{other:?}");
            assert_eq!(
                view.select(other, Some(row.registered.kind())).contains(ordinal),
                other == which,
                "{other:?}"
            );
        }
        assert_eq!(view.select(Which::Present, None).contains(ordinal), which != Which::Removed);
    }
    for number in 0..3 {
        let text = proven(number).registration;
        let has = |registration: &Registration| {
            registration.registered().is_some_and(|known| {
                known.removed.is_none() && known.proven.as_ref().is_some_and(|p| p.registration == text)
            })
        };
        let holder = view.holder(&text);
        assert_eq!(holder.is_some(), now.values().any(has), "{text}");
        if let Some(holder) = holder {
            let id = u8::try_from(holder.uuid().as_u128()).expect("one of few");
            assert!(has(&now[&id]), "{text}");
        }
    }
}

pub(crate) fn stopping_changes_nothing<V: View + Default>(events: &[Envelope], cut: usize) {
    let (mut whole, mut written_behind) = (V::default(), StoredRows::new());
    fold(&mut whole, events, &mut written_behind);
    assert_eq!(rows(&whole), written_behind, "what was marked is what changed");

    let (mut first, mut stored) = (V::default(), StoredRows::new());
    fold(&mut first, &events[..cut], &mut stored);
    let mut taken_up = V::default();
    stored.iter().for_each(|(key, value)| taken_up.load_row(key, value).expect("a stored row"));
    taken_up.loaded(&Positions::ZERO);
    fold(&mut taken_up, &events[cut..], &mut stored);
    assert_eq!(rows(&taken_up), rows(&whole));
    assert_eq!(stored, rows(&whole));
}

proptest! {
    #[test]
    fn from_scratch_and_incremental_are_the_same(
        happenings in proptest::collection::vec(happening(), 0..40),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut history = History::default();
        happenings.into_iter().for_each(|happening| history.happen(happening));
        let cut = cut.index(history.events.len() + 1);
        stopping_changes_nothing::<Registrations>(&history.events, cut);
        stopping_changes_nothing::<Groups>(&history.events, cut);
        let mut view = Registrations::default();
        fold(&mut view, &history.events, &mut StoredRows::new());
        indices_agree(&view, &history.registrations);
    }
}

#[test]
fn ordinals_follow_the_order_of_first_trust() {
    let mut history = History::default();
    for device in [7, 3, 7, 5] {
        history.happen(Happening::Trust { device, proven: None });
    }
    let (mut view, mut stored) = (Registrations::default(), StoredRows::new());
    fold(&mut view, &history.events, &mut stored);
    let device = |id: u128| DeviceId::from_uuid(Uuid::from_u128(id));
    assert_eq!([7, 3, 5, 9].map(|id| view.ordinal(device(id))), [Some(0), Some(1), Some(2), None]);
    // An event told twice changes nothing.
    fold(&mut view, &history.events, &mut stored);
    assert_eq!(stored.len(), 3);
    assert_eq!(view.device(2), Some(device(5)));
}
