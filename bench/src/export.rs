//! An export of a policy's devices: from the report service, a process of its own, over its gRPC stream into a CSV file as
//! `muster report export` writes it.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_cli::command::report::export::{Columns, Form, Header, Rows};
use muster_client::{Client, ConnectOptions};
use muster_eventlog::log::SharedLog;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as pb;
use muster_types::id::derive;
use muster_types::{Aggregate, PolicyId, ResourceName, SettingValue, TenantId, Timestamp, setting};
use prost::Message as _;
use roaring::RoaringBitmap;

use crate::checkin::device::{device, group, trust};
use crate::checkin::served::{Kind, Served, event};
use crate::measure::{Limit, Row, median, rate};

const DEVICES: u32 = 1_000_000;
const ROWS_PER_SECOND: f64 = 100_000.0;
const BYTES_ABOVE_IDLE_MAX: u64 = 200 * 1024 * 1024;
const PROFILE: &str = "windows-antivirus";
const SETTING: &str = "windows-antivirus/allow_archive_scanning";
/// Seconds within which the server's memory stays within so many bytes for some seconds.
const SETTLES_WITHIN_S: u32 = 180;
const SETTLED_AFTER_S: u32 = 5;
const STAYS_BYTES: u64 = 2 * 1024 * 1024;
/// Devices told in one append.
const TOLD_AT_ONCE: u32 = 100;

/// Rows a second, and what the export costs the server in memory.
pub(crate) async fn run(rounds: usize) -> anyhow::Result<Row> {
    let dir = tempfile::tempdir()?;
    let trust = trust(dir.path())?;
    let served = Served::start(Kind::Report, dir.path(), DEVICES).await?;
    let token = trust.admin_token().context("the folder holds the admin's token")?.clone();
    let options = ConnectOptions::new(format!("https://{}", served.address), trust.ca_certs().to_vec());
    let admin = Client::connect(options.with_bearer(token))?;
    let path = dir.path().join("devices.csv");
    let (mut rates, mut above) = (Vec::new(), 0);
    settled(served.pid()?).await?;
    for _ in 0..rounds {
        let idle = memory(served.pid()?, "VmRSS:")?;
        // Makes the peak begin anew.
        fs::write(format!("/proc/{}/clear_refs", served.pid()?), "5")?;
        let start = Instant::now();
        let rows = export(&admin, &path).await?;
        rates.push(rate(rows, start.elapsed()));
        above = above.max(memory(served.pid()?, "VmHWM:")?.saturating_sub(idle));
        let lines = fs::read(&path)?.iter().filter(|byte| **byte == b'\n').count();
        anyhow::ensure!(lines == rows + 1, "{lines} lines for {rows} rows");
    }
    served.stop().await?;
    dir.close()?;
    anyhow::ensure!(above <= BYTES_ABOVE_IDLE_MAX, "{above} bytes above idle");
    let rate = median(rates);
    Ok(Row {
        name: "export of 1,000,000 rows / memory above idle",
        product: format!("{rate:.0}/s"),
        bare: format!("{} MiB", above >> 20),
        value: rate / ROWS_PER_SECOND,
        limit: Limit::RatioAtLeast(1.0),
    })
}

/// Waits until the server's memory stays as it is: the rows of what it folded are still being stored.
async fn settled(pid: u32) -> anyhow::Result<()> {
    let (mut last, mut same) = (0, 0);
    for _ in 0..SETTLES_WITHIN_S {
        let now = memory(pid, "VmRSS:")?;
        same = if now.abs_diff(last) < STAYS_BYTES { same + 1 } else { 0 };
        last = now;
        if same >= SETTLED_AFTER_S {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("the server's memory does not settle")
}

async fn export(admin: &Client, path: &std::path::Path) -> anyhow::Result<usize> {
    let policy = ResourceName::Policy(TenantId::DEFAULT, policy_id()).to_string();
    let request = pb::ExportPolicyDevicesRequest { policy: policy.clone(), filter: None };
    let mut messages = admin.reports().export_policy_devices(request).await?.into_inner();
    let mut next = messages.message().await?;
    let first = next.as_ref().context("the server sent nothing")?;
    let header = Header {
        policy,
        display_name: first.display_name.clone(),
        profile: first.profile.clone(),
        revision: first.revision,
        position: first.position.clone(),
    };
    anyhow::ensure!(first.total_size == DEVICES, "{} rows are announced", first.total_size);
    let mut rows = Rows::new(Form::Csv, Columns::Muster, header);
    let mut file = BufWriter::new(fs::File::create(path)?);
    file.write_all(rows.heading())?;
    let mut count = 0;
    while let Some(message) = next {
        count += message.devices.len();
        file.write_all(rows.encode(&message.devices))?;
        next = messages.message().await?;
    }
    file.flush()?;
    anyhow::ensure!(count == DEVICES as usize, "{count} rows came");
    Ok(count)
}

fn memory(pid: u32, what: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).context("no such figure")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

fn policy_id() -> PolicyId {
    PolicyId::from_uuid(derive("bench policy", &[]))
}

/// Tells the log of a policy that all devices should have, and that each of them read back.
pub(crate) async fn tell(log: &SharedLog, devices: u32) -> anyhow::Result<()> {
    let id = policy_id();
    let value: policy::SettingValue = SettingValue::Boolean(true).into();
    let etag = setting::etag([(&SETTING.parse()?, &SettingValue::Boolean(true))]).to_vec();
    let wanted = policy::Setting { id: SETTING.into(), value: Some(value.clone()) };
    let created = policy::PolicyCreated {
        display_name: "Bench".into(),
        profile: PROFILE.into(),
        settings: vec![wanted],
        ..Default::default()
    };
    let assigned = policy::PolicyAssigned {
        policy_id: id.as_bytes().to_vec(),
        group_id: group().as_bytes().to_vec(),
        intent: policy::AssignmentIntent::Include.into(),
        ..Default::default()
    };
    let resolution = policy::Resolution {
        etag: etag.clone(),
        policies: vec![policy::ResolvedPolicy { policy_id: id.as_bytes().to_vec(), revision: 1 }],
        settings: vec![policy::ResolvedSetting {
            id: SETTING.into(),
            value: Some(value.clone()),
            winners: vec![0],
            losers: vec![],
        }],
        withheld: vec![],
    };
    let mut all = Vec::new();
    (0..devices).collect::<RoaringBitmap>().serialize_into(&mut all)?;
    let resolved = policy::EffectivePoliciesChanged {
        positions: "policy:2".into(),
        resolved: vec![policy::Resolved {
            resolution_id: vec![1; 32],
            devices: all,
            cause_time: Some(muster_proto::convert::timestamp(Timestamp::from_micros(1))),
            resolution: Some(resolution),
        }],
        none: vec![],
        restated: true,
    };
    let assignment = derive("bench assignment", &[]);
    let tenant = TenantId::DEFAULT;
    let stream = derive("resolution", &[tenant.as_str().as_bytes()]);
    for append in [
        event((Aggregate::Policy, id.uuid()), 0, "muster.policy.v1.PolicyCreated", created.encode_to_vec()),
        event(
            (Aggregate::Assignment, assignment),
            0,
            "muster.policy.v1.PolicyAssigned",
            assigned.encode_to_vec(),
        ),
        event(
            (Aggregate::Resolution, stream),
            0,
            "muster.policy.v1.EffectivePoliciesChanged",
            resolved.encode_to_vec(),
        ),
    ] {
        log.append(vec![append]).await?;
    }
    let status = pb::DeviceStatus {
        policy_etag: etag,
        policy_version: 1,
        settings: vec![pb::SettingStatus {
            id: SETTING.into(),
            desired: Some(value.clone()),
            observed: Some(value),
            state: pb::SettingState::Succeeded.into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let reported = pb::StatusReported { status: Some(status) }.encode_to_vec();
    for from in (0..devices).step_by(TOLD_AT_ONCE as usize) {
        let some = from..devices.min(from + TOLD_AT_ONCE);
        let kind = "muster.report.v1.StatusReported";
        let append = |n| event((Aggregate::DeviceStatus, device(n).uuid()), 0, kind, reported.clone());
        log.append(some.map(append).collect()).await?;
    }
    Ok(())
}
