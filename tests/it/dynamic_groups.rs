//! A rule brings devices under policy: one story, two deployments.

use std::fs;

use serde_json::{Value, json};

use crate::deployment::{Deployment, Shape, error_code, eventually, muster};

const POLICY: &str = "
apiVersion: muster.io/v1
kind: Policy
metadata:
  name: Tagged Linux
spec:
  profile: linux-antivirus
  settings:
    linux-antivirus/enforcement_level: real_time
";
const RULE: &str = r#"device.deviceOSType -eq "Linux" -and device.tags -any (_ -eq "lab")"#;

/// A tag comes and goes, and with it the policy; `at` is called while the device is in.
fn tell(deployment: &mut Deployment, at: impl FnOnce(&mut Deployment)) {
    let file = deployment.dir.path().join("policy.yaml");
    fs::write(&file, POLICY).unwrap();
    deployment.muster(&["policy", "create", "-f", file.to_str().unwrap()]);
    let group = deployment.muster(&["group", "create", "Lab", "--rule", RULE]);
    assert_eq!(
        (&group["kind"], &group["rule"], &group["member_count"]),
        (&json!("dynamic"), &json!(RULE), &json!(0))
    );
    deployment.muster(&["policy", "assign", "Tagged Linux", "--group", "Lab"]);

    let token = deployment.muster(&["token", "create", "--uses", "1"]);
    let agent = deployment.agent("device", token["secret"].as_str().unwrap());
    let id = eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        let device = devices["devices"].as_array()?.first()?.clone();
        (device["enrollment_status"] == "succeeded").then(|| device["id"].as_str().unwrap().to_owned())
    });
    eventually("identity knows the device", || {
        let preview = deployment.muster(&["group", "preview", "--rule", RULE]);
        (preview["out_count"] == 1 && preview["unknown_count"] == 0).then_some(())
    });
    deployment.muster(&["device", "tag", &id, "Lab"]);
    eventually("the device is in the group", || is_member(deployment, &id));
    let why = deployment.muster(&["group", "explain", "Lab", &id]);
    assert_eq!((&why["result"], &why["explain"][2]["device_has"]), (&json!(true), &json!("lab")));
    let fact = |why: &Value, property: &str| {
        let facts = why["facts"].as_array().unwrap();
        facts.iter().find(|fact| fact["property"] == property).unwrap().clone()
    };
    assert_eq!((&why["member"], &why["verdict"]), (&json!(true), &json!("in")));
    let came = why["changed"]["position"].as_str().unwrap().to_owned();
    assert!(fact(&why, "tags")["position"].as_str().unwrap().starts_with("enroll:"), "{why}");
    eventually("the policy is in force", || {
        let enforced = &agent.managed_configuration()["antivirusEngine"]["enforcementLevel"];
        (enforced == "real_time").then_some(())
    });
    at(deployment);

    let shown = deployment.muster(&["group", "get", "Lab"]);
    assert_eq!((&shown["member_count"], &shown["processing"]["unknown_count"]), (&json!(1), &json!(0)));
    deployment.muster(&["device", "untag", &id, "Lab"]);
    eventually("the device has left the group", || is_member(deployment, &id).is_none().then_some(()));
    let left = deployment.muster(&["group", "explain", "Lab", "--device", &id]);
    assert_eq!((&left["member"], &left["verdict"]), (&json!(false), &json!("out")));
    let then = deployment.muster(&["group", "explain", "Lab", "--device", &id, "--as-of", &came]);
    assert_eq!((&then["member"], &then["changed"]), (&json!(true), &why["changed"]));
    assert_eq!((&fact(&then, "tags"), &then["result"]), (&fact(&why, "tags"), &json!(true)));
    let early = ["group", "explain", "Lab", "--device", &id, "--as-of", "2001-01-01T00:00:00Z"];
    assert_eq!(deployment.refused(&early), "AS_OF_INVALID");
    deployment.muster(&["group", "edit-rule", "Lab", "--rule", "device.objectId -ne null"]);
    eventually("all devices are in", || is_member(deployment, &id));
    deployment.muster(&["group", "delete", "Lab"]);
    assert_eq!(deployment.refused(&["group", "get", "Lab"]), "GROUP_UNKNOWN");
    assert_eq!(changes(deployment), 4, "each change is one event, whatever crashed");
}

fn is_member(deployment: &Deployment, id: &str) -> Option<()> {
    let members = deployment.muster(&["group", "members", "Lab"]);
    members["devices"].as_array()?.iter().any(|device| device["id"] == id).then_some(())
}

fn changes(deployment: &Deployment) -> usize {
    let events = deployment.events("identity");
    events.iter().filter(|event| event["type"] == "muster.identity.v1.GroupMembershipChanged").count()
}

#[test]
fn a_rule_brings_a_device_under_policy_across_a_crash() {
    tell(&mut Deployment::start(Shape::OneProcess), |deployment| deployment.kill_and_restart("serve"));
}

#[test]
fn a_rule_brings_a_device_under_policy_across_four_processes() {
    tell(&mut Deployment::start(Shape::FourProcesses), |deployment| deployment.kill_and_restart("identity"));
}

#[test]
fn a_rule_is_tried_without_a_server() {
    let test = |rule: &str, device: &str| {
        muster()
            .args(["group", "test-rule", "--rule", rule, "--device", device, "-o", "json"])
            .output()
            .unwrap()
    };
    let good = test(RULE, r#"{"deviceOSType": "linux", "unknown": ["tags"]}"#);
    let verdict: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert!(good.status.success());
    assert_eq!((&verdict["result"], &verdict["error"]), (&Value::Null, &Value::Null));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), r#"{"deviceOSType": "Linux", "tags": ["LAB"]}"#).unwrap();
    let inside = test(RULE, &format!("@{}", file.path().display()));
    assert_eq!(serde_json::from_slice::<Value>(&inside.stdout).unwrap()["result"], true);
    let wrong = test("device.deviceOSType -eq", "{}");
    let verdict: Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!((&verdict["error"]["kind"], &verdict["error"]["offset"]), (&json!("syntax"), &json!(23)));
    assert_eq!((wrong.status.code(), error_code(&wrong)), (Some(1), "RULE_INVALID".to_owned()));
}
