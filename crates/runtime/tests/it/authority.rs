//! Where a server takes its authority from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Parser as _;
use muster_pki::local::{RotationStage, RotationStep};
use muster_pki::{InitOptions, LocalTrust};
use muster_runtime::assemble::open_trust;
use muster_runtime::config::ServerConfig;
use muster_types::{Clock as _, Service, SystemClock};

#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    server: ServerConfig,
}

fn config(dir: &Path, further: &[&str]) -> Result<ServerConfig, clap::Error> {
    let dir = dir.display().to_string();
    let arguments = ["server", "--data-dir", &dir].into_iter().chain(further.iter().copied());
    Arguments::try_parse_from(arguments).map(|arguments| arguments.server)
}

#[test]
fn an_authority_from_mounted_files_issues_and_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = dir.path().join("mounted");
    let made = LocalTrust::init(&mounted, &InitOptions::local(SystemClock.now())).unwrap();
    let [certificate, key] = ["ca.pem", "ca.key"].map(|name| mounted.join(name).display().to_string());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    let data = dir.path().join("data");
    let files = ["--ca-certificate-file", &certificate, "--ca-key-file", &key];
    let config = config(&data, &files).unwrap();
    for start in ["first", "second"] {
        let trust = open_trust(&config, &SystemClock).unwrap();
        assert_eq!(trust.ca_certs(), made.ca_certs(), "{start}");
        assert_eq!(trust.authority().unwrap().certificate(), &made.ca_certs()[0]);
        assert!(trust.service_identity(Service::Policy).is_ok());
        assert!(!data.join("pki/ca.key").exists());
    }
}

#[test]
fn one_of_both_files_is_a_mistake() {
    assert!(config(Path::new("data"), &["--ca-key-file", "ca.key"]).is_err());
}

#[test]
fn a_server_s_start_begins_a_rotation_s_waiting_time() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[]).unwrap();
    open_trust(&config, &SystemClock).unwrap();
    let pki = dir.path().join("pki");
    let prepared = LocalTrust::rotate(&pki, RotationStep::Prepare, false, SystemClock.now()).unwrap();
    assert_eq!((prepared.stage, prepared.started_at), (RotationStage::Prepared, None));
    let trust = open_trust(&config, &SystemClock).unwrap();
    assert_eq!(trust.ca_certs().len(), 2);
    assert!(LocalTrust::rotation(&pki).unwrap().started_at.is_some());
}
