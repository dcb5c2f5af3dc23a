//! The whole log verified, and a view that does not hold what the log gives: found and named, whatever the deployment.

use std::path::Path;

use muster_eventlog::kv::{Batch, Kv, SledKv};
use muster_eventlog::project::ViewDigest;
use serde_json::{Value, json};

use crate::deployment::{Deployment, Shape, error_code, eventually};

/// The view that is tampered with, and where it is.
const VIEW: &str = "tokens";
const SERVICE: &str = "enroll";

fn tell(deployment: &mut Deployment, process: &'static str) {
    let token = deployment.muster(&["token", "create", "--uses", "1"]);
    deployment.muster(&["token", "create", "--uses", "2"]);
    let _agent = deployment.agent("device", token["secret"].as_str().unwrap());
    eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        (devices["devices"][0]["enrollment_status"] == "succeeded").then_some(())
    });
    let told = deployment.muster(&["log", "verify"]);
    let views = told["views"].as_array().unwrap();
    for service in ["enroll", "identity", "policy", "report"] {
        let of_it: Vec<_> = views.iter().filter(|view| view["service"] == service).collect();
        assert!(!of_it.is_empty(), "{service} has views: {told}");
        assert!(of_it.iter().all(|view| view["verdict"] == "same"), "{told}");
    }
    let tokens = found(&told);
    assert_eq!((&tokens["rows"], &tokens["rebuilt_rows"]), (&json!(2), &json!(2)));

    assert!(deployment.terminate(process).success());
    lose_last_row(&deployment.data_dir(process).join("views").join(SERVICE));
    deployment.restart(process);
    let output = deployment.tried_for_output(&["log", "verify"]);
    assert_eq!((output.status.code(), error_code(&output)), (Some(1), "VIEW_MISMATCH".to_owned()));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tokens = found(&told);
    assert_eq!((&tokens["verdict"], &tokens["differing_rows"]), (&json!("differs"), &json!(1)));
    assert_eq!(tokens["differing"], json!(["0200000001 is missing"]));
    let wrong = told["views"].as_array().unwrap().iter().filter(|view| view["verdict"] != "same");
    assert_eq!(wrong.count(), 1, "{told}");
    assert_eq!(deployment.metric(process, "muster_view_mismatch{"), 1);
}

fn found(told: &Value) -> Value {
    let name = format!("{SERVICE}/{VIEW}");
    let views = told["views"].as_array().unwrap();
    views.iter().find(|view| view["name"] == name).unwrap_or_else(|| panic!("{told}")).clone()
}

/// Takes the last row of a view out of its store, and out of the digest that goes with the checkpoint: a loss that the
/// next start cannot notice.
fn lose_last_row(store: &Path) {
    let kv = SledKv::open(store).unwrap();
    let (prefix, mut last) = ([VIEW.as_bytes(), b"\0r"].concat(), None);
    kv.scan(&prefix, &mut |key, value| last = Some((key.to_vec(), value.to_vec()))).unwrap();
    let (key, value) = last.expect("the view has rows");
    let checkpoint_key = [VIEW.as_bytes(), b"\0c"].concat();
    let mut checkpoint = kv.get(&checkpoint_key).unwrap().expect("it was stopped in good order");
    let (_, end) = checkpoint.split_last_chunk_mut::<16>().unwrap();
    let mut digest = ViewDigest::from_bytes(*end);
    digest.remove(&key[prefix.len()..], &value);
    *end = digest.to_bytes();
    kv.apply(Batch { puts: vec![(checkpoint_key, checkpoint)], deletes: vec![key] }).unwrap();
    kv.flush().unwrap();
}

#[test]
fn a_view_that_lost_a_row_is_named_by_one_process() {
    tell(&mut Deployment::start(Shape::OneProcess), "serve");
}

#[test]
fn a_view_that_lost_a_row_is_named_by_four_processes() {
    tell(&mut Deployment::start(Shape::FourProcesses), "enroll");
}
