//! The programs of `examples/`, run as their pages say, against real deployments.

mod grpc;
mod shell;
mod siem;
mod webhook;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::deployment::{Deployment, succeed};

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// A tool that `cargo xtask setup` installs.
fn tool(name: &str) -> PathBuf {
    let path = file(".tools/venv/bin").join(name);
    assert!(path.exists(), "{name} is missing: run `cargo xtask setup`, or `cargo xtask test`");
    path
}

/// The interpreter with what the Python examples need.
fn python() -> Command {
    let mut command = Command::new(tool("python"));
    // Nothing is written beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

const PASSWORD: &str = "correct-horse-battery-staple";

/// Four processes on a nats-server with the accounts that consumers are told to have, and a durable consumer.
fn with_consumer(name: &str, pending: &str) -> Deployment {
    let accounts = std::fs::read_to_string(file("examples/nats/accounts.conf")).unwrap();
    let passwords = format!("MUSTER_NATS_PASSWORD: {PASSWORD}\nCONSUMER_NATS_PASSWORD: {PASSWORD}\n");
    let deployment = Deployment::start_as("muster", PASSWORD, &(passwords + &accounts));
    let mut add = python();
    add.arg(file("examples/nats/add_consumer.py")).arg(control_url(&deployment));
    succeed(add.args([name, pending]));
    deployment
}

/// Where the control plane connects.
fn control_url(deployment: &Deployment) -> String {
    deployment.nats_url_of("muster", PASSWORD)
}

/// Where consumers connect.
fn consumer_url(deployment: &Deployment) -> String {
    deployment.nats_url_of("consumer", PASSWORD)
}

/// Makes events of three services, with streams of several events, until told to stop.
fn make_events(deployment: &Deployment, stop: &AtomicBool) {
    let policies = file("examples/policies");
    deployment.muster(&["apply", "-f", policies.to_str().unwrap(), "--yes"]);
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let group = format!("Group {round}");
        deployment.muster(&["group", "create", &group, "--rule", "device.objectId -ne null"]);
        for platform in ["Linux", "Windows"] {
            let rule = format!("device.deviceOSType -eq \"{platform}\"");
            deployment.muster(&["group", "edit-rule", &group, "--rule", &rule]);
        }
        let token = deployment.muster(&["token", "create", "--uses", "1"]);
        deployment.muster(&["token", "revoke", token["id"].as_str().unwrap()]);
    }
}

/// Ids of all events there are, sorted.
fn logged(deployment: &Deployment) -> Vec<String> {
    let mut ids: Vec<_> = deployment.lines(&["events", "tail", "--no-follow"]).iter().map(id).collect();
    ids.sort();
    ids
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap().to_owned()
}
