//! The views of authorities, of what directories say, and of hardware: stopped anywhere they are the same, and they find
//! what they must.

use std::collections::BTreeMap;

use muster_eventlog::Envelope;
use muster_eventlog::command::State;
use muster_eventlog::project::{Dirty, View as _};
use muster_identity::domain::directory_device::{self, DirectoryDevice, Record};
use muster_identity::domain::matching::same;
use muster_identity::domain::registration::{self, Registration, Removal};
use muster_identity::domain::trust_anchor::{self, Kind, TrustAnchor};
use muster_identity::projection::{Directory, Hardware, TrustAnchors};
use muster_types::{DeviceId, HardwareKey, HardwareKeyKind, TenantId, Timestamp, Version};
use proptest::prelude::*;
use uuid::Uuid;

use crate::views::{certificate, envelope, stopping_changes_nothing};

/// Something that happens to one of a few authorities, directory devices or devices.
#[derive(Debug, Clone)]
enum Happening {
    Anchor { id: u8, command: trust_anchor::Command },
    Directory { id: u8, command: directory_device::Command },
    Trust { id: u8, keys: Vec<HardwareKey> },
    Remove(u8),
}

fn keys() -> impl Strategy<Value = Vec<HardwareKey>> {
    let kind = proptest::sample::select(vec![
        HardwareKeyKind::SmbiosUuid,
        HardwareKeyKind::Serial,
        HardwareKeyKind::MachineId,
    ]);
    // Digests that begin alike and differ later, too.
    let digest = (0..2_u8, 0..2_u8).prop_map(|(first, last)| {
        let mut digest = [first; 32];
        digest[31] = last;
        digest
    });
    proptest::collection::vec((kind, digest).prop_map(|(kind, digest)| HardwareKey { kind, digest }), 0..4)
}

fn record(id: u8, name: u8, mut keys: Vec<HardwareKey>) -> Record {
    keys.sort_unstable();
    keys.dedup();
    Record {
        directory_id: format!("id-{id}").into(),
        display_name: format!("name-{name}").into(),
        join_type: "AzureAD".into(),
        hardware_keys: keys.into(),
        attributes: [("ownership".into(), "Company".into()), ("a".into(), "b".into())].into(),
    }
}

fn device(id: u8) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(id.into()))
}

fn add(id: u8, kind: Kind) -> trust_anchor::Command {
    trust_anchor::Command::Add {
        display_name: format!("anchor {id}"),
        kind,
        certificates_der: vec![vec![0x30, 0]],
        unfit: None,
        directory_tenant_id: String::new(),
        namesake: None,
        now: Timestamp::from_micros(5),
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let kind = proptest::sample::select(vec![Kind::CorporateCa, Kind::Spire, Kind::Directory, Kind::Tpm]);
    let ambiguous = proptest::collection::vec((0..4_u8).prop_map(device), 0..3);
    prop_oneof![
        (0..3_u8, kind).prop_map(|(id, kind)| Happening::Anchor { id, command: add(id, kind) }),
        (0..3_u8).prop_map(|id| Happening::Anchor { id, command: trust_anchor::Command::Remove }),
        (0..4_u8, 0..2_u8, keys()).prop_map(|(id, name, keys)| {
            let command = directory_device::Command::Upsert(record(id, name, keys));
            Happening::Directory { id, command }
        }),
        (0..4_u8, ambiguous).prop_map(|(id, devices)| {
            Happening::Directory { id, command: directory_device::Command::Match(devices) }
        }),
        (0..4_u8).prop_map(|id| Happening::Directory { id, command: directory_device::Command::Remove }),
        (0..6_u8, keys()).prop_map(|(id, keys)| Happening::Trust { id, keys }),
        (0..6_u8).prop_map(Happening::Remove),
    ]
}

/// What the log holds after all that happened.
#[derive(Default)]
struct History {
    events: Vec<Envelope>,
    anchors: BTreeMap<u8, TrustAnchor>,
    directory: BTreeMap<u8, (DirectoryDevice, u64)>,
    registrations: BTreeMap<u8, Registration>,
}

impl History {
    fn push<S: State>(&mut self, id: u8, version: u64, event: &S::Event) {
        let position = self.events.len() as u64 + 1;
        let event = envelope::<S>(id.into(), position, event);
        self.events.push(Envelope { version: Version(version), ..event });
    }

    fn register(&mut self, id: u8, command: &registration::Command) {
        let registration = self.registrations.entry(id).or_default();
        let events = registration.decide(command).unwrap_or_default();
        events.iter().for_each(|event| registration.evolve(event));
        events.iter().for_each(|event| self.push::<Registration>(id, 1, event));
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Anchor { id, command } => {
                let anchor = self.anchors.entry(id).or_default();
                let events = anchor.decide(&command).unwrap_or_default();
                events.iter().for_each(|event| anchor.evolve(event));
                events.iter().for_each(|event| self.push::<TrustAnchor>(id, 1, event));
            }
            Happening::Directory { id, command } => {
                let (device, version) = self.directory.entry(id).or_default();
                let events = device.decide(&command).unwrap_or_default();
                events.iter().for_each(|event| device.evolve(event));
                let before = *version;
                *version += events.len() as u64;
                for (next, event) in (before + 1..).zip(&events) {
                    self.push::<DirectoryDevice>(id, next, event);
                }
            }
            Happening::Trust { id, keys } => {
                let issued = u8::try_from(self.events.len() % 256).expect("less than 256");
                let command = registration::Command::Establish {
                    proven: None,
                    spiffe_id: String::new(),
                    certificate: certificate(issued),
                    hardware_keys: keys,
                };
                self.register(id, &command);
            }
            Happening::Remove(id) => self.register(id, &registration::Command::Remove(Removal::Deleted)),
        }
    }
}

fn happened(happenings: Vec<Happening>) -> History {
    let mut history = History::default();
    happenings.into_iter().for_each(|happening| history.happen(happening));
    history
}

proptest! {
    #[test]
    fn from_scratch_and_incremental_are_the_same(
        happenings in proptest::collection::vec(happening(), 0..60),
        cut in any::<proptest::sample::Index>(),
    ) {
        let history = happened(happenings);
        let cut = cut.index(history.events.len() + 1);
        stopping_changes_nothing::<TrustAnchors>(&history.events, cut);
        stopping_changes_nothing::<Directory>(&history.events, cut);
        stopping_changes_nothing::<Hardware>(&history.events, cut);
    }

    #[test]
    fn whoever_is_of_the_hardware_is_found_and_nobody_else(
        happenings in proptest::collection::vec(happening(), 0..60),
        wanted in keys(),
    ) {
        let history = happened(happenings);
        let (mut hardware, mut directory, mut dirty) =
            (Hardware::default(), Directory::default(), Dirty::default());
        for event in &history.events {
            hardware.apply(event, &mut dirty).expect("folded");
            directory.apply(event, &mut dirty).expect("folded");
        }
        let present = |id: &u8| {
            let known = history.registrations.get(id).and_then(Registration::registered);
            known.is_some_and(|known| known.removed.is_none())
        };
        let mut expected: Vec<_> =
            (0..6).filter(present).map(device).filter(|id| same(hardware.keys(*id), &wanted)).collect();
        let mut found = hardware.matching(&wanted);
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);

        let told = |(_, (device, _)): &(&u8, &(DirectoryDevice, u64))| {
            device.present().is_some_and(|known| same(&known.record.hardware_keys, &wanted))
        };
        let expected: Vec<_> =
            history.directory.iter().filter(told).map(|(id, _)| Uuid::from_u128(u128::from(*id))).collect();
        let found = directory.matching(TenantId::DEFAULT, &wanted);
        prop_assert_eq!(found.into_iter().map(|id| id.uuid()).collect::<Vec<_>>(), expected);
        let elsewhere = "other".parse().expect("a tenant");
        prop_assert!(directory.matching(elsewhere, &wanted).is_empty());
        for (id, (device, version)) in &history.directory {
            let id = muster_types::DirectoryDeviceId::from_uuid(Uuid::from_u128(u128::from(*id)));
            let row = directory.get(id);
            prop_assert_eq!(row.as_ref().map(|row| &row.known), device.known());
            prop_assert_eq!(row.map_or(0, |row| row.version.0), *version);
        }
    }
}

#[test]
fn a_key_that_too_many_share_tells_nothing() {
    let image = HardwareKey { kind: HardwareKeyKind::MachineId, digest: [9; 32] };
    let own = |id: u16| {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&id.to_be_bytes());
        HardwareKey { kind: HardwareKeyKind::Serial, digest }
    };
    let mut hardware = Hardware::default();
    for id in 0..300_u16 {
        let event = registration::Event::TrustEstablished {
            proven: None,
            spiffe_id: String::new(),
            certificate: certificate(1),
            hardware_keys: vec![image, own(id)],
        };
        let event = envelope::<Registration>(id.into(), u64::from(id) + 1, &event);
        hardware.apply(&event, &mut Dirty::default()).expect("folded");
        let sharing = hardware.matching(&[image]).len();
        assert_eq!(sharing, if id < 256 { usize::from(id + 1).min(65) } else { 0 }, "{id}");
    }
    let seventh = DeviceId::from_uuid(Uuid::from_u128(7));
    assert_eq!(hardware.matching(&[image, own(7)]), [seventh], "its own number still tells");
}

#[test]
fn a_directory_device_takes_no_more_than_400_bytes() {
    let (mut directory, count) = (Directory::default(), 2_000_u32);
    for number in 0..count {
        let key = |kind| HardwareKey::of(kind, &format!("machine-{number:024x}")).expect("no placeholder");
        let kinds = [HardwareKeyKind::SmbiosUuid, HardwareKeyKind::Serial, HardwareKeyKind::MachineId];
        let record = Record {
            directory_id: format!("00000000-0000-4000-8000-{number:012x}").into(),
            display_name: format!("LAPTOP-{number:06}").into(),
            attributes: [("deviceOwnership".into(), "Company".into())].into(),
            ..record(0, 0, kinds.map(key).to_vec())
        };
        let event = directory_device::Event::Upserted(record);
        let event = envelope::<DirectoryDevice>(number.into(), u64::from(number) + 1, &event);
        directory.apply(&event, &mut Dirty::everything()).expect("folded");
    }
    let bytes = directory.size_bytes() / count as usize;
    println!("bytes per directory device: {bytes}");
    assert!(bytes <= 400, "{bytes}");
}
