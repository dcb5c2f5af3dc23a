//! The demonstration after the server is up: group, policy, assignment, convergence.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use muster_agent::Snapshot;
use muster_client::{Client, discover};
use muster_errors::{ErrorCode, Fault};
use muster_proto::enroll::v1::{CreateOnboardingTokenRequest, GetDeviceRequest};
use muster_proto::identity::v1::{CreateGroupRequest, Group, GroupKind, ModifyGroupMembersRequest};
use muster_proto::policy::v1::{
    AssignPolicyRequest, AssignmentIntent, CreatePolicyRequest, GetEffectivePolicyRequest,
    ListAssignmentsRequest,
};
use muster_proto::report::v1::{DeviceReport, GetDeviceReportRequest};
use muster_runtime::assemble::Running;
use muster_types::{Service, TenantId};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::command::events;
use crate::connect::{Api, once, request_id};
use crate::manifest;
use crate::view;

use super::step::{Steps, WAIT_MAX};

const GROUP: &str = "This machine (quickstart)";
const POLICY: &str = include_str!("policy.yaml");
/// How often the report, which another process may hold, is asked for.
const REPORT_EVERY: Duration = Duration::from_millis(1);

/// The admin's side of the demonstration.
pub(super) struct Demo {
    api: Api,
}

/// How long the parts took, in milliseconds. The last two are missing when the policy was in force already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timings {
    pub(super) ready: f64,
    pub(super) onboard: f64,
    pub(super) assign_to_applied: Option<f64>,
    pub(super) assign_to_reported: Option<f64>,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) device: Value,
    pub(super) etag: String,
    pub(super) report: Value,
    pub(super) events: Vec<Value>,
    pub(super) timings: Timings,
}

impl Outcome {
    /// The object that `-o json` prints.
    pub(super) fn json(&self) -> Value {
        let pick = |item: &Value, keys: &[&str]| -> Value {
            keys.iter()
                .map(|key| ((*key).to_owned(), item[*key].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let list =
            |items: &[Value], keys: &[&str]| items.iter().map(|item| pick(item, keys)).collect::<Vec<_>>();
        let settings = self.report["settings"].as_array().map_or(&[][..], Vec::as_slice);
        let Timings { ready, onboard, assign_to_applied, assign_to_reported } = self.timings;
        json!({
            "device": pick(&self.device, &["id", "spiffe_id", "managed_by", "enrollment_status"]),
            "policy": {"etag": self.etag},
            "settings": list(settings, &["id", "desired", "observed", "state"]),
            "events": list(&self.events, &["position", "service", "type", "stream", "version"]),
            "timings_ms": {
                "ready": ready,
                "onboard": onboard,
                "assign_to_applied": assign_to_applied,
                "assign_to_reported": assign_to_reported,
            },
        })
    }
}

impl Demo {
    /// Connects as admin.
    pub(super) fn connect(running: &Running, data_dir: &Path) -> Result<Self, Fault> {
        let client = Client::connect(discover::admin(data_dir, Some(&running.endpoint))?)?;
        Ok(Self { api: Api::of(&client, TenantId::DEFAULT) })
    }

    /// A token for this machine; none when its agent has been onboarded before.
    pub(super) async fn onboarding_token(&self, agent_is_onboarded: bool) -> Result<Option<String>, Fault> {
        if agent_is_onboarded {
            return Ok(None);
        }
        let request = CreateOnboardingTokenRequest {
            parent: self.api.parent(),
            uses_max: 1,
            request_id: request_id(),
            ..CreateOnboardingTokenRequest::default()
        };
        let reply = self.api.call(self.api.enrollment_admin().create_onboarding_token(once(request))).await?;
        Ok(Some(reply.secret))
    }

    /// Brings the device of the agent under policy and waits for its report.
    pub(super) async fn converge(
        &self,
        mut seen: watch::Receiver<Snapshot>,
        steps: &Steps,
        ready: f64,
        root: &Path,
    ) -> Result<Outcome, Fault> {
        let device = agent_reaches(&mut seen, "onboard", |seen| seen.device.clone()).await?;
        agent_reaches(&mut seen, "open a watch", |seen| seen.connected.then_some(())).await?;
        // A device that is still on its first round would take the policy along with it, untold and untimed.
        agent_reaches(&mut seen, "report where it stands", |seen| seen.last_report_at.map(drop)).await?;
        let request = GetDeviceRequest { name: device.clone() };
        let shown =
            view::enroll::device(&self.api.call(self.api.enrollment_admin().get_device(request)).await?);
        let what = format!("{} ({}) as {}", text(&shown, "hostname"), text(&shown, "os"), text(&shown, "id"));
        let onboard = steps.done("this machine onboarded", &what);

        let group = self.group(&device).await?;
        let (policy, settings) = self.policy().await?;
        steps.done("group and policy in place", &format!("{settings} settings for {GROUP:?}"));

        let begun = Instant::now();
        let assigned_before = self.assign(&policy, &group).await?;
        let request = GetEffectivePolicyRequest { device: device.clone() };
        let effective = self.api.call(self.api.policies().get_effective_policy(request)).await?;
        let applied_at = agent_reaches(&mut seen, "apply the policy", |seen| {
            (seen.applied_etag.as_deref() == Some(&effective.etag[..]))
                .then_some(seen.applied_instant)
                .flatten()
        })
        .await?;
        let reported_at = self.reported(&device, &effective.etag).await?;
        let report = self.confirmed(&device, &effective.etag).await?;
        let file = root.join("etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
        steps.done("policy applied and read back", &file.display().to_string());

        let since = |moment: Instant| Some(moment.saturating_duration_since(begun).as_secs_f64() * 1e3);
        let (assign_to_applied, assign_to_reported) =
            if assigned_before { (None, None) } else { (since(applied_at), since(reported_at)) };
        let listed = events::all(&self.api, &Service::ALL, 0).await?;
        Ok(Outcome {
            device: shown,
            etag: view::hex(&effective.etag),
            report: view::report::device(&report),
            events: listed.iter().map(view::event).collect(),
            timings: Timings { ready, onboard, assign_to_applied, assign_to_reported },
        })
    }

    async fn group(&self, device: &str) -> Result<String, Fault> {
        let name = match self.api.group(GROUP).await {
            Err(fault) if fault.code == ErrorCode::GroupUnknown => {
                let group = Group {
                    display_name: GROUP.to_owned(),
                    kind: GroupKind::Static.into(),
                    ..Group::default()
                };
                let request = CreateGroupRequest {
                    parent: self.api.parent(),
                    group: Some(group),
                    request_id: request_id(),
                    validate_only: false,
                };
                self.api.call(self.api.groups().create_group(once(request))).await?.name
            }
            found => found?,
        };
        let request = ModifyGroupMembersRequest {
            name: name.clone(),
            add_devices: vec![device.to_owned()],
            request_id: request_id(),
            ..ModifyGroupMembersRequest::default()
        };
        self.api.call(self.api.groups().modify_group_members(once(request))).await?;
        Ok(name)
    }

    async fn policy(&self) -> Result<(String, usize), Fault> {
        let policy =
            manifest::parse_policy(POLICY).map_err(|problem| Fault::new(ErrorCode::Internal, problem))?;
        let settings = policy.settings.len();
        match self.api.policy(&policy.display_name).await {
            Err(fault) if fault.code == ErrorCode::PolicyUnknown => {
                let request = CreatePolicyRequest {
                    parent: self.api.parent(),
                    policy: Some(policy),
                    request_id: request_id(),
                    validate_only: false,
                    ..Default::default()
                };
                Ok((self.api.call(self.api.policies().create_policy(once(request))).await?.name, settings))
            }
            found => Ok((found?, settings)),
        }
    }

    /// Assigns the policy; tells whether it was assigned before.
    async fn assign(&self, policy: &str, group: &str) -> Result<bool, Fault> {
        let request = ListAssignmentsRequest { policy: policy.to_owned() };
        let there = self.api.call(self.api.policies().list_assignments(request)).await?;
        if there.assignments.iter().any(|assignment| assignment.group == group) {
            return Ok(true);
        }
        let request = AssignPolicyRequest {
            policy: policy.to_owned(),
            group: group.to_owned(),
            intent: AssignmentIntent::Include.into(),
            request_id: request_id(),
            validate_only: false,
            ..Default::default()
        };
        self.api.call(self.api.policies().assign_policy(once(request))).await?;
        Ok(false)
    }

    /// Waits until the device has reported on the policy, and tells when.
    async fn reported(&self, device: &str, etag: &[u8]) -> Result<Instant, Fault> {
        let speaks_of_it =
            |report: &DeviceReport| report.status.as_ref().is_some_and(|status| status.policy_etag == etag);
        self.report_once("report the policy's settings", device, speaks_of_it).await?;
        Ok(Instant::now())
    }

    /// Waits until the report has heard from policy, too, that this is what the device should have.
    async fn confirmed(&self, device: &str, etag: &[u8]) -> Result<DeviceReport, Fault> {
        let knows_it = |report: &DeviceReport| report.desired_etag == etag;
        self.report_once("get its policy told to the report", device, knows_it).await
    }

    async fn report_once(
        &self,
        what: &str,
        device: &str,
        fits: impl Fn(&DeviceReport) -> bool,
    ) -> Result<DeviceReport, Fault> {
        within(what, async {
            loop {
                let request = GetDeviceReportRequest { device: device.to_owned(), ..Default::default() };
                let report = self.api.call(self.api.reports().get_device_report(request)).await?;
                if fits(&report) {
                    return Ok(report);
                }
                tokio::time::sleep(REPORT_EVERY).await;
            }
        })
        .await
    }
}

/// Waits until the agent is as far as wanted.
async fn agent_reaches<T>(
    seen: &mut watch::Receiver<Snapshot>,
    what: &str,
    reached: impl Fn(&Snapshot) -> Option<T>,
) -> Result<T, Fault> {
    within(what, async {
        loop {
            if let Some(reached) = reached(&seen.borrow_and_update()) {
                return Ok(reached);
            }
            if seen.changed().await.is_err() {
                let last = seen.borrow().last_error.clone();
                let reason = last.unwrap_or_else(|| "it ended".to_owned());
                return Err(Fault::new(ErrorCode::Internal, format!("the agent did not {what}: {reason}")));
            }
        }
    })
    .await
}

async fn within<T>(what: &str, waiting: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(WAIT_MAX, waiting).await.unwrap_or_else(|_| {
        Err(Fault::new(ErrorCode::DeadlineExceeded, format!("the device did not {what} within {WAIT_MAX:?}")))
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("?")
}
