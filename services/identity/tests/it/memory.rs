//! What a device costs in memory.

use muster_eventlog::project::{Dirty, View};
use muster_identity::domain::registration::{Event, Proven};
use muster_identity::projection::{Hardware, Registrations};
use muster_types::{HardwareKey, HardwareKeyKind};

use crate::views::{certificate, registration_event};

/// Most bytes that a device may take in all views of the service, at a million devices.
const BYTES_PER_DEVICE_MAX: usize = 600;
/// Devices counted: as many as fill tables and rows to the same part as a million does.
const DEVICES: u32 = 15_625;

/// Trust in a device that a directory knows and that has a key of every kind but one.
fn trusted(number: u32) -> Event {
    let text = format!("4c4c4544-0042-3310-8052-{number:012x}");
    let key = |kind| HardwareKey::of(kind, &text).expect("no placeholder");
    let kinds = [HardwareKeyKind::SmbiosUuid, HardwareKeyKind::Serial, HardwareKeyKind::MachineId];
    Event::TrustEstablished {
        proven: Some(Proven {
            registration: format!("directory:00000000-0000-4000-8000-{number:012x}").into(),
            join_type: "AzureAD".into(),
        }),
        spiffe_id: String::new(),
        certificate: certificate(1),
        hardware_keys: kinds.map(key).to_vec(),
    }
}

#[test]
fn a_device_takes_no_more_than_600_bytes_in_all_views() {
    let (mut registrations, mut hardware) = (Registrations::default(), Hardware::default());
    let mut dirty = Dirty::everything();
    for number in 0..DEVICES {
        let event = registration_event(u128::from(number), u64::from(number) + 1, &trusted(number));
        registrations.apply(&event, &mut dirty).expect("folded");
        hardware.apply(&event, &mut dirty).expect("folded");
    }
    let bytes = |size: usize| size / DEVICES as usize;
    let (registered, recognised) = (bytes(registrations.size_bytes()), bytes(hardware.size_bytes()));
    println!("bytes per device: registrations {registered}, hardware {recognised}");
    assert!(registered + recognised <= BYTES_PER_DEVICE_MAX, "{registered} + {recognised}");
}
