//! `muster quickstart`, as a new user types it.

use std::fs;
use std::path::Path;
use std::process::Command;

use muster_testkit::ports::Port;
use serde_json::Value;

use crate::deployment::{Process, error_code, eventually, muster, succeed};

fn quickstart(dir: &Path) -> Command {
    let mut command = muster();
    command.args(["quickstart", "--exit", "-o", "json", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir);
    command
}

fn run(dir: &Path) -> Value {
    serde_json::from_slice(&succeed(&mut quickstart(dir)).stdout).unwrap()
}

#[test]
fn the_main_job_ends_with_what_the_device_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = run(&data);
    let id = first["device"]["id"].as_str().unwrap();
    assert_eq!(first["device"]["spiffe_id"], format!("spiffe://muster.local/tenant/default/device/{id}"));
    assert_eq!(first["device"]["managed_by"], "muster");
    assert_eq!(first["device"]["enrollment_status"], "succeeded");
    let settings = first["settings"].as_array().unwrap();
    assert!(settings.len() >= 10, "{} settings", settings.len());
    for setting in settings {
        assert_eq!(
            (&setting["state"], &setting["observed"]),
            (&"succeeded".into(), &setting["desired"]),
            "{setting}"
        );
    }
    let types: Vec<_> =
        first["events"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    for expected in ["DeviceOnboarded", "TrustEstablished", "PolicyAssigned", "StatusReported"] {
        assert!(types.contains(&expected), "{expected} is not among {types:?}");
    }
    for timing in ["ready", "onboard", "assign_to_applied", "assign_to_reported"] {
        assert!(first["timings_ms"][timing].as_f64().unwrap() > 0.0, "{timing}");
    }
    let managed = data.join("device-root/etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
    let written: Value = serde_json::from_str(&fs::read_to_string(&managed).unwrap()).unwrap();
    assert!(written["antivirusEngine"].is_object());

    let second = run(&data);
    assert_eq!(second["device"], first["device"], "the same fleet");
    assert_eq!(second["policy"], first["policy"], "the same policy");
    assert_eq!(second["settings"], first["settings"]);
    assert_eq!(happened(&second), happened(&first), "nothing changed, nothing happened");

    fs::remove_dir_all(data.join("views")).unwrap();
    assert_eq!(happened(&run(&data)), happened(&first), "views are rebuilt from the log");
}

/// The events of a run, but for those that tell of many devices together: that is done after a while, or when a run ends.
fn happened(run: &Value) -> Vec<&Value> {
    let together = ["DevicesSeen", "EffectivePoliciesChanged", "PoliciesDelivered"];
    let alone = |event: &&Value| together.iter().all(|kind| event["type"] != **kind);
    run["events"].as_array().unwrap().iter().filter(alone).collect()
}

#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    run(&data);
    let mode = |file: &str| fs::metadata(data.join(file)).unwrap().permissions().mode() & 0o777;
    for file in ["pki/ca.key", "pki/admin.token", "pki/policy-signing.key", "pki/enroll.key"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[test]
fn a_taken_port_is_told_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = muster();
    command.args(["quickstart", "--exit", "--listen", &taken.local_addr().unwrap().to_string()]);
    let output = command.arg("--data-dir").arg(dir.path().join("data")).output().unwrap();
    assert_eq!(error_code(&output), "PORT_IN_USE");
    assert!(!dir.path().join("data").exists());
}

#[test]
fn a_data_folder_that_cannot_be_used_is_told_by_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(error_code(&quickstart(&file).output().unwrap()), "DATA_DIR_READ_ONLY");
    let nowhere = muster()
        .args([
            "quickstart",
            "--exit",
            "--listen",
            "127.0.0.1:0",
            "--log",
            &format!("nats://127.0.0.1:{}", Port::free().unwrap()),
        ])
        .arg("--data-dir")
        .arg(dir.path().join("nats"))
        .output()
        .unwrap();
    assert_eq!(error_code(&nowhere), "NATS_UNREACHABLE");
}

#[test]
fn a_data_folder_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    run(&data);
    let format = data.join("log/FORMAT");
    let current = fs::read_to_string(&format).unwrap();
    fs::write(&format, "muster-log 99\n").unwrap();
    assert_eq!(error_code(&quickstart(&data).output().unwrap()), "DATA_DIR_TOO_NEW");
    fs::write(&format, current).unwrap();
    run(&data);
}

#[test]
fn damaged_views_cost_nothing_but_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = run(&data);
    for service in ["enroll", "identity", "policy", "report"] {
        for entry in fs::read_dir(data.join("views").join(service)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let length = fs::metadata(&path).unwrap().len();
                fs::File::options().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
            }
        }
    }
    let second = run(&data);
    assert_eq!((&second["settings"], happened(&second)), (&first["settings"], happened(&first)));
}

#[test]
fn staying_up_ends_cleanly_when_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    let mut command = muster();
    command.args(["quickstart", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(&data);
    let mut process = Process::start(command, &log);
    eventually("it stays up", || {
        process.assert_running();
        fs::read_to_string(&log).unwrap().contains("Staying up").then_some(())
    });
    assert!(process.end_by("INT").success());
    assert_eq!(run(&data)["device"]["enrollment_status"], "succeeded", "nothing was lost");
}
