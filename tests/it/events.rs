//! The public event stream, followed from the command line on both logs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::deployment::{Deployment, Shape, eventually};

/// How long a follower may take to see what happened, across a restart.
const WAIT: Duration = Duration::from_secs(60);
/// Events the follower reads before it stops.
const LINES: usize = 2;

/// A `muster events tail` that follows, whose first lines are read as they come; then its output is closed.
struct Follower {
    child: Child,
    lines: mpsc::Receiver<Value>,
}

impl Follower {
    fn start(deployment: &Deployment, args: &[&str]) -> Self {
        let mut command = deployment.command(&[&["events", "tail"], args].concat());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().take(LINES) {
                if sender.send(serde_json::from_str(&line.unwrap()).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(WAIT).expect("an event in time")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn tell(deployment: &mut Deployment, process: &'static str) {
    let token = deployment.muster(&["token", "create", "--uses", "1"]);
    let _agent = deployment.agent("device", token["secret"].as_str().unwrap());
    let device = eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        let device = devices["devices"].as_array()?.first()?.clone();
        (device["enrollment_status"] == "succeeded").then_some(device)
    });
    let id = device["id"].as_str().unwrap();
    deployment.muster(&["group", "create", "--name", "First", "--static"]);
    deployment.muster(&["group", "add", "First", id]);

    let of_device = deployment.lines(&["events", "tail", "--no-follow", "--device", id]);
    let kinds: Vec<_> = of_device.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in [
        "muster.enroll.v1.OnboardingTokenUsed",
        "muster.enroll.v1.DeviceOnboarded",
        "muster.identity.v1.TrustEstablished",
        "muster.identity.v1.GroupMembershipChanged",
    ] {
        assert!(kinds.contains(&kind), "{kind} is missing: {kinds:?}");
    }
    assert!(!kinds.contains(&"muster.identity.v1.GroupDefined"), "{kinds:?}");
    let changed = of_device.iter().find(|event| event["data"]["added"]["count"] == 1).unwrap();
    assert_eq!(changed["data"]["added"]["ordinals"], serde_json::json!([0]));
    assert_eq!(changed["specversion"], "1.0");
    let refused = deployment.refused(&["events", "tail", "--no-follow", "--type", "GroupDefind"]);
    assert_eq!(refused, "FILTER_INVALID");

    let timeline = deployment.muster(&["device", "timeline", id]);
    let told: Vec<_> =
        timeline["events"].as_array().unwrap().iter().map(|it| it["sentence"].as_str().unwrap()).collect();
    let at =
        |start: &str| told.iter().position(|it| it.starts_with(start)).unwrap_or_else(|| panic!("{told:?}"));
    assert!(at("onboarded as") < at("trusted by") && at("trusted by") < at("joined group First"), "{told:?}");

    let args = ["--from", "beginning", "--service", "identity", "--type", "GroupDefined"];
    let mut follower = Follower::start(deployment, &args);
    let first = follower.next();
    assert_eq!(first["data"]["displayName"], "First");
    deployment.kill_and_restart(process);
    deployment.muster(&["group", "create", "--name", "Second", "--static"]);
    let second = follower.next();
    assert_eq!(second["data"]["displayName"], "Second", "each once, in order, across a crash");
    // Nobody reads any more: what comes next ends the follower, quietly.
    deployment.muster(&["group", "create", "--name", "Third", "--static"]);
    let ended = eventually("the follower ends", || follower.child.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
}

#[test]
fn events_are_followed_across_a_crash_of_one_process() {
    tell(&mut Deployment::start(Shape::OneProcess), "serve");
}

#[test]
fn events_are_followed_across_a_crash_of_one_of_four_processes() {
    tell(&mut Deployment::start(Shape::FourProcesses), "identity");
}
