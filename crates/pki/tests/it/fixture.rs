//! A folder of trust and devices in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use muster_pki::{InitOptions, LocalTrust, SpiffeId, csr};
use muster_types::{Clock as _, DeviceId, SystemClock, TenantId, Timestamp};
use rcgen::KeyPair;
use tempfile::TempDir;

pub const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

pub fn mk_trust() -> (TempDir, LocalTrust) {
    let dir = tempfile::tempdir().unwrap();
    let trust = LocalTrust::init(&dir.path().join("pki"), &InitOptions::local(now())).unwrap();
    (dir, trust)
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

pub fn mk_id(number: u128) -> SpiffeId {
    let device = DeviceId::from_uuid(uuid::Uuid::from_u128(number));
    SpiffeId::device(muster_pki::TrustDomain::local(), TenantId::DEFAULT, device)
}

/// A device's certificate in DER, for a week from now.
pub fn issue(trust: &LocalTrust, id: &SpiffeId, key: &KeyPair) -> Vec<u8> {
    let csr = csr::parse(&csr::create(key).unwrap()).unwrap();
    let now = now();
    trust.authority().unwrap().issue_device(&csr, id, now, now.plus(WEEK)).unwrap().certificate_der
}

/// Writes a file into the folder.
pub fn put(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Runs a program and returns what it said, and whether it was content.
pub fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
