//! The inventory of a large fleet: what a device costs in memory, and what it costs to find the devices that a change of
//! the enforcement scope touches.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_enroll::domain::scope::{Scope, ScopeMode};
use muster_enroll::projection::Devices;
use muster_eventlog::project::{Dirty, View as _};
use muster_eventlog::{Actor, Context, Envelope, EventType};
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1::DevicesSeen;
use muster_types::{Aggregate, EventId, Service, StreamId, TenantId, Timestamp, Version};
use prost::Message;
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::measure::{Limit, Row, median};

const TENANT: TenantId = TenantId::DEFAULT;
const LARGE: u32 = 1_000_000;
const SMALL: u32 = 20_000;
const TOUCHED: u32 = 10_000;
/// Times the view is asked for each figure.
const ASKED: u32 = 20;
const BYTES_PER_DEVICE_MAX: f64 = 600.0;
const RATIO_MAX: f64 = 2.0;

/// What a device costs in the view of enroll, its indexes included, at a million devices.
pub(crate) fn memory() -> anyhow::Result<Row> {
    let before = resident_bytes()?;
    let devices = fleet(LARGE, 1)?;
    let taken = resident_bytes()?.saturating_sub(before);
    anyhow::ensure!(devices.len() == LARGE as usize, "the view lacks devices");
    #[expect(clippy::cast_precision_loss, reason = "a figure needs no more digits")]
    let per_device = taken as f64 / f64::from(LARGE);
    Ok(Row {
        name: "memory of a device in enroll, of 1,000,000",
        product: format!("{per_device:.0} B"),
        bare: format!("{} kinds", devices.kinds()),
        value: per_device,
        limit: Limit::BytesAtMost(BYTES_PER_DEVICE_MAX),
    })
}

/// How long it takes to name the 10,000 devices that a scope touches, of 1,000,000 and of 20,000.
pub(crate) fn redecide(rounds: usize) -> anyhow::Result<Row> {
    let (large, small) = (fleet(LARGE, LARGE / TOUCHED)?, fleet(SMALL, SMALL / TOUCHED)?);
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        pairs.push((touched(&large)?, touched(&small)?));
    }
    let millis = |times: Vec<Duration>| median(times.iter().map(|time| time.as_secs_f64() * 1e3).collect());
    Ok(Row {
        name: "10,000 touched by a scope, of 1,000,000 / 20,000",
        product: format!("{:.2} ms", millis(pairs.iter().map(|(large, _)| *large).collect())),
        bare: format!("{:.2} ms", millis(pairs.iter().map(|(_, small)| *small).collect())),
        value: median(pairs.iter().map(|(large, small)| large.as_secs_f64() / small.as_secs_f64()).collect()),
        limit: Limit::RatioAtMost(RATIO_MAX),
    })
}

/// Names the devices of macOS when it goes out of scope.
fn touched(devices: &Devices) -> anyhow::Result<Duration> {
    let scope = Scope { macos: ScopeMode::Off, ..Scope::default() };
    let start = Instant::now();
    for _ in 0..ASKED {
        let named: Vec<_> = devices.ids(devices.differing(TENANT, &scope)).collect();
        anyhow::ensure!(named.len() == TOUCHED as usize, "{} devices differ", named.len());
    }
    Ok(start.elapsed() / ASKED)
}

/// Devices that are enrolled and were seen; one in `macs` is a Mac.
fn fleet(count: u32, macs: u32) -> anyhow::Result<Devices> {
    let (mut devices, mut dirty) = (Devices::default(), Dirty::everything());
    for n in 0..count {
        let id = muster_types::id::derive("bench-device", &[&n.to_be_bytes()]);
        let onboarded = pb::DeviceOnboarded {
            onboarding_token_id: vec![1; 16],
            key_digest: vec![2; 32],
            facts: Some(facts(n, macs > 1 && n % macs == 0)),
            facts_digest: vec![3; 32],
        };
        let spiffe_id = format!("spiffe://muster.local/tenant/default/device/{id}");
        let trusted = identity::TrustEstablished {
            kind: identity::RegistrationKind::Synthetic.into(),
            spiffe_id: spiffe_id.clone(),
            ..Default::default()
        };
        let succeeded = pb::EnrollmentSucceeded {
            spiffe_id,
            managed_by: pb::ManagedBy::Muster.into(),
            code: "ENROLLED".into(),
            scope_version: 0,
        };
        let at = |aggregate| StreamId::new(TENANT, aggregate, id);
        let events = [
            envelope(at(Aggregate::Enrollment), "muster.enroll.v1.DeviceOnboarded", &onboarded),
            envelope(at(Aggregate::Registration), "muster.identity.v1.TrustEstablished", &trusted),
            envelope(at(Aggregate::Enrollment), "muster.enroll.v1.EnrollmentSucceeded", &succeeded),
        ];
        for event in events {
            devices.apply(&event, &mut dirty)?;
        }
    }
    let mut seen = Vec::new();
    RoaringBitmap::from_iter(0..count).serialize_into(&mut seen)?;
    let stream = StreamId::new(TENANT, Aggregate::Presence, Uuid::nil());
    let seen = DevicesSeen { devices: seen };
    devices.apply(&envelope(stream, "muster.policy.v1.DevicesSeen", &seen), &mut dirty)?;
    Ok(devices)
}

/// Facts of a believable fleet: some hundred builds and versions, and names and hardware of each device's own.
pub(crate) fn facts(n: u32, mac: bool) -> pb::DeviceFacts {
    let key = |kind: identity::HardwareKeyKind| identity::HardwareKey {
        kind: kind.into(),
        digest: digest(n, kind as u8),
    };
    let own = pb::DeviceFacts {
        hostname: format!("DESKTOP-{n:08X}.corp.example"),
        agent_version: format!("1.4.{}", n % 4),
        architecture: "x86_64".into(),
        hardware_digest: digest(n, 0),
        hardware_keys: [
            identity::HardwareKeyKind::SmbiosUuid,
            identity::HardwareKeyKind::Serial,
            identity::HardwareKeyKind::MachineId,
        ]
        .map(key)
        .to_vec(),
        product_name: Some(format!("Model {}", n % 17)),
        ..Default::default()
    };
    let sensor = pb::SecurityProduct { id: "mdatp".into(), version: format!("101.250{}2.0001", n % 5) };
    if mac {
        return pb::DeviceFacts {
            platform: pb::Platform::Macos.into(),
            os_id: "macos".into(),
            os_version: format!("15.{}", n % 6),
            security_products: vec![sensor],
            ..own
        };
    }
    if n.is_multiple_of(5) {
        return pb::DeviceFacts {
            platform: pb::Platform::Linux.into(),
            os_id: "debian".into(),
            os_version: format!("{}", 11 + n % 3),
            os_name: "Debian GNU/Linux".into(),
            kernel_release: format!("6.1.0-{}-amd64", n % 9),
            security_products: vec![sensor],
            ..own
        };
    }
    pb::DeviceFacts {
        platform: pb::Platform::Windows.into(),
        os_id: "windows".into(),
        os_version: "11".into(),
        edition: Some("Enterprise".into()),
        os_build: Some(format!("10.0.26100.{}", 4_000 + n % 12 * 50)),
        server_os: Some(false),
        domain_role: pb::DomainRole::DomainJoined.into(),
        installed_updates: (0..8).map(|update| format!("KB50{:05}", n % 12 * 10 + update)).collect(),
        ..own
    }
}

fn digest(n: u32, kind: u8) -> Vec<u8> {
    let half = muster_types::id::derive("bench-hardware", &[&n.to_be_bytes(), &[kind]]);
    [*half.as_bytes(); 2].concat()
}

pub(crate) fn envelope(stream: StreamId, kind: &'static str, payload: &impl Message) -> Envelope {
    Envelope {
        position: 1,
        event_id: EventId::from_uuid(Uuid::nil()),
        stream,
        version: Version(1),
        kind: EventType::new(kind),
        context: Context {
            actor: Actor::service(Service::Enroll),
            time: Timestamp::from_micros(1_780_000_000_000_000),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: payload.encode_to_vec().into(),
    }
}

/// What this process holds in memory, by the kernel's count.
pub(crate) fn resident_bytes() -> anyhow::Result<u64> {
    const PAGE_BYTES: u64 = 4_096;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_ascii_whitespace().nth(1).context("no resident set in statm")?;
    Ok(pages.parse::<u64>()? * PAGE_BYTES)
}
