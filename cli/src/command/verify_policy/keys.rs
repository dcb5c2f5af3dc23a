//! The keys to believe.

use std::path::Path;

use muster_envelope::Trust;
use muster_errors::Fault;
use muster_pki::signing::keys_from_pem;
use muster_proto::enroll::v1::OnboardResponse;
use prost::Message as _;

use super::{read, unreadable};

/// The keys in `keys`, else those that the agent believes in whose folder `file` is, else those of the data folder.
pub(super) fn find(file: &Path, keys: Option<&Path>, data_dir: &Path) -> Result<Trust, Fault> {
    let beside = file.with_file_name("enrollment.pb");
    let path = match keys {
        Some(path) => path.to_owned(),
        None if beside.exists() => beside,
        None => data_dir.join("pki").join("policy-signing.pub"),
    };
    let trust = trust(&read::file(&path)?);
    trust.ok_or_else(|| unreadable(&path, "there are no public Ed25519 keys in PEM, nor those of an agent"))
}

fn trust(bytes: &[u8]) -> Option<Trust> {
    let keys = match std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN")) {
        Some(pem) => keys_from_pem(pem)?,
        None => {
            let response = OnboardResponse::decode(bytes).ok()?;
            let keys = response.policy_keys.iter();
            keys.filter_map(|key| <[u8; 32]>::try_from(&*key.ed25519_public_key).ok()).collect()
        }
    };
    Some(Trust::new(keys)).filter(|trust| !trust.is_empty())
}
