//! Check-ins over mTLS against a bare tonic echo with the same sizes, certificates and TLS settings, and against a static
//! file server. Servers are processes of their own; they share the machine with their callers.

pub(crate) mod device;
mod nginx;
pub(crate) mod served;
mod watching;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::try_join_all;
use muster_catalog::{Catalogue, Kind as ValueKind};
use muster_client::{Client, ConnectOptions};
use muster_pki::LocalTrust;
use muster_proto::policy::v1::device_policy_service_client::DevicePolicyServiceClient;
use muster_proto::policy::v1::{AssignPolicyRequest, AssignmentIntent, CreatePolicyRequest, Policy};
use muster_types::{ResourceName, SettingValue, TenantId};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::measure::{Row, median, rate};
use device::{Device, devices, group};
use served::{Kind, Served};

pub(crate) use nginx::{against_nginx, fresh_against_nginx};
pub(crate) use watching::{hints, memory};

const CONNECTIONS: u32 = 64;
const KNOWN: u32 = 1_000_000;
const FEW: u32 = 10_000;
const SETTINGS: usize = 40;
/// Short, and many, in turns that change their order: what else a machine does meanwhile then falls on both.
const ROUND: Duration = Duration::from_secs(1);
/// Pairs of the product and the bare thing in one round of the command line.
const PAIRS: usize = 4;
/// Clock ticks of `/proc` in a second.
const TICKS: f64 = 100.0;

/// Not modified, on open connections.
pub(crate) async fn open(rounds: usize) -> anyhow::Result<Row> {
    let name = "check-in, not modified, 1,000,000 known";
    Pair::start(KNOWN).await?.row(rounds, name, 0.8, Way::Open { anew: false }).await
}

/// Not modified, a new connection for each, resumed.
pub(crate) async fn fresh(rounds: usize) -> anyhow::Result<Row> {
    Pair::start(FEW).await?.row(rounds, "check-in, a connection each, resumed", 0.95, Way::Fresh).await
}

/// A changed policy, signed.
pub(crate) async fn policy(rounds: usize) -> anyhow::Result<Row> {
    let pair = Pair::start(FEW).await?;
    pair.assign(SETTINGS).await?;
    let mut one = devices(&pair.trust, 1)?.remove(0);
    let settings = one.settle(pair.product.address).await?.settings.len();
    anyhow::ensure!(settings == SETTINGS, "the policy has {settings} settings");
    pair.row(rounds, "check-in, changed policy of 40 settings", 0.25, Way::Open { anew: true }).await
}

/// How devices call.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// On a connection that stays open; `anew` says that they have nothing.
    Open { anew: bool },
    /// With a new connection for each call.
    Fresh,
}

/// The product and the bare thing, side by side.
struct Pair {
    product: Served,
    echo: Served,
    trust: LocalTrust,
    dir: TempDir,
}

impl Pair {
    async fn start(known: u32) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let trust = device::trust(dir.path())?;
        let product = Served::start(Kind::Product, dir.path(), known).await?;
        let echo = Served::start(Kind::Echo, dir.path(), 0).await?;
        Ok(Self { product, echo, trust, dir })
    }

    fn admin(&self) -> anyhow::Result<Client> {
        let token = self.trust.admin_token().context("the folder holds the admin's token")?.clone();
        let endpoint = format!("https://{}", self.product.address);
        let options = ConnectOptions::new(endpoint, self.trust.ca_certs().to_vec()).with_bearer(token);
        Ok(Client::connect(options)?)
    }

    /// Assigns a policy of so many settings to all devices, and gives the policy's name.
    async fn assign(&self, settings: usize) -> anyhow::Result<String> {
        let admin = self.admin()?;
        let parent = ResourceName::Tenant(TenantId::DEFAULT).to_string();
        let policy = Policy {
            display_name: "Bench".into(),
            profile: "windows-antivirus".into(),
            settings: some_settings(settings),
            ..Policy::default()
        };
        let request = CreatePolicyRequest { parent, policy: Some(policy), ..Default::default() };
        let policy = admin.policies().create_policy(request).await?.into_inner().name;
        let request = AssignPolicyRequest {
            policy: policy.clone(),
            group: ResourceName::Group(TenantId::DEFAULT, group()).to_string(),
            intent: AssignmentIntent::Include.into(),
            ..Default::default()
        };
        admin.policies().assign_policy(request).await?;
        Ok(policy)
    }

    async fn row(self, rounds: usize, name: &'static str, at_least: f64, way: Way) -> anyhow::Result<Row> {
        let mut devices = devices(&self.trust, CONNECTIONS)?;
        for device in &mut devices {
            device.settle(self.product.address).await?;
        }
        let mut pairs = Vec::new();
        let mut costs = Vec::new();
        for pair in 0..rounds * PAIRS {
            let (bare, product) = if pair % 2 == 0 {
                let bare = calls(&self.echo, &mut devices.clone(), way).await?;
                (bare, calls(&self.product, &mut devices, way).await?)
            } else {
                let product = calls(&self.product, &mut devices, way).await?;
                (calls(&self.echo, &mut devices.clone(), way).await?, product)
            };
            pairs.push((product.rate, bare.rate));
            costs.push((product.cpu_us, bare.cpu_us));
        }
        self.stop().await?;
        let mut row = Row::of_rates(name, &pairs, at_least);
        row.product = told(&row.product, costs.iter().map(|(product, _)| *product));
        row.bare = told(&row.bare, costs.iter().map(|(_, bare)| *bare));
        Ok(row)
    }

    async fn stop(self) -> anyhow::Result<()> {
        let Self { product, echo, trust: _, dir } = self;
        product.stop().await?;
        echo.stop().await?;
        Ok(dir.close()?)
    }
}

fn told(rate: &str, costs: impl Iterator<Item = f64>) -> String {
    format!("{rate} {:.0} µs", median(costs.collect()))
}

/// Settings of any kind that has simple values.
fn some_settings(count: usize) -> Vec<muster_proto::policy::v1::Setting> {
    let profile = Catalogue::builtin().profile("windows-antivirus");
    let simple = profile.into_iter().flat_map(|profile| &profile.settings).filter_map(|setting| {
        let value = match &setting.kind {
            ValueKind::Bool { .. } => SettingValue::Boolean(true),
            ValueKind::Enum { values } => SettingValue::Text(values.first()?.id.clone()),
            ValueKind::Integer { min, .. } => SettingValue::Integer(*min),
            ValueKind::Flags { .. }
            | ValueKind::Text(_)
            | ValueKind::TextList { .. }
            | ValueKind::ObjectList { .. } => return None,
        };
        let deliverable = setting.channels.ssm.deliverable() && !setting.read_only;
        deliverable.then(|| (setting.id.clone(), value).into())
    });
    simple.take(count).collect()
}

/// What a round of calls showed.
struct Calls {
    /// A second.
    rate: f64,
    /// Microseconds of the server's processor for each.
    cpu_us: f64,
}

async fn calls(server: &Served, devices: &mut [Device], way: Way) -> anyhow::Result<Calls> {
    let address = server.address;
    let open = match way {
        Way::Open { .. } => try_join_all(devices.iter().map(|device| device.connect(address))).await?,
        Way::Fresh => Vec::new(),
    };
    let (pid, mut open) = (server.pid()?, open.into_iter());
    let (start, before) = (Instant::now(), cpu_seconds(pid)?);
    let loops = devices.iter_mut().map(|device| {
        let (mut own, channel) = (device.clone(), open.next());
        #[expect(clippy::disallowed_methods, reason = "awaited below")]
        tokio::spawn(async move {
            let calls = match (way, channel) {
                (Way::Open { anew }, Some(channel)) => own.call_on(channel, anew, start).await?,
                (Way::Open { .. } | Way::Fresh, _) => own.call_afresh(address, start).await?,
            };
            anyhow::Ok((calls, own))
        })
    });
    let done = try_join_all(loops).await?;
    let (took, cpu) = (start.elapsed(), cpu_seconds(pid)? - before);
    let mut calls = 0;
    for (device, done) in devices.iter_mut().zip(done) {
        let (count, after) = done?;
        calls += count;
        *device = after;
    }
    let rate = rate(calls, took);
    Ok(Calls { rate, cpu_us: cpu * 1e6 / (rate * took.as_secs_f64()) })
}

impl Device {
    async fn call_on(&mut self, channel: Channel, anew: bool, start: Instant) -> anyhow::Result<usize> {
        let mut client = DevicePolicyServiceClient::new(channel);
        let mut calls = 0;
        while start.elapsed() < ROUND {
            client.check_in(self.request(anew)).await?;
            calls += 1;
        }
        Ok(calls)
    }

    async fn call_afresh(&mut self, address: SocketAddr, start: Instant) -> anyhow::Result<usize> {
        let mut calls = 0;
        while start.elapsed() < ROUND {
            let mut client = DevicePolicyServiceClient::new(self.connect(address).await?);
            client.check_in(self.request(false)).await?;
            calls += 1;
        }
        Ok(calls)
    }
}

/// Seconds of processor that a process took so far.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th after it.
    let (_, rest) = stat.rsplit_once(')').context("a line of /proc/PID/stat")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let ticks: f64 = ticks.sum::<Result<_, _>>()?;
    Ok(ticks / TICKS)
}
