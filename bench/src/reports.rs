//! Reports on a large fleet: 1,000,000 devices with 40 settings, of which most are well, some are not, and some have an error
//! of their own.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_eventlog::kv::SledKv;
use muster_eventlog::project::{Dirty, View as _};
use muster_eventlog::{Append, Envelope, NewEvent};
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_report::projection::Standings;
use muster_types::{Aggregate, DeviceId, PolicyId, StreamId, TenantId, Version};
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::inventory::{envelope, resident_bytes};
use crate::measure::{Limit, Row, median, rate};
use crate::replay;

const LARGE: u32 = 1_000_000;
const SETTINGS: u32 = 40;
/// Different statuses that are common, beside those of devices with an error of their own.
const KINDS: u32 = 400;
/// Devices of which each has a message of its own, of a hundred.
const OWN_ERRORS: u32 = 10;
const REPORT_WITHIN: Duration = Duration::from_millis(10);
const SETTINGS_WITHIN: Duration = Duration::from_millis(20);
const DEVICE_WITHIN: Duration = Duration::from_millis(5);
const EDIT_WITHIN: Duration = Duration::from_millis(250);
const BYTES_PER_DEVICE_MAX: f64 = 500.0;
/// Devices whose reports are folded in turn with the bare thing.
const REBUILT: u32 = 100_000;
const REBUILD_RATIO_MIN: f64 = 0.5;

/// The report on a policy that everybody has.
pub(crate) fn policy_report(rounds: usize) -> anyhow::Result<Row> {
    let standings = fleet(OWN_ERRORS)?;
    let ask = || standings.policy(TenantId::DEFAULT, policy_id());
    let answer = ask().context("no such policy")?;
    anyhow::ensure!(answer.targeted == u64::from(LARGE), "not everybody is targeted");
    let value = timed(rounds, || black_box(ask()).is_some());
    let bare = format!("{} states", answer.states.iter().filter(|(_, devices)| *devices > 0).count());
    Ok(of_time("policy report, 1,000,000 devices", value, bare, REPORT_WITHIN))
}

/// The same with no error that only one device has.
pub(crate) fn policy_report_alike(rounds: usize) -> anyhow::Result<Row> {
    let standings = fleet(0)?;
    let ask = || standings.policy(TenantId::DEFAULT, policy_id());
    let value = timed(rounds, || black_box(ask()).is_some());
    Ok(of_time("policy report, no errors of their own", value, format!("{KINDS} statuses"), REPORT_WITHIN))
}

/// Counts of each setting of that policy.
pub(crate) fn settings(rounds: usize) -> anyhow::Result<Row> {
    let standings = fleet(OWN_ERRORS)?;
    let ask = || standings.policy_settings(TenantId::DEFAULT, policy_id());
    let value = timed(rounds, || black_box(ask()).is_some());
    Ok(of_time(
        "counts of 40 settings, 1,000,000 devices",
        value,
        format!("{SETTINGS} settings"),
        SETTINGS_WITHIN,
    ))
}

/// A device with all its settings.
pub(crate) fn device(rounds: usize) -> anyhow::Result<Row> {
    let standings = fleet(OWN_ERRORS)?;
    let mut n = 0;
    let value = timed(rounds.max(101), || {
        n = (n + 7_919) % LARGE;
        black_box(standings.device(TenantId::DEFAULT, device_id(n), None)).is_some()
    });
    Ok(of_time("device of 1,000,000, drill-down", value, format!("{SETTINGS} settings"), DEVICE_WITHIN))
}

/// How long readers wait while what everybody should have becomes something else, and back.
pub(crate) fn edit(rounds: usize) -> anyhow::Result<Row> {
    let mut standings = fleet(OWN_ERRORS)?;
    let everybody = bitmap(&(0..LARGE).collect())?;
    let edits = [resolved(2, &everybody), resolved(1, &everybody)];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (edit, times) in edits.iter().zip(&mut times) {
            let start = Instant::now();
            // As a view that is written behind: changed rows are marked.
            standings.apply(edit, &mut Dirty::default())?;
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let [away, back] = times.map(median);
    Ok(of_time(
        "edit for 1,000,000 folded into reports",
        away,
        format!("back {:.0} ms", back * 1e3),
        EDIT_WITHIN,
    ))
}

/// What a device costs in the view, by the kernel's count.
pub(crate) fn memory() -> anyhow::Result<Row> {
    let before = resident_bytes()?;
    let standings = fleet(OWN_ERRORS)?;
    let after = resident_bytes()?;
    black_box(&standings);
    #[expect(clippy::cast_precision_loss, reason = "a figure needs no more digits")]
    let per_device = after.saturating_sub(before) as f64 / f64::from(LARGE);
    Ok(Row {
        name: "memory of a device in reports, of 1,000,000",
        product: format!("{per_device:.0} B"),
        bare: format!("{OWN_ERRORS} % own errors"),
        value: per_device,
        limit: Limit::BytesAtMost(BYTES_PER_DEVICE_MAX),
    })
}

/// Folding a log of reports from its beginning, with its chain checked and the view kept on the disk, against reading and
/// decoding the reports alone.
pub(crate) async fn rebuild(rounds: usize) -> anyhow::Result<Row> {
    let (dir, bare_dir) = (tempfile::tempdir_in(".")?, tempfile::tempdir_in(".")?);
    let log = Arc::new(EmbeddedLog::open(dir.path(), Options::default())?);
    let said = || (0..REBUILT).map(|n| said(n, OWN_ERRORS));
    replay::fill(&log, policies(REBUILT)?.into_iter().map(append)).await?;
    replay::fill(&log, said().map(append)).await?;
    let reports = said().map(|event| (event.stream.id, event.payload.to_vec()));
    let payloads = replay::bare_store(bare_dir.path(), reports)?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let bare = replay::bare(&payloads, REBUILT as usize)?;
        let views = tempfile::tempdir_in(".")?;
        let kv = SledKv::open(views.path())?;
        let targeted = |view: &Standings| view.policy(TenantId::DEFAULT, policy_id()).map(|it| it.targeted);
        let (took, targeted) = replay::view(log.clone(), kv, targeted).await?;
        anyhow::ensure!(targeted == Some(u64::from(REBUILT)), "the view lacks devices");
        pairs.push((rate(REBUILT as usize, took), bare));
    }
    Ok(Row::of_rates("rebuild of reports, to bare read and decode", &pairs, REBUILD_RATIO_MIN))
}

/// The append of an event that is the first of its stream.
fn append(event: Envelope) -> Append {
    let Envelope { event_id, stream, kind, context, payload, .. } = event;
    let events = vec![NewEvent { id: event_id, kind, payload }];
    Append { stream, expected: Version::NONE, events, context }
}

fn timed(rounds: usize, mut ask: impl FnMut() -> bool) -> f64 {
    let times = (0..rounds).map(|_| {
        let start = Instant::now();
        let answered = ask();
        let took = start.elapsed().as_secs_f64();
        if answered { took } else { f64::NAN }
    });
    median(times.collect())
}

fn of_time(name: &'static str, value: f64, bare: String, below: Duration) -> Row {
    Row { name, product: format!("{:.2} ms", value * 1e3), bare, value, limit: Limit::Below(below) }
}

/// Everybody trusted, in one group, with one policy of 40 settings, resolved and delivered, and all but a few have reported.
fn fleet(own_errors: u32) -> anyhow::Result<Standings> {
    let mut standings = Standings::default();
    for event in policies(LARGE)? {
        apply(&mut standings, &event)?;
    }
    // One of 50 never reported.
    for n in (0..LARGE).filter(|n| n % 50 != 49) {
        apply(&mut standings, &said(n, own_errors))?;
    }
    Ok(standings)
}

/// What is told of so many devices before the first of them reports.
fn policies(devices: u32) -> anyhow::Result<Vec<Envelope>> {
    let trusted = |n| {
        let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Registration, device_id(n).uuid());
        envelope(stream, "muster.identity.v1.TrustEstablished", &identity::TrustEstablished::default())
    };
    let mut events: Vec<_> = (0..devices).map(trusted).collect();
    let everybody = bitmap(&(0..devices).collect())?;
    let group = stream(Aggregate::Group, "group");
    let changed = identity::GroupMembershipChanged { added: everybody.clone(), removed: vec![] };
    events.push(envelope(group, "muster.identity.v1.GroupMembershipChanged", &changed));
    let created = policy::PolicyCreated {
        display_name: "everybody".into(),
        profile: "windows-antivirus".into(),
        settings: (0..SETTINGS).map(|n| policy::Setting { id: setting(n), value: Some(wanted()) }).collect(),
        ..Default::default()
    };
    let of_policy = StreamId::new(TenantId::DEFAULT, Aggregate::Policy, policy_id().uuid());
    events.push(envelope(of_policy, "muster.policy.v1.PolicyCreated", &created));
    let assigned = policy::PolicyAssigned {
        policy_id: policy_id().as_bytes().to_vec(),
        group_id: group.id.as_bytes().to_vec(),
        intent: policy::AssignmentIntent::Include.into(),
        ..Default::default()
    };
    let assignment = stream(Aggregate::Assignment, "assignment");
    events.push(envelope(assignment, "muster.policy.v1.PolicyAssigned", &assigned));
    events.push(resolved(1, &everybody));
    let sent =
        policy::Delivered { etag: vec![1; 32], step: policy::DeliveryStep::Sent.into(), devices: everybody };
    let delivered = policy::PoliciesDelivered { delivered: vec![sent], first_time: None };
    let deliveries = stream(Aggregate::Delivery, "delivery");
    events.push(envelope(deliveries, "muster.policy.v1.PoliciesDelivered", &delivered));
    Ok(events)
}

fn stream(aggregate: Aggregate, name: &str) -> StreamId {
    let id = muster_types::id::derive("bench-reports", &[name.as_bytes()]);
    StreamId::new(TenantId::DEFAULT, aggregate, id)
}

/// Devices came to a resolution of all settings, named by its etag; all but the first resolution ask something else of one
/// setting than devices say they were asked.
fn resolved(etag: u8, devices: &[u8]) -> Envelope {
    let setting = |n| policy::ResolvedSetting {
        id: setting(n),
        value: Some(if n == 5 && etag != 1 { other() } else { wanted() }),
        winners: vec![0],
        losers: vec![],
    };
    let resolution = policy::Resolution {
        etag: vec![etag; 32],
        policies: vec![policy::ResolvedPolicy { policy_id: policy_id().as_bytes().to_vec(), revision: 1 }],
        settings: (0..SETTINGS).map(setting).collect(),
        withheld: vec![],
    };
    let resolved = policy::Resolved {
        resolution_id: vec![etag; 32],
        devices: devices.to_vec(),
        cause_time: None,
        resolution: Some(resolution),
    };
    let changed =
        policy::EffectivePoliciesChanged { resolved: vec![resolved], restated: true, ..Default::default() };
    let resolutions = stream(Aggregate::Resolution, "resolution");
    envelope(resolutions, "muster.policy.v1.EffectivePoliciesChanged", &changed)
}

/// What a device says: of its kind, a fifth has a setting that is not well, and some have a message of their own.
fn said(n: u32, own_errors: u32) -> Envelope {
    let kind = n % KINDS;
    let own = n / KINDS % 100 < own_errors;
    let settings = (0..SETTINGS).map(|number| {
        let unwell = (kind.is_multiple_of(5) && number == kind % SETTINGS) || (own && number == 7);
        let state = match (unwell, kind % 3) {
            (false, _) => report::SettingState::Succeeded,
            (true, 0) => report::SettingState::Error,
            (true, 1) => report::SettingState::TamperProtected,
            (true, _) => report::SettingState::NotApplicable,
        };
        let message =
            if own && number == 7 { format!("the engine answered 0x{n:08x}") } else { String::new() };
        report::SettingStatus {
            id: setting(number),
            desired: Some(wanted()),
            observed: Some(wanted()),
            state: state.into(),
            reason: if unwell { "APPLY_FAILED".into() } else { String::new() },
            message,
            // Tells the kinds apart, well or not.
            corrections: if number == 3 { kind } else { 0 },
        }
    });
    let status = report::DeviceStatus {
        policy_etag: vec![1; 32],
        policy_version: 1,
        settings: settings.collect(),
        ..Default::default()
    };
    let message = report::StatusReported { status: Some(status) };
    let stream = StreamId::new(TenantId::DEFAULT, Aggregate::DeviceStatus, device_id(n).uuid());
    envelope(stream, "muster.report.v1.StatusReported", &message)
}

fn apply(standings: &mut Standings, event: &Envelope) -> anyhow::Result<()> {
    Ok(standings.apply(event, &mut Dirty::everything())?)
}

fn bitmap(ordinals: &RoaringBitmap) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ordinals.serialize_into(&mut bytes)?;
    Ok(bytes)
}

fn setting(number: u32) -> String {
    format!("windows-antivirus/setting_number_{number:02}")
}

fn wanted() -> policy::SettingValue {
    policy::SettingValue { kind: Some(policy::setting_value::Kind::Boolean(true)) }
}

fn other() -> policy::SettingValue {
    policy::SettingValue { kind: Some(policy::setting_value::Kind::Boolean(false)) }
}

fn policy_id() -> PolicyId {
    PolicyId::from_uuid(Uuid::from_bytes([9; 16]))
}

fn device_id(n: u32) -> DeviceId {
    DeviceId::from_uuid(muster_types::id::derive("bench-device", &[&n.to_be_bytes()]))
}
