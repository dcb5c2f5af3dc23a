//! A device comes under policy: one story, two deployments, with and without crashes in the middle.

use std::fs;

use serde_json::{Value, json};

use crate::deployment::{Deployment, Shape, eventually};

const POLICY: &str = "
apiVersion: muster.io/v1
kind: Policy
metadata:
  name: Linux baseline
spec:
  profile: linux-antivirus
  settings:
    linux-antivirus/enforcement_level: real_time
    linux-antivirus/behavior_monitoring: enabled
    linux-antivirus/scan_archives: true
    linux-antivirus/maximum_on_demand_scan_threads: 2
";

/// A moment of the story at which something may be done to the deployment, by what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Onboarding,
    Assignment,
    Report,
}

const MOMENTS: [Moment; 3] = [Moment::Onboarding, Moment::Assignment, Moment::Report];

/// Tells the story; `at` is called at each moment.
fn tell(deployment: &mut Deployment, mut at: impl FnMut(&mut Deployment, Moment)) {
    let token = deployment.muster(&["token", "create", "--uses", "1"]);
    at(deployment, Moment::Onboarding);
    let agent = deployment.agent("device", token["secret"].as_str().unwrap());
    let device = eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        let device = devices["devices"].as_array()?.first()?.clone();
        (device["enrollment_status"] == "succeeded").then_some(device)
    });
    assert_eq!(device["managed_by"], "muster");
    let id = device["id"].as_str().unwrap();
    assert_eq!(device["spiffe_id"], format!("spiffe://muster.local/tenant/default/device/{id}"));

    let group = deployment.muster(&["group", "create", "--name", "Linux servers", "--static"]);
    assert_eq!(group["member_count"], 0);
    let group = deployment.muster(&["group", "add", "Linux servers", id]);
    assert_eq!(group["member_count"], 1);
    let file = deployment.dir.path().join("policy.yaml");
    fs::write(&file, POLICY).unwrap();
    let policy = deployment.muster(&["policy", "create", "-f", file.to_str().unwrap()]);
    let policy = policy["id"].as_str().unwrap();
    at(deployment, Moment::Assignment);
    deployment.muster(&["policy", "assign", policy, "--group", "Linux servers"]);
    at(deployment, Moment::Report);

    let report = eventually("the device reports what it read back", || {
        let report = deployment.muster(&["report", "device", id]);
        let settings = report["settings"].as_array()?.len();
        (report["check_in_status"] == "succeeded" && settings == 4).then_some(report)
    });
    let settings = report["settings"].as_array().unwrap();
    for setting in settings {
        assert_eq!(setting["state"], "succeeded", "{setting}");
        assert_eq!(setting["desired"], setting["observed"], "{setting}");
    }
    let engine = &agent.managed_configuration()["antivirusEngine"];
    assert_eq!(engine["enforcementLevel"], "real_time");
    assert_eq!(engine["scanArchives"], true);
    assert_eq!(engine["maximumOnDemandScanThreads"], 2);
    let counts = eventually("the policy's report counts the device", || {
        let report = deployment.muster(&["report", "policy", policy]);
        (report["counts"]["succeeded"] == 1).then_some(report)
    });
    assert_eq!(counts["targeted"], 1);

    let verified = deployment.muster(&["log", "verify"]);
    assert!(verified["services"].as_array().unwrap().iter().all(|service| service["chain"] == "whole"));
    assert_eq!(
        events(deployment),
        EXPECTED_EVENTS.map(|(service, kind)| (service.to_owned(), kind.to_owned()))
    );
}

/// What the log must hold at the end: each fact once, whatever crashed.
const EXPECTED_EVENTS: [(&str, &str); 11] = [
    ("enroll", "OnboardingTokenIssued"),
    ("enroll", "OnboardingTokenUsed"),
    ("enroll", "DeviceOnboarded"),
    ("enroll", "EnrollmentSucceeded"),
    ("enroll", "ManagementAuthorityChanged"),
    ("identity", "TrustEstablished"),
    ("identity", "GroupDefined"),
    ("identity", "GroupMembershipChanged"),
    ("policy", "PolicyCreated"),
    ("policy", "PolicyAssigned"),
    ("report", "StatusReported"),
];

/// Service and type of all events, service by service in log order. Reports of the empty policy, which a device may send
/// before it is assigned one, certificates issued again after a lost reply, and what is told of all devices from time to
/// time do not count.
fn events(deployment: &Deployment) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for service in ["enroll", "identity", "policy", "report"] {
        let mut seen = Vec::new();
        for event in deployment.events(service) {
            let kind = event["type"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
            let repeats = ["StatusReported", "TrustEstablished"].contains(&&*kind) && seen.contains(&kind);
            let from_time_to_time =
                ["DevicesSeen", "EffectivePoliciesChanged", "PoliciesDelivered"].contains(&&*kind);
            if !repeats && !from_time_to_time {
                seen.push(kind.clone());
                events.push((service.to_owned(), kind));
            }
        }
    }
    events
}

#[test]
fn a_device_comes_under_policy_in_one_process() {
    let mut deployment = Deployment::start(Shape::OneProcess);
    tell(&mut deployment, |_, _| {});
    assert!(deployment.probe("serve", "/livez").unwrap().contains(" 200 "));
    eventually("every view tells that it is not behind", || {
        let metrics = deployment.probe("serve", "/metrics")?;
        let lags: Vec<_> =
            metrics.lines().filter(|line| line.starts_with("muster_projection_lag{")).collect();
        (lags.len() >= 16 && lags.iter().all(|line| line.ends_with(" 0"))).then_some(())
    });
}

#[test]
fn a_device_comes_under_policy_across_four_processes() {
    tell(&mut Deployment::start(Shape::FourProcesses), |_, _| {});
}

#[test]
fn a_crash_of_the_one_process_at_any_moment_changes_nothing() {
    for moment in MOMENTS {
        tell(&mut Deployment::start(Shape::OneProcess), |deployment, now| {
            if now == moment {
                deployment.kill_and_restart("serve");
            }
        });
    }
}

#[test]
fn a_crash_of_any_service_at_any_moment_changes_nothing() {
    for service in ["enroll", "identity", "policy", "report"] {
        tell(&mut Deployment::start(Shape::FourProcesses), |deployment, _| {
            deployment.kill_and_restart(service);
        });
    }
}

#[test]
fn a_revised_policy_replaces_what_it_set_and_leaves_the_rest() {
    let mut deployment = Deployment::start(Shape::OneProcess);
    let token = deployment.muster(&["token", "create"]);
    let agent = deployment.agent("device", token["secret"].as_str().unwrap());
    let device = eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        Some(devices["devices"].as_array()?.first()?["id"].as_str()?.to_owned())
    });
    deployment.muster(&["group", "create", "--name", "g", "--static"]);
    deployment.muster(&["group", "add", "g", &device]);
    let file = deployment.dir.path().join("policy.yaml");
    let file = file.to_str().unwrap();
    fs::write(file, POLICY).unwrap();
    deployment.muster(&["policy", "create", "-f", file]);
    deployment.muster(&["policy", "assign", "Linux baseline", "--group", "g"]);
    let engine = |agent: &crate::deployment::Agent| agent.managed_configuration()["antivirusEngine"].clone();
    eventually("the first revision is in force", || (engine(&agent)["scanArchives"] == true).then_some(()));

    let revised =
        POLICY.replace("    linux-antivirus/scan_archives: true\n", "").replace("threads: 2", "threads: 4");
    fs::write(file, revised).unwrap();
    let updated = deployment.muster(&["policy", "update", "Linux baseline", "-f", file]);
    assert_eq!(updated["revision"], 2);
    eventually("the second revision is in force", || {
        (engine(&agent)["maximumOnDemandScanThreads"] == 4).then_some(())
    });
    assert_eq!(engine(&agent)["scanArchives"], Value::Null, "what the policy no longer sets is taken back");
    assert_eq!(engine(&agent)["enforcementLevel"], "real_time");

    deployment.muster(&["policy", "unassign", "Linux baseline", "--group", "g"]);
    eventually("nothing is enforced any more", || {
        let left = agent.managed_configuration();
        (left == json!({}) || left == Value::Null).then_some(())
    });
    assert!(deployment.terminate("serve").success(), "a server asked to end drains and succeeds");
}
