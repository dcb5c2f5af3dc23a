//! Signed policies and orders: nothing is obeyed that was not signed.

use std::sync::LazyLock;

use muster_envelope::{
    Document, Expected, ORDER_PAYLOAD_TYPE, POLICY_PAYLOAD_TYPE, Trust, decode, verify, verify_order,
};
use muster_pki::PolicySigner;
use muster_proto::convert::timestamp;
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, SettingId, SettingValue, TenantId, WithheldReason, setting};
use prost::Message as _;

use super::{NOW, YEAR, mk_key};

static SIGNERS: LazyLock<[PolicySigner; 2]> = LazyLock::new(|| {
    [1, 2].map(|number| PolicySigner::from_pkcs8(mk_key(number).serialized_der()).expect("a key of Ed25519"))
});

/// Believes the first key, and not the second.
static TRUST: LazyLock<Trust> = LazyLock::new(|| SIGNERS[0].trust());

/// What the first key has signed.
static SIGNED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| vec![policy(), order()]);

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(envelope) = decode(bytes) else { return false };
    let device = DeviceId::from_slice(&[1; 16]).expect("16 bytes are an id");
    let expected =
        Expected { tenant: TenantId::DEFAULT, device, last: Some((7, [0; 32])), now: NOW, skew: YEAR };
    let policy = verify(&envelope, &TRUST, &expected);
    let order = verify_order(&envelope, &TRUST, &expected);
    let obeyed = policy.is_ok() || order.is_ok();
    assert!(!obeyed || SIGNED.contains(&envelope.payload.to_vec()), "obeyed, and nobody signed it");
    if let Ok(document) = policy {
        let again = Document::open(&decode(&document.signed).expect("it was one"), &TRUST);
        assert_eq!(again.as_ref(), Ok(&document), "a policy that changes by being kept");
    }
    obeyed
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let [first, second] = &*SIGNERS;
    vec![
        sealed(POLICY_PAYLOAD_TYPE, policy(), &[first]),
        sealed(POLICY_PAYLOAD_TYPE, policy(), &[second, first]),
        sealed(ORDER_PAYLOAD_TYPE, order(), &[first]),
        sealed(POLICY_PAYLOAD_TYPE, policy(), &[second]),
    ]
}

fn sealed(payload_type: &str, payload: Vec<u8>, by: &[&PolicySigner]) -> Vec<u8> {
    let signatures = by.iter().flat_map(|signer| signer.sign(payload_type, &payload));
    let signatures = signatures.map(|by| pb::Signature { key_id: by.key_id, signature: by.signature });
    pb::SignedPolicy {
        payload_type: payload_type.to_owned(),
        signatures: signatures.collect(),
        payload: payload.into(),
    }
    .encode_to_vec()
}

fn policy() -> Vec<u8> {
    let id = |text: &str| -> SettingId { text.parse().expect("an id") };
    let settings = [
        (id("linux-antivirus/enforcement_level"), SettingValue::Text("real_time".to_owned())),
        (id("linux-antivirus/scan_archives"), SettingValue::Boolean(true)),
    ];
    let withheld = id("linux-edr/group_ids");
    let etag = setting::etag_of_result(
        settings.iter().map(|(id, value)| (id, value)),
        [(&withheld, WithheldReason::Conflict)],
    );
    pb::PolicyDocument {
        tenant: TenantId::DEFAULT.to_string(),
        device_id: vec![1; 16],
        etag: etag.to_vec(),
        version: 8,
        issue_time: Some(timestamp(NOW)),
        expire_time: Some(timestamp(NOW.plus(YEAR))),
        settings: settings.into_iter().map(Into::into).collect(),
        withheld: vec![pb::Withheld {
            id: withheld.to_string(),
            reason: pb::WithheldReason::Conflict.into(),
        }],
    }
    .encode_to_vec()
}

fn order() -> Vec<u8> {
    pb::OffboardingOrder {
        tenant: TenantId::DEFAULT.to_string(),
        device_id: vec![1; 16],
        issue_time: Some(timestamp(NOW)),
        expire_time: Some(timestamp(NOW.plus(YEAR))),
        kept_settings: vec!["linux-antivirus/scan_archives".to_owned()],
    }
    .encode_to_vec()
}
