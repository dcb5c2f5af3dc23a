use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_envelope::POLICY_PAYLOAD_TYPE;
use muster_pki::{InitOptions, LocalTrust};
use muster_proto::convert;
use muster_proto::enroll::v1::{OnboardResponse, PolicyVerificationKey};
use muster_proto::policy::v1 as pb;
use muster_types::{SettingValue, TenantId, setting};
use prost::Message as _;

use super::*;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// A data folder, and a policy that its key signed.
fn signed() -> (tempfile::TempDir, pb::SignedPolicy) {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let trust = LocalTrust::init(&dir.path().join("pki"), &InitOptions::local(now)).unwrap();
    let id = "linux-antivirus/scan_archives".parse().unwrap();
    let value = SettingValue::Boolean(true);
    let document = pb::PolicyDocument {
        tenant: TenantId::DEFAULT.to_string(),
        device_id: device(ID).unwrap().as_bytes().to_vec(),
        etag: setting::etag([(&id, &value)]).to_vec(),
        version: 7,
        issue_time: Some(convert::timestamp(now)),
        expire_time: Some(convert::timestamp(now.plus(Duration::from_secs(3_600)))),
        settings: vec![(id, value).into()],
        withheld: Vec::new(),
    };
    let payload = document.encode_to_vec();
    let signatures = trust.policy_signer().unwrap().sign(POLICY_PAYLOAD_TYPE, &payload);
    let signatures =
        signatures.into_iter().map(|by| pb::Signature { key_id: by.key_id, signature: by.signature });
    let envelope = pb::SignedPolicy {
        payload_type: POLICY_PAYLOAD_TYPE.into(),
        signatures: signatures.collect(),
        payload: payload.into(),
    };
    (dir, envelope)
}

fn options(dir: &Path, file: &str) -> Options {
    Options {
        file: dir.join(file),
        keys: None,
        device: None,
        at: None,
        data_dir: dir.to_owned(),
        output: Output { format: Format::Json },
    }
}

fn code(options: &Options) -> Option<ErrorCode> {
    run(options).err().map(|fault| fault.code)
}

#[test]
fn what_an_agent_stores_and_what_dsse_writes_is_verified() {
    let (dir, envelope) = signed();
    fs::write(dir.path().join("policy.pb"), envelope.encode_to_vec()).unwrap();
    let json = json!({
        "payloadType": envelope.payload_type,
        "payload": STANDARD.encode(&envelope.payload),
        "signatures": [{
            "keyid": envelope.signatures[0].key_id,
            "sig": STANDARD.encode(&envelope.signatures[0].signature),
        }],
    });
    fs::write(dir.path().join("policy.json"), format!(" {json}")).unwrap();
    for file in ["policy.pb", "policy.json"] {
        assert_eq!(code(&options(dir.path(), file)), None, "{file}");
    }
    // The keys of an agent beside it are believed instead of those of the data folder.
    let key =
        |key: [u8; 32]| PolicyVerificationKey { key_id: String::new(), ed25519_public_key: key.to_vec() };
    let told = OnboardResponse { policy_keys: vec![key([1; 32])], ..OnboardResponse::default() };
    fs::write(dir.path().join("enrollment.pb"), told.encode_to_vec()).unwrap();
    assert_eq!(code(&options(dir.path(), "policy.pb")), Some(ErrorCode::PolicyUnsigned));
    let keys = Some(dir.path().join("pki/policy-signing.pub"));
    assert_eq!(code(&Options { keys, ..options(dir.path(), "policy.pb") }), None);
}

#[test]
fn what_would_not_be_obeyed_is_refused_with_its_code() {
    let (dir, envelope) = signed();
    let bytes = envelope.encode_to_vec();
    fs::write(dir.path().join("policy.pb"), &bytes).unwrap();
    let good = || options(dir.path(), "policy.pb");
    assert_eq!(code(&Options { device: device(ID).ok(), ..good() }), None);
    let other = device("tenants/default/devices/00000000-0000-4000-8000-000000000002").ok();
    assert_eq!(code(&Options { device: other, ..good() }), Some(ErrorCode::PolicyWrongDevice));
    let at = |text: &str| text.parse().ok();
    assert_eq!(code(&Options { at: at("2099-01-01T00:00:00Z"), ..good() }), Some(ErrorCode::PolicyExpired));
    assert_eq!(
        code(&Options { at: at("2020-01-01T00:00:00Z"), ..good() }),
        Some(ErrorCode::PolicyNotYetValid)
    );
    let mut changed = bytes.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    for (name, bytes) in [("cut", &bytes[..bytes.len() / 2]), ("text", b"{}"), ("changed", &changed)] {
        fs::write(dir.path().join(name), bytes).unwrap();
        let refused = code(&options(dir.path(), name)).unwrap();
        assert!(
            [ErrorCode::PolicyMalformed, ErrorCode::PolicyUnsigned].contains(&refused),
            "{name}: {refused}"
        );
    }
    assert_eq!(code(&options(dir.path(), "missing")), Some(ErrorCode::ConfigInvalid));
    assert!(device("laptop").is_err());
}
