//! From an assignment to the policy applied on a watching agent, in one process, over real TLS and a real file.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_agent::{Agent, Snapshot};
use muster_client::{Client, discover};
use muster_proto::enroll::v1::CreateOnboardingTokenRequest;
use muster_proto::identity::v1::{CreateGroupRequest, Group, GroupKind, ModifyGroupMembersRequest};
use muster_proto::policy::v1::{
    AssignPolicyRequest, AssignmentIntent, CreatePolicyRequest, GetEffectivePolicyRequest,
    UnassignPolicyRequest,
};
use muster_runtime::TaskGroup;
use muster_types::RequestId;
use tokio::sync::watch;

use crate::measure::{Limit, Row, median, quantile};

const ASSIGNMENTS: usize = 200;
const APPLIED_WITHIN: Duration = Duration::from_secs(30);
const DRAIN_MAX: Duration = Duration::from_secs(10);
const POLICY: &str = include_str!("../../cli/src/quickstart/policy.yaml");

/// Measures 200 assignments one after the other.
pub(crate) async fn run() -> anyhow::Result<Row> {
    let dir = tempfile::tempdir()?;
    let tasks = TaskGroup::new();
    let fleet = crate::fleet::start(dir.path(), &tasks).await?;
    let client = Client::connect(discover::admin(dir.path(), Some(&fleet.endpoint))?)?;
    let (mut seen, device) = start_agent(dir.path(), &fleet.endpoint, &client, &tasks).await?;
    let (policy, group) = prepare(&client, &device).await?;

    let mut times = Vec::new();
    for _ in 0..ASSIGNMENTS {
        let begun = Instant::now();
        let request = AssignPolicyRequest {
            policy: policy.clone(),
            group: group.clone(),
            intent: AssignmentIntent::Include.into(),
            request_id: RequestId::generate().to_string(),
            validate_only: false,
            ..Default::default()
        };
        client.policies().assign_policy(request).await?;
        times
            .push(applied(&client, &device, &mut seen).await?.saturating_duration_since(begun).as_secs_f64());
        let request = UnassignPolicyRequest {
            policy: policy.clone(),
            group: group.clone(),
            request_id: RequestId::generate().to_string(),
            validate_only: false,
        };
        client.policies().unassign_policy(request).await?;
        applied(&client, &device, &mut seen).await?;
    }
    tasks.shutdown(DRAIN_MAX).await.ok();
    let (p50, p99) = (median(times.clone()), quantile(times, 0.99));
    Ok(Row {
        name: "assignment to applied, p99 of 200",
        product: format!("p50 {:.1} ms", p50 * 1e3),
        bare: "-".to_owned(),
        value: p99,
        limit: Limit::Below(Duration::from_millis(250)),
    })
}

async fn start_agent(
    dir: &Path,
    endpoint: &str,
    client: &Client,
    tasks: &TaskGroup,
) -> anyhow::Result<(watch::Receiver<Snapshot>, String)> {
    let request =
        CreateOnboardingTokenRequest { parent: "tenants/default".into(), uses_max: 1, ..Default::default() };
    let token = client.enrollment_admin().create_onboarding_token(request).await?.into_inner().secret;
    let agent = Agent::new(muster_agent::Config {
        server: Some(endpoint.to_owned()),
        ca: Some(dir.join("pki/ca.pem")),
        token: Some(token),
        root: dir.join("root"),
        state_dir: dir.join("agent"),
        ..muster_agent::Config::default()
    })?;
    let mut seen = agent.observe();
    let stopping = tasks.stopping().clone();
    tasks.spawn("agent", async move {
        agent.run(stopping.cancelled_owned()).await.ok();
    });
    let connected = seen.wait_for(|seen| seen.connected && seen.device.is_some());
    let device = tokio::time::timeout(APPLIED_WITHIN, connected).await??.device.clone();
    Ok((seen, device.context("the agent has no device name")?))
}

async fn prepare(client: &Client, device: &str) -> anyhow::Result<(String, String)> {
    let parent = "tenants/default".to_owned();
    let policy = muster_cli::manifest::parse_policy(POLICY).map_err(anyhow::Error::msg)?;
    let request = CreatePolicyRequest { parent: parent.clone(), policy: Some(policy), ..Default::default() };
    let policy = client.policies().create_policy(request).await?.into_inner().name;
    let group = Group { display_name: "bench".into(), kind: GroupKind::Static.into(), ..Group::default() };
    let request = CreateGroupRequest { parent, group: Some(group), ..Default::default() };
    let group = client.groups().create_group(request).await?.into_inner().name;
    let request = ModifyGroupMembersRequest {
        name: group.clone(),
        add_devices: vec![device.to_owned()],
        ..ModifyGroupMembersRequest::default()
    };
    client.groups().modify_group_members(request).await?;
    Ok((policy, group))
}

/// When the device had applied what is resolved for it now.
async fn applied(
    client: &Client,
    device: &str,
    seen: &mut watch::Receiver<Snapshot>,
) -> anyhow::Result<Instant> {
    let request = GetEffectivePolicyRequest { device: device.to_owned() };
    let etag = client.policies().get_effective_policy(request).await?.into_inner().etag;
    let reached = seen.wait_for(|seen| seen.applied_etag.as_deref() == Some(&etag[..]));
    let seen = tokio::time::timeout(APPLIED_WITHIN, reached).await.context("not applied in time")??;
    seen.applied_instant.context("applied at no moment")
}
