//! 10,000 devices that watch, each on a connection of its own: what an idle one costs, and how soon all are hinted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use muster_client::Client;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::device_policy_service_client::DevicePolicyServiceClient;
use muster_types::{ResourceName, TenantId, setting};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::device::{Device, devices, group};
use super::served::{PUSH, Served};
use super::{FEW, Pair};
use crate::measure::{Limit, Row, median};

/// Connections that are opened at once.
const OPENING: usize = 32;
const HINTED_WITHIN: Duration = Duration::from_secs(30);
const LIFTED: u32 = 1_000_000;

/// Memory of an idle watch.
pub(crate) async fn memory() -> anyhow::Result<Row> {
    let pair = Pair::start(FEW).await?;
    let devices = devices(&pair.trust, FEW)?;
    let bare = taken(&pair.echo, &devices).await?;
    let product = taken(&pair.product, &devices).await?;
    pair.stop().await?;
    Ok(Row {
        name: "memory of an idle watch, 10,000 open",
        product: format!("{product:.0} B"),
        bare: format!("{bare:.0} B"),
        value: product / bare,
        limit: Limit::RatioAtMost(1.3),
    })
}

/// From a change for 10,000 devices to the last hint.
pub(crate) async fn hints(rounds: usize) -> anyhow::Result<Row> {
    let pair = Pair::start(FEW).await?;
    let devices = devices(&pair.trust, FEW)?;
    let pushes = {
        let watching = Watching::open(pair.echo.address, &devices).await?;
        let mut caller = DevicePolicyServiceClient::new(devices[0].connect(pair.echo.address).await?);
        let mut times = Vec::new();
        for _ in 0..rounds {
            let start = watching.begin();
            caller.check_in(pb::CheckInRequest { sequence: PUSH, ..Default::default() }).await?;
            times.push(watching.all_hinted(start).await?);
        }
        times
    };
    let hints = {
        let admin = pair.admin()?;
        lift_the_cap(&admin).await?;
        let policy = pair.assign(1).await?;
        let watching = Watching::open(pair.product.address, &devices).await?;
        // What they say they have is not what they should have.
        watching.all_hinted(Instant::now()).await?;
        let mut times = Vec::new();
        for round in 0..rounds {
            let start = watching.begin();
            change(&admin, &policy, round % 2 == 1).await?;
            times.push(watching.all_hinted(start).await?);
        }
        times
    };
    pair.stop().await?;
    let (product, bare) = (median(hints), median(pushes));
    Ok(Row {
        name: "a change to the last of 10,000 hints",
        product: format!("{:.0} ms", product * 1e3),
        bare: format!("{:.0} ms", bare * 1e3),
        value: product / bare,
        limit: Limit::RatioAtMost(2.5),
    })
}

async fn lift_the_cap(admin: &Client) -> anyhow::Result<()> {
    let settings = pb::CheckInSettings {
        name: ResourceName::CheckInSettings(TenantId::DEFAULT).to_string(),
        hints_per_second: Some(LIFTED),
        ..Default::default()
    };
    let request =
        pb::UpdateCheckInSettingsRequest { check_in_settings: Some(settings), ..Default::default() };
    admin.policies().update_check_in_settings(request).await?;
    Ok(())
}

/// Takes a policy from all devices or gives it to them.
async fn change(admin: &Client, policy: &str, give: bool) -> anyhow::Result<()> {
    let group = ResourceName::Group(TenantId::DEFAULT, group()).to_string();
    let policy = policy.to_owned();
    if give {
        let intent = pb::AssignmentIntent::Include.into();
        let request = pb::AssignPolicyRequest { policy, group, intent, ..Default::default() };
        admin.policies().assign_policy(request).await?;
    } else {
        let request = pb::UnassignPolicyRequest { policy, group, ..Default::default() };
        admin.policies().unassign_policy(request).await?;
    }
    Ok(())
}

/// Memory that a server takes for each of these devices' watches.
async fn taken(server: &Served, devices: &[Device]) -> anyhow::Result<f64> {
    let before = resident_bytes(server.pid()?)?;
    let watching = Watching::open(server.address, devices).await?;
    let after = resident_bytes(server.pid()?)?;
    drop(watching);
    Ok((after - before) / f64::from(FEW))
}

fn resident_bytes(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}

/// Open watches that count the hints they get.
struct Watching {
    hinted: Arc<AtomicUsize>,
    all: Arc<Notify>,
    open: Vec<AbortOnDropHandle<()>>,
}

impl Watching {
    async fn open(address: SocketAddr, devices: &[Device]) -> anyhow::Result<Self> {
        let (hinted, all) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let count = devices.len();
        let opened = stream::iter(devices).map(|device| {
            let (hinted, all) = (hinted.clone(), all.clone());
            async move {
                let mut client = DevicePolicyServiceClient::new(device.connect(address).await?);
                let applied_etag = setting::etag([]).to_vec();
                let mut hints = client.watch(pb::WatchRequest { applied_etag }).await?.into_inner();
                #[expect(clippy::disallowed_methods, reason = "ends when it is dropped")]
                let following = tokio::spawn(async move {
                    while let Ok(Some(_)) = hints.message().await {
                        if hinted.fetch_add(1, Ordering::SeqCst) + 1 == count {
                            all.notify_one();
                        }
                    }
                });
                anyhow::Ok(AbortOnDropHandle::new(following))
            }
        });
        let open = opened.buffer_unordered(OPENING).try_collect().await?;
        Ok(Self { hinted, all, open })
    }

    fn begin(&self) -> Instant {
        self.hinted.store(0, Ordering::SeqCst);
        Instant::now()
    }

    /// Seconds until all were hinted.
    async fn all_hinted(&self, start: Instant) -> anyhow::Result<f64> {
        let hinted = tokio::time::timeout(HINTED_WITHIN, self.all.notified()).await;
        hinted.with_context(|| {
            format!("{} of {} were hinted", self.hinted.load(Ordering::SeqCst), self.open.len())
        })?;
        Ok(start.elapsed().as_secs_f64())
    }
}
