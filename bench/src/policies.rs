//! Policy for a large fleet: what a device costs in the view, and how long it takes from the edit of a policy that all
//! devices have to the first hint.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt as _;
use muster_catalog::{Catalogue, Kind, MergeMode};
use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, View as _};
use muster_policy::domain::change::Fact;
use muster_policy::domain::check_in_settings::HINTS_PER_SECOND_MAX;
use muster_policy::domain::plan::{self, Proposal};
use muster_policy::domain::policy::Policy;
use muster_policy::domain::resolution::Told;
use muster_policy::metrics::PolicyMetrics;
use muster_policy::projection::Fleet;
use muster_policy::watch::{Watch, Watches};
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_types::{Aggregate, DeviceId, PolicyId, Positions, SettingValue, StreamId, TenantId, Timestamp};
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::inventory::{envelope, facts};
use crate::measure::{Limit, Row, median};

const LARGE: u32 = 1_000_000;
/// Devices that watch, all of the platform that the edited policy is for.
const WATCHING: u32 = 10_000;
/// Groups that each have devices all over the fleet, none in two.
const DEPARTMENTS: u32 = 20;
/// Groups of devices that came in one after the other, none in two.
const RINGS: u32 = 5;
const SETTINGS: usize = 40;
const BYTES_PER_DEVICE_MAX: f64 = 200.0;
const HINTED_WITHIN: Duration = Duration::from_millis(300);
const TOLD_WITHIN: Duration = Duration::from_millis(200);
const PLANNED_WITHIN: Duration = Duration::from_millis(500);
/// What the edited policy sets, and everybody has.
const PROFILE: &str = "windows-antivirus";

/// What a device costs in the view of policy, its groups and classes included, at a million devices with policies.
pub(crate) fn memory() -> anyhow::Result<Row> {
    let (fleet, _) = fleet()?;
    #[expect(clippy::cast_precision_loss, reason = "a figure needs no more digits")]
    let per_device = fleet.size_bytes() as f64 / f64::from(LARGE);
    Ok(Row {
        name: "memory of a device in policy, of 1,000,000",
        product: format!("{per_device:.0} B"),
        bare: format!("{} results", fleet.results()),
        value: per_device,
        limit: Limit::BytesAtMost(BYTES_PER_DEVICE_MAX),
    })
}

/// Edits a policy that is assigned to a million devices: folded, resolved, and hints out to those that watch.
pub(crate) fn edit(rounds: usize) -> anyhow::Result<Row> {
    let (mut fleet, watches) = fleet()?;
    let mut open = Vec::new();
    for n in 0..WATCHING {
        open.push(watch(&watches, n * (LARGE / WATCHING) + 1).context("too many watches")?);
    }
    let mut times = Vec::new();
    let mut resolved = 0;
    for round in 0..rounds {
        let revision = round as u64 + 2;
        let message = pb::PolicyRevised {
            revision,
            display_name: "everybody".into(),
            settings: settings(PROFILE, round % 2 == 0)?,
            ..Default::default()
        };
        let event = envelope(policy(0), "muster.policy.v1.PolicyRevised", &message);
        let before = fleet.metrics().resolutions();
        let start = Instant::now();
        apply(&mut fleet, &event)?;
        fleet.settle(&Positions::ZERO, &mut Dirty::default());
        let hinted = open[0].next().now_or_never().is_some();
        times.push(start.elapsed().as_secs_f64());
        resolved = fleet.metrics().resolutions() - before;
        anyhow::ensure!(hinted, "no hint came");
    }
    let value = median(times);
    Ok(Row {
        name: "edit for 1,000,000 devices to the first hint",
        product: format!("{:.1} ms", value * 1e3),
        bare: format!("{resolved} inputs"),
        value,
        limit: Limit::Below(HINTED_WITHIN),
    })
}

/// Tells of the edit of a policy that is assigned to a million devices: what they should have is copied while the view is
/// held, compared with what was told, and encoded.
pub(crate) fn told(rounds: usize) -> anyhow::Result<Row> {
    let (mut fleet, _) = fleet()?;
    let mut told = Told::default();
    let (mut times, mut held, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let message = pb::PolicyRevised {
            revision: round as u64 + 2,
            display_name: "everybody".into(),
            settings: settings(PROFILE, round % 2 == 0)?,
            ..Default::default()
        };
        apply(&mut fleet, &envelope(policy(0), "muster.policy.v1.PolicyRevised", &message))?;
        fleet.settle(&Positions::ZERO, &mut Dirty::default());
        let start = Instant::now();
        let moved = fleet.take_moved();
        let outcomes = fleet.outcomes(Positions::ZERO, moved.as_ref().map(|moved| &moved.devices));
        let copied = start.elapsed().as_secs_f64();
        let causes = moved.map(|moved| moved.causes).unwrap_or_default();
        let events = told.decide(outcomes.difference(causes, Timestamp::default()))?;
        let bytes: Vec<_> = events.iter().map(|event| Told::encode(event).1.len()).collect();
        let time = start.elapsed().as_secs_f64();
        events.iter().for_each(|event| told.evolve(event));
        // The first tells of the whole fleet.
        if round > 0 {
            times.push(time);
            held.push(copied);
            sizes.push(bytes);
        }
    }
    let (value, bytes) = (median(times), sizes.pop().unwrap_or_default());
    Ok(Row {
        name: "telling of an edit for 1,000,000 devices",
        product: format!("{:.1} ms, {:.1} held", value * 1e3, median(held) * 1e3),
        bare: format!("{} B in {}", bytes.iter().sum::<usize>(), bytes.len()),
        value,
        limit: Limit::Below(TOLD_WITHIN),
    })
}

/// Plans the edit of a policy that is assigned to a million devices: the tables copied, changed, taken apart and resolved
/// by both, and what differs counted.
pub(crate) fn plan(rounds: usize) -> anyhow::Result<Row> {
    let (fleet, _) = fleet()?;
    let message = pb::PolicyRevised {
        revision: 2,
        display_name: "everybody".into(),
        settings: settings(PROFILE, true)?,
        ..Default::default()
    };
    let stream = policy(0);
    let event = envelope(stream, "muster.policy.v1.PolicyRevised", &message);
    let event = Policy::decode(&event).map_err(anyhow::Error::msg)?.context("an event of a policy")?;
    let facts = vec![Fact::Policy(PolicyId::from_uuid(stream.id), event)];
    let proposal = Proposal { facts, ..Proposal::default() };
    let mut times = Vec::new();
    let mut resolved = 0;
    for _ in 0..rounds {
        let start = Instant::now();
        let plan = plan::plan(fleet.tables(), &proposal, fleet.catalogue());
        times.push(start.elapsed().as_secs_f64());
        anyhow::ensure!(!plan.touched.is_empty(), "no device is touched");
        resolved = plan.resolved;
    }
    let value = median(times);
    Ok(Row {
        name: "plan of an edit for 1,000,000 devices",
        product: format!("{:.1} ms", value * 1e3),
        bare: format!("{resolved} inputs"),
        value,
        limit: Limit::Below(PLANNED_WITHIN),
    })
}

fn watch(watches: &Watches, n: u32) -> Option<Watch> {
    watches.open(device(n), Some(n))
}

/// Devices of all platforms in groups, and policies for them: one that everybody gets, one for each department and ring.
fn fleet() -> anyhow::Result<(Fleet, Watches)> {
    let metrics = PolicyMetrics::default();
    let watches = Watches::new(metrics.clone());
    watches.cap(HINTS_PER_SECOND_MAX);
    let mut fleet = Fleet::new(Catalogue::builtin(), watches.clone(), metrics);
    for n in 0..LARGE {
        let id = device(n).uuid();
        let onboarded = enroll::DeviceOnboarded {
            facts: Some(facts(n, n % 20 == 0)),
            facts_digest: vec![3; 32],
            ..Default::default()
        };
        let at = |aggregate| StreamId::new(TenantId::DEFAULT, aggregate, id);
        let succeeded = enroll::EnrollmentSucceeded::default();
        let trusted = identity::TrustEstablished::default();
        for event in [
            envelope(at(Aggregate::Enrollment), "muster.enroll.v1.DeviceOnboarded", &onboarded),
            envelope(at(Aggregate::Registration), "muster.identity.v1.TrustEstablished", &trusted),
            envelope(at(Aggregate::Enrollment), "muster.enroll.v1.EnrollmentSucceeded", &succeeded),
        ] {
            apply(&mut fleet, &event)?;
        }
    }
    let ring = LARGE / RINGS;
    let departments = (0..DEPARTMENTS).map(|k| (0..LARGE).filter(|n| n % DEPARTMENTS == k).collect());
    let rings = (0..RINGS).map(|k| (k * ring..(k + 1) * ring).collect());
    let groups = [(0..LARGE).collect::<RoaringBitmap>()].into_iter().chain(departments).chain(rings);
    for (place, members) in groups.enumerate() {
        group(&mut fleet, place, &members)?;
    }
    fleet.settle(&Positions::ZERO, &mut Dirty::default());
    Ok((fleet, watches))
}

/// A group and the policy assigned to it.
fn group(fleet: &mut Fleet, place: usize, members: &RoaringBitmap) -> anyhow::Result<()> {
    let mut added = Vec::new();
    members.serialize_into(&mut added)?;
    let changed = identity::GroupMembershipChanged { added, removed: Vec::new() };
    let profile = [PROFILE, "linux-antivirus", "macos-antivirus"][place % 3];
    let created = pb::PolicyCreated {
        display_name: format!("policy {place}"),
        profile: profile.into(),
        settings: settings(profile, false)?,
        ..Default::default()
    };
    let (group, policy) = (id("group", place), policy(place));
    let assigned = pb::PolicyAssigned {
        policy_id: policy.id.as_bytes().to_vec(),
        group_id: group.as_bytes().to_vec(),
        intent: pb::AssignmentIntent::Include.into(),
        // What everybody gets decides.
        priority: Some(u32::try_from(place)? + 1),
        ..Default::default()
    };
    let stream = |aggregate, id| StreamId::new(TenantId::DEFAULT, aggregate, id);
    for event in [
        envelope(
            stream(Aggregate::Group, group),
            "muster.identity.v1.GroupDefined",
            &identity::GroupDefined::default(),
        ),
        envelope(stream(Aggregate::Group, group), "muster.identity.v1.GroupMembershipChanged", &changed),
        envelope(policy, "muster.policy.v1.PolicyCreated", &created),
        envelope(
            stream(Aggregate::Assignment, id("assignment", place)),
            "muster.policy.v1.PolicyAssigned",
            &assigned,
        ),
    ] {
        apply(fleet, &event)?;
    }
    Ok(())
}

fn apply(fleet: &mut Fleet, event: &Envelope) -> anyhow::Result<()> {
    Ok(fleet.apply(event, &mut Dirty::everything())?)
}

/// Settings of a profile with their defaults, but for those that are on or off.
pub(crate) fn settings(profile: &str, on: bool) -> anyhow::Result<Vec<pb::Setting>> {
    let profile = Catalogue::builtin().profile(profile).context("no such profile")?;
    let valued = profile.settings.iter().filter_map(|setting| {
        let switch = matches!(setting.kind, Kind::Bool { .. });
        let value = if switch { SettingValue::Boolean(on) } else { setting.default.clone()? };
        (setting.merge != MergeMode::PartOfItem).then(|| (setting.id.clone(), value).into())
    });
    Ok(valued.take(SETTINGS).collect())
}

fn device(n: u32) -> DeviceId {
    DeviceId::from_uuid(muster_types::id::derive("bench-device", &[&n.to_be_bytes()]))
}

fn id(kind: &str, place: usize) -> Uuid {
    muster_types::id::derive(kind, &[&place.to_be_bytes()])
}

fn policy(place: usize) -> StreamId {
    StreamId::new(TenantId::DEFAULT, Aggregate::Policy, id("policy", place))
}
