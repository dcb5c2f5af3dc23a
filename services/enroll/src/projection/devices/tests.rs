//! A fleet made up for tests, and what a scope makes of it.

use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::RegistrationKind;
use muster_types::{DeviceId, EnrollmentCode, TenantId, Timestamp};
use uuid::Uuid;

use super::{Device, Devices, Preview, Rare, Trust};
use crate::domain::scope::{Entitlement, EntitlementKind, Scope, ScopeMode};

const TENANT: TenantId = TenantId::DEFAULT;

/// The n-th device: every other is Windows, every third has a tag, the fifth of each ten is deleted, the seventh refused.
pub(crate) fn a_device(n: u32) -> Device {
    let at = Timestamp::from_micros((1_767_225_600 + i64::from(n)) * 1_000_000);
    let windows = n.is_multiple_of(2);
    let facts = pb::DeviceFacts {
        platform: if windows { pb::Platform::Windows } else { pb::Platform::Linux }.into(),
        hostname: format!("host-{n}"),
        os_id: if windows { "windows" } else { "debian" }.into(),
        os_version: if windows { "11" } else { "10" }.into(),
        os_build: windows.then(|| "10.0.26100.4000".into()),
        server_os: windows.then_some(n.is_multiple_of(4)),
        edition: windows.then(|| "Enterprise".into()),
        hardware_digest: vec![u8::try_from(n % 251).unwrap(); 32],
        ..Default::default()
    };
    let (status, code, managed_by) = match n % 10 {
        4 => (pb::EnrollmentStatus::Deleted, EnrollmentCode::Deleted, pb::ManagedBy::Nobody),
        6 => (pb::EnrollmentStatus::Refused, EnrollmentCode::OutOfScope, pb::ManagedBy::Muster),
        _ => (pb::EnrollmentStatus::Succeeded, EnrollmentCode::Enrolled, pb::ManagedBy::Muster),
    };
    let id = DeviceId::from_uuid(Uuid::from_u128(u128::from(n) + 1));
    let tagged = n.is_multiple_of(3);
    Device {
        tenant: TENANT,
        id,
        facts,
        facts_digest: [3; 32],
        status,
        code,
        message: Box::default(),
        managed_by,
        authority_change_time: at,
        spiffe_id: format!("spiffe://muster.local/tenant/default/device/{id}").into(),
        onboard_time: at,
        facts_change_time: at,
        device_type: if windows && n.is_multiple_of(4) {
            pb::DeviceType::WindowsServer
        } else if windows {
            pb::DeviceType::Windows
        } else {
            pb::DeviceType::Linux
        },
        last_seen: 1_767_225_600 + n,
        tags: if tagged { ["pilot".into()].into() } else { Box::default() },
        trust: Trust {
            ordinal: Some(n),
            kind: if tagged { RegistrationKind::Full } else { RegistrationKind::Synthetic },
            join_type: if tagged { "AzureAD".into() } else { Box::default() },
        },
        rare: Rare::default(),
    }
}

/// The first `count` of them.
pub(crate) fn fleet(count: u32) -> Devices {
    let mut devices = Devices::default();
    for n in 0..count {
        devices.insert(a_device(n)).expect("facts that can be understood");
    }
    devices
}

#[test]
fn a_device_that_is_taken_apart_comes_together_again() {
    let devices = fleet(12);
    for n in 0..12 {
        assert_eq!(devices.device(n), a_device(n));
        assert_eq!(devices.number(a_device(n).id), Some(n));
        let row = crate::store::encode_device(devices.device(n));
        let stored = crate::store::decode_device(&row).expect("a row");
        assert_eq!(Device { device_type: a_device(n).device_type, ..stored }, a_device(n));
    }
    assert_eq!(devices.device(0).spiffe_id, a_device(0).spiffe_id);
}

fn seats(seats: u32) -> Entitlement {
    Entitlement { kind: EntitlementKind::Endpoint, seats: Some(seats) }
}

#[test]
fn only_devices_whose_outcome_a_scope_changes_differ() {
    let devices = fleet(12);
    let differing = |scope: &Scope| devices.differing(TENANT, scope).iter().collect::<Vec<_>>();
    // The default takes all: the one refused as out of scope differs; the one deleted does not.
    assert_eq!(differing(&Scope::default()), [6]);
    let no_linux = Scope { linux: ScopeMode::Off, ..Scope::default() };
    assert_eq!(differing(&no_linux), [1, 3, 5, 6, 7, 9, 11]);
    let tagged = Scope { linux: ScopeMode::Tagged, tag: "pilot".into(), ..Scope::default() };
    assert_eq!(differing(&tagged), [1, 5, 6, 7, 11]);
    let preview = Preview { gained: 1, lost: 4, recoded: 0 };
    assert_eq!(devices.preview(TENANT, &tagged), preview);
}

#[test]
fn seats_go_to_the_oldest_and_are_taken_from_the_newest() {
    let devices = fleet(12);
    assert_eq!(devices.seats_used(TENANT), 10);
    let with = |entitlement| Scope { entitlement, ..Scope::default() };
    let numbers = |bitmap: roaring::RoaringBitmap| bitmap.iter().collect::<Vec<_>>();
    assert_eq!(numbers(devices.withdrawn(TENANT, &with(seats(8)))), [10, 11]);
    assert_eq!(numbers(devices.withdrawn(TENANT, &with(seats(10)))), Vec::<u32>::new());
    let preview = |scope: &Scope| devices.preview(TENANT, scope);
    assert_eq!(preview(&with(seats(8))), Preview { gained: 0, lost: 2, recoded: 1 });
    assert_eq!(preview(&with(seats(10))), Preview { gained: 0, lost: 0, recoded: 1 });
    assert_eq!(preview(&with(seats(11))), Preview { gained: 1, lost: 0, recoded: 0 });
    // Seats that a narrower scope frees are there for those who wait.
    let narrower = Scope { linux: ScopeMode::Off, ..with(seats(5)) };
    assert_eq!(preview(&narrower), Preview { gained: 1, lost: 6, recoded: 0 });
    let ids = [a_device(6).id, a_device(0).id];
    assert_eq!(devices.seats_used_with(TENANT, &ids), 11);
}

#[test]
fn devices_that_wait_for_a_seat_differ_only_while_there_are_seats() {
    let mut devices = Devices::default();
    for n in 0..4 {
        let code = if n == 0 { EnrollmentCode::Enrolled } else { EnrollmentCode::SeatsExhausted };
        let status = if n == 0 { pb::EnrollmentStatus::Succeeded } else { pb::EnrollmentStatus::Refused };
        let device = Device { code, status, ..a_device(2 * n + 1) };
        devices.insert(device).expect("facts that can be understood");
    }
    let differing = |count| {
        let scope = Scope { entitlement: seats(count), ..Scope::default() };
        devices.differing(TENANT, &scope).iter().collect::<Vec<_>>()
    };
    assert_eq!(differing(1), Vec::<u32>::new());
    assert_eq!(differing(3), [1, 2]);
    assert_eq!(differing(9), [1, 2, 3]);
}
