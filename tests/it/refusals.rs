//! What is refused, by its code, with nothing lost.

use std::fs;
use std::process::Command;

use crate::deployment::{Deployment, Shape, error_code, eventually, muster, program};

const POLICY: &str = "
apiVersion: muster.io/v1
kind: Policy
metadata:
  name: p
spec:
  profile: linux-antivirus
  settings:
    linux-antivirus/enforcement_level: real_time
";

#[test]
fn policies_are_refused_with_the_reason() {
    let deployment = Deployment::start(Shape::OneProcess);
    let file = deployment.dir.path().join("p.yaml");
    let file = file.to_str().unwrap();
    for (from, to, code) in [
        ("linux-antivirus/enforcement_level", "linux-antivirus/enforcment_level", "SETTING_UNKNOWN"),
        ("real_time", "sometimes", "SETTING_OUT_OF_RANGE"),
        ("real_time", "7", "SETTING_TYPE_MISMATCH"),
        ("profile: linux-antivirus", "profile: linux-nothing", "PROFILE_UNKNOWN"),
        ("kind: Policy", "kind: Polizei", "FILE_INVALID"),
        ("name: p", "name: ''", "FILE_INVALID"),
    ] {
        fs::write(file, POLICY.replace(from, to)).unwrap();
        assert_eq!(deployment.refused(&["policy", "create", "-f", file]), code, "{to}");
    }
    assert_eq!(deployment.muster(&["policy", "list"])["policies"].as_array().unwrap().len(), 0);

    fs::write(file, POLICY).unwrap();
    let policy = deployment.muster(&["policy", "create", "-f", file]);
    assert_eq!(deployment.refused(&["policy", "create", "-f", file]), "NAME_TAKEN");
    let old = policy["etag"].as_str().unwrap();
    fs::write(file, POLICY.replace("real_time", "passive")).unwrap();
    deployment.muster(&["policy", "update", "p", "-f", file, "--etag", old]);
    fs::write(file, POLICY.replace("real_time", "on_demand")).unwrap();
    assert_eq!(deployment.refused(&["policy", "update", "p", "-f", file, "--etag", old]), "ETAG_MISMATCH");
    assert_eq!(deployment.muster(&["policy", "get", "p"])["revision"], 2);
    assert_eq!(deployment.refused(&["policy", "assign", "p", "--group", "none"]), "GROUP_UNKNOWN");
    assert_eq!(deployment.refused(&["device", "get", "none"]), "DEVICE_UNKNOWN");
}

#[test]
fn tokens_are_refused_with_the_reason() {
    let deployment = Deployment::start(Shape::OneProcess);
    let once = |name: &str, token: &str| {
        let folder = deployment.dir.path().join(name);
        let mut command = Command::new(program("muster-agent"));
        command.arg("once").args(["--server", &deployment.enroll_url(), "--token", token]);
        command.arg("--ca").arg(deployment.data_dir("serve").join("pki/ca.pem"));
        command.arg("--root").arg(folder.join("root")).arg("--state-dir").arg(folder.join("state"));
        command.output().unwrap()
    };
    assert_eq!(error_code(&once("a", "mot_nothing")), "TOKEN_UNKNOWN");
    let token = deployment.muster(&["token", "create"]);
    let secret = token["secret"].as_str().unwrap();
    let forged = format!("{}AAAA", &secret[..secret.len() - 4]);
    assert_eq!(error_code(&once("b", &forged)), "TOKEN_UNKNOWN");
    assert!(once("c", secret).status.success());
    assert_eq!(error_code(&once("d", secret)), "TOKEN_USED_UP");
    let token = deployment.muster(&["token", "create"]);
    deployment.muster(&["token", "revoke", token["id"].as_str().unwrap()]);
    assert_eq!(error_code(&once("e", token["secret"].as_str().unwrap())), "TOKEN_REVOKED");
}

#[test]
fn admins_need_the_token_and_the_right_server() {
    let deployment = Deployment::start(Shape::OneProcess);
    let other = Deployment::start(Shape::OneProcess);
    let list = |endpoint: &str, data_dir: &std::path::Path| {
        let mut command = muster();
        command.args(["device", "list", "--endpoint", endpoint]).arg("--data-dir").arg(data_dir);
        error_code(&command.output().unwrap())
    };
    let mixed = deployment.dir.path().join("mixed");
    fs::create_dir_all(mixed.join("pki")).unwrap();
    fs::copy(deployment.data_dir("serve").join("pki/ca.pem"), mixed.join("pki/ca.pem")).unwrap();
    fs::copy(other.data_dir("serve").join("pki/admin.token"), mixed.join("pki/admin.token")).unwrap();
    assert_eq!(list(&deployment.endpoint(), &mixed), "ADMIN_TOKEN_INVALID");
    assert_eq!(list(&other.endpoint(), &deployment.data_dir("serve")), "SERVER_UNTRUSTED");
    assert_eq!(list("https://127.0.0.1:1", &deployment.data_dir("serve")), "SERVER_UNREACHABLE");
}

#[test]
fn two_servers_do_not_share_a_data_folder() {
    let deployment = Deployment::start(Shape::OneProcess);
    let mut command = muster();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let output = command.arg("--data-dir").arg(deployment.data_dir("serve")).output().unwrap();
    assert_eq!(error_code(&output), "DATA_DIR_IN_USE");
    eventually("the first still answers", || {
        deployment.muster(&["device", "list"])["devices"].as_array().map(|_| ())
    });
}

#[test]
fn a_policy_of_another_platform_is_withheld_with_the_reason() {
    let deployment = Deployment::start(Shape::OneProcess);
    let token = deployment.muster(&["token", "create"]);
    let _agent = deployment.agent("device", token["secret"].as_str().unwrap());
    let device = eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        Some(devices["devices"].as_array()?.first()?["id"].as_str()?.to_owned())
    });
    let file = deployment.dir.path().join("p.yaml");
    let windows = POLICY.replace("profile: linux-antivirus", "profile: windows-antivirus").replace(
        "linux-antivirus/enforcement_level: real_time",
        "windows-antivirus/allow_archive_scanning: true",
    );
    fs::write(&file, windows).unwrap();
    deployment.muster(&["group", "create", "--name", "g", "--static"]);
    deployment.muster(&["group", "add", "g", &device]);
    deployment.muster(&["policy", "create", "-f", file.to_str().unwrap()]);
    deployment.muster(&["policy", "assign", "p", "--group", "g"]);
    let effective = deployment.muster(&["device", "effective", &device]);
    let settings = effective["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 1, "{effective}");
    assert_eq!((&settings[0]["in_force"], &settings[0]["why"]), (&false.into(), &"platform".into()));
}
