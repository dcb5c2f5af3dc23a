//! `examples/python-grpc`.

use std::process::Command;

use serde_json::Value;

use super::{file, python, tool};
use crate::deployment::{Deployment, Shape, eventually, succeed};

#[test]
fn clients_made_of_the_contract_and_by_reflection_work() {
    let deployment = Deployment::start(Shape::OneProcess);
    let token = deployment.muster(&["token", "create", "--uses", "2"]);
    let secret = token["secret"].as_str().unwrap();
    let _agents = ["alder", "birch"].map(|name| deployment.agent(name, secret));
    eventually("both devices are enrolled", || {
        let devices = deployment.muster(&["device", "list", "--filter", "enrollment_status = SUCCEEDED"]);
        (devices["devices"].as_array()?.len() == 2).then_some(())
    });
    let server = deployment.endpoint().replace("https://", "");

    let generated = deployment.dir.path().join("generated");
    let mut generate = Command::new("sh");
    generate.arg(file("examples/python-grpc/generate.sh")).arg(&generated).env("PYTHON", tool("python"));
    succeed(&mut generate);
    let mut apply = python();
    apply.env("PYTHONPATH", &generated).arg(file("examples/python-grpc/apply_policy.py"));
    let applied = succeed(apply.arg(&server).arg(deployment.pki()));
    let table = String::from_utf8(applied.stdout).unwrap();
    assert_eq!(table.lines().filter(|line| line.contains(" succeeded ")).count(), 2, "{table}");

    let reflected = |method: &str, request: &str| {
        let mut call = python();
        call.arg(file("examples/python-grpc/reflect.py")).arg(&server).arg(deployment.pki());
        String::from_utf8(succeed(call.args([method, request])).stdout).unwrap()
    };
    let listed =
        reflected("muster.enroll.v1.EnrollmentAdminService/ListDevices", r#"{"parent": "tenants/default"}"#);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    for device in listed["devices"].as_array().unwrap() {
        assert!(table.contains(device["name"].as_str().unwrap()), "{device}");
    }
    let policies =
        reflected("muster.policy.v1.PolicyService/ListPolicies", r#"{"parent": "tenants/default"}"#);
    let policies: Value = serde_json::from_str(&policies).unwrap();
    assert_eq!(policies["policies"][0]["displayName"], "Linux baseline");
    let tail = reflected("muster.log.v1.LogService/Tail", r#"{"service": "policy"}"#);
    let assigned = tail.contains("muster.policy.v1.PolicyAssigned");
    assert!(assigned, "{tail}");
}
