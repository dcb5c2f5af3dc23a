//! The contract's messages and the core's words: signed policies and orders in, statuses out.

use std::sync::Arc;

use muster_errors::ErrorCode;
use muster_pki::PolicyVerifier;
use muster_proto::convert::{self, Malformed, required};
use muster_proto::enroll::v1 as enroll;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_types::{DeviceId, Digest, SettingId, SettingValue, TenantId, setting};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::core::message::{
    ApplyState, Authority, Directive, Document, ManagedBy, Offboarding, Order, Outcome, Refusal,
    SettingState, Status, TakenBack,
};

/// The payload type of policies.
pub const PAYLOAD_TYPE: &str = "application/vnd.muster.policy.v1+protobuf";
/// The payload type of offboarding orders.
pub const ORDER_PAYLOAD_TYPE: &str = "application/vnd.muster.offboarding.v1+protobuf";
/// Most settings of one policy.
const SETTINGS_MAX: usize = 10_000;
/// Most signatures of one policy.
const SIGNATURES_MAX: usize = 8;
/// Longest message of a setting, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Reads a signed policy that a trusted key signed. Whether this device obeys it is the core's to say.
///
/// # Errors
/// [`Refusal`] with `POLICY_UNSIGNED` or `POLICY_MALFORMED`.
pub fn document(signed: &policy::SignedPolicy, verifier: &PolicyVerifier) -> Result<Document, Refusal> {
    let payload = verified(signed, PAYLOAD_TYPE, verifier)?;
    let malformed = |message: String| refuse(ErrorCode::PolicyMalformed, message);
    let document = policy::PolicyDocument::decode(payload).map_err(|error| malformed(error.to_string()))?;
    read(document, signed.encode_to_vec().into()).map_err(|error| malformed(error.to_string()))
}

/// Reads an offboarding order that a trusted key signed. Whether this device obeys it is the core's to say.
///
/// # Errors
/// [`Refusal`] with `ORDER_REFUSED`.
pub fn order(signed: &policy::SignedPolicy, verifier: &PolicyVerifier) -> Result<Order, Refusal> {
    let refused =
        |problem: String| refuse(ErrorCode::OrderRefused, format!("the offboarding order: {problem}"));
    let payload =
        verified(signed, ORDER_PAYLOAD_TYPE, verifier).map_err(|refusal| refused(refusal.message))?;
    let order = policy::OffboardingOrder::decode(payload).map_err(|error| refused(error.to_string()))?;
    read_order(order, payload).map_err(|error| refused(error.to_string()))
}

fn refuse(code: ErrorCode, message: String) -> Refusal {
    Refusal { code, message, etag: None }
}

/// The payload, if it is of that type and a trusted key signed it.
fn verified<'a>(
    signed: &'a policy::SignedPolicy,
    expected_type: &str,
    verifier: &PolicyVerifier,
) -> Result<&'a [u8], Refusal> {
    let policy::SignedPolicy { payload_type, payload, signatures } = signed;
    if payload_type != expected_type {
        let message = format!("payload type {payload_type:?} is not {expected_type}");
        return Err(refuse(ErrorCode::PolicyMalformed, message));
    }
    let good = signatures
        .iter()
        .take(SIGNATURES_MAX)
        .any(|by| verifier.verify(payload_type, payload, &by.key_id, &by.signature).is_ok());
    if !good {
        let message = "no signature of a key that this device trusts verifies".to_owned();
        return Err(refuse(ErrorCode::PolicyUnsigned, message));
    }
    Ok(payload)
}

fn read_order(order: policy::OffboardingOrder, payload: &[u8]) -> Result<Order, Malformed> {
    let policy::OffboardingOrder { tenant, device_id, issue_time: _, expire_time, kept_settings } = order;
    if kept_settings.len() > SETTINGS_MAX {
        return Err(Malformed::new("kept_settings", format!("holds more than {SETTINGS_MAX}")));
    }
    Ok(Order {
        tenant: tenant_of(&tenant)?,
        device: device_of(&device_id)?,
        expires_at: convert::moment(required(expire_time, "expire_time")?),
        kept: kept_settings
            .iter()
            .map(|id| id.parse().map_err(|_| Malformed::new("kept_settings", "must be setting ids")))
            .collect::<Result<_, _>>()?,
        digest: Sha256::digest(payload).into(),
    })
}

fn tenant_of(tenant: &str) -> Result<TenantId, Malformed> {
    tenant.parse().map_err(|e: muster_types::name::InvalidTenant| Malformed::new("tenant", e.to_string()))
}

fn device_of(device_id: &[u8]) -> Result<DeviceId, Malformed> {
    DeviceId::from_slice(device_id).map_err(|e| Malformed::new("device_id", e.to_string()))
}

fn read(document: policy::PolicyDocument, signed: Arc<[u8]>) -> Result<Document, Malformed> {
    let policy::PolicyDocument {
        tenant,
        device_id,
        etag,
        version,
        issue_time: _,
        expire_time,
        settings,
        withheld: _,
    } = document;
    if settings.len() > SETTINGS_MAX {
        return Err(Malformed::new("settings", format!("holds more than {SETTINGS_MAX}")));
    }
    let settings: Vec<(SettingId, SettingValue)> = settings
        .into_iter()
        .enumerate()
        .map(|(i, setting)| setting.try_into().map_err(|e: Malformed| e.within(&format!("settings[{i}]"))))
        .collect::<Result<_, _>>()?;
    if !settings.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(Malformed::new("settings", "must be sorted by id, each once"));
    }
    Ok(Document {
        tenant: tenant_of(&tenant)?,
        device: device_of(&device_id)?,
        etag: digest(&etag).ok_or_else(|| Malformed::new("etag", "must be 32 bytes"))?,
        version,
        expires_at: convert::moment(required(expire_time, "expire_time")?),
        settings,
        signed,
    })
}

/// A digest, if it is one.
#[must_use]
pub fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok()
}

/// What a check-in tells the device to do besides applying policy; `None` when this agent does not know it.
#[must_use]
pub fn directive(
    directive: i32,
    code: String,
    signed: Option<&policy::SignedPolicy>,
    verifier: &PolicyVerifier,
) -> Option<Directive> {
    Some(match policy::Directive::try_from(directive).ok()? {
        policy::Directive::Unspecified => Directive::None,
        policy::Directive::StandDown => Directive::StandDown { code },
        policy::Directive::Quarantine => Directive::Quarantine,
        policy::Directive::Decommission => Directive::Decommission(match signed {
            Some(signed) => order(signed, verifier),
            None => Err(refuse(ErrorCode::OrderRefused, "the offboarding order is missing".to_owned())),
        }),
    })
}

/// Who manages the device, as a service says; `None` when it does not say.
#[must_use]
pub fn authority(managed_by: i32, code: String) -> Option<Authority> {
    let managed_by = match enroll::ManagedBy::try_from(managed_by).ok()? {
        enroll::ManagedBy::Unspecified => return None,
        enroll::ManagedBy::Muster => ManagedBy::Muster,
        enroll::ManagedBy::Mdm => ManagedBy::Mdm,
        enroll::ManagedBy::ConfigMgr => ManagedBy::ConfigMgr,
        enroll::ManagedBy::Nobody => ManagedBy::Nobody,
    };
    Some(Authority { managed_by, code })
}

/// The confirmation of an offboarding as it is sent.
#[must_use]
pub fn confirmation(offboarding: &Offboarding) -> enroll::ConfirmOffboardingRequest {
    let Offboarding { order, kept: _, outcome } = offboarding;
    let TakenBack { reverted, kept, failed } = outcome.clone().unwrap_or_default();
    let ids = |ids: Vec<SettingId>| ids.iter().map(ToString::to_string).collect();
    let failure = |(id, reason): &(SettingId, String)| cut(&format!("{id}: {reason}"));
    enroll::ConfirmOffboardingRequest {
        order_digest: order.to_vec(),
        reverted_settings: ids(reverted),
        kept_settings: ids(kept),
        failed_settings: failed.iter().map(failure).collect(),
    }
}

fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

/// The status as it is sent.
#[must_use]
pub fn status(status: &Status) -> report::DeviceStatus {
    let Status { policy, applied_at, settings, refused } = status;
    report::DeviceStatus {
        // Of no policy: nothing is set, and that has an etag too.
        policy_etag: policy.map_or_else(|| setting::etag([]), |(etag, _)| etag).to_vec(),
        policy_version: policy.map(|(_, version)| version).unwrap_or_default(),
        apply_time: applied_at.map(convert::timestamp),
        settings: settings.iter().map(setting_status).collect(),
        refused_reason: refused.map(|code| code.to_string()).unwrap_or_default(),
    }
}

fn setting_status(outcome: &Outcome) -> report::SettingStatus {
    let Outcome { id, desired, observed, state, reason, message } = outcome;
    let state = match state {
        SettingState::Succeeded => report::SettingState::Succeeded,
        SettingState::Error => report::SettingState::Error,
        SettingState::NotApplicable => report::SettingState::NotApplicable,
    };
    report::SettingStatus {
        id: id.to_string(),
        desired: Some(desired.clone().into()),
        observed: observed.clone().map(Into::into),
        state: state.into(),
        reason: reason.map(|code| code.to_string()).unwrap_or_default(),
        message: cut(message),
    }
}

/// Where the device stands, as it is sent.
#[must_use]
pub const fn apply_state(state: ApplyState) -> policy::ApplyState {
    match state {
        ApplyState::None => policy::ApplyState::Unspecified,
        ApplyState::Applying => policy::ApplyState::Applying,
        ApplyState::Applied => policy::ApplyState::Applied,
        ApplyState::Failed => policy::ApplyState::Failed,
        ApplyState::Refused => policy::ApplyState::Refused,
    }
}

#[cfg(test)]
mod tests {
    use muster_pki::PolicySigner;
    use muster_types::Timestamp;

    use super::*;

    fn signer() -> PolicySigner {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        PolicySigner::from_pkcs8(key.serialized_der()).unwrap()
    }

    fn signed(by: &PolicySigner, ids: &[&str]) -> policy::SignedPolicy {
        let value = Some(SettingValue::Integer(1).into());
        let document = policy::PolicyDocument {
            tenant: "default".into(),
            device_id: vec![1; 16],
            etag: vec![2; 32],
            version: 3,
            issue_time: None,
            expire_time: Some(convert::timestamp(Timestamp::from_micros(9))),
            settings: ids
                .iter()
                .map(|id| policy::Setting { id: (*id).into(), value: value.clone() })
                .collect(),
            ..Default::default()
        };
        let payload = document.encode_to_vec();
        let signature = by.sign(PAYLOAD_TYPE, &payload);
        policy::SignedPolicy {
            payload_type: PAYLOAD_TYPE.into(),
            payload: payload.into(),
            signatures: vec![policy::Signature { key_id: by.key_id().into(), signature }],
        }
    }

    #[test]
    fn only_what_a_trusted_key_signed_is_read() {
        let signer = signer();
        let verifier = PolicyVerifier::new([signer.public_key()]);
        let code = |signed: &policy::SignedPolicy| {
            document(signed, &verifier).map(|d| d.version).map_err(|r| r.code)
        };
        let good = signed(&signer, &["p/a", "p/b"]);
        assert_eq!(code(&good), Ok(3));
        assert_eq!(code(&signed(&self::signer(), &["p/a"])), Err(ErrorCode::PolicyUnsigned));
        let mut changed = good.clone();
        changed.payload = [&good.payload[..], &[0]].concat().into();
        assert_eq!(code(&changed), Err(ErrorCode::PolicyUnsigned));
        let unsigned = policy::SignedPolicy { signatures: vec![], ..good.clone() };
        assert_eq!(code(&unsigned), Err(ErrorCode::PolicyUnsigned));
        let other = policy::SignedPolicy { payload_type: "text/plain".into(), ..good };
        assert_eq!(code(&other), Err(ErrorCode::PolicyMalformed));
        for ids in [&["p/b", "p/a"][..], &["p/a", "p/a"], &["P"]] {
            assert_eq!(code(&signed(&signer, ids)), Err(ErrorCode::PolicyMalformed), "{ids:?}");
        }
    }
    #[test]
    fn an_order_is_read_only_as_what_it_is() {
        let signer = signer();
        let verifier = PolicyVerifier::new([signer.public_key()]);
        let order = policy::OffboardingOrder {
            tenant: "default".into(),
            device_id: vec![1; 16],
            issue_time: None,
            expire_time: Some(convert::timestamp(Timestamp::from_micros(9))),
            kept_settings: vec!["p/a".into()],
        };
        let sealed = |payload_type: &str, payload: Vec<u8>| policy::SignedPolicy {
            payload_type: payload_type.into(),
            signatures: vec![policy::Signature {
                key_id: signer.key_id().into(),
                signature: signer.sign(payload_type, &payload),
            }],
            payload: payload.into(),
        };
        let good = sealed(ORDER_PAYLOAD_TYPE, order.encode_to_vec());
        let read = super::order(&good, &verifier).unwrap();
        assert_eq!((read.expires_at, read.kept.len()), (Timestamp::from_micros(9), 1));
        assert_eq!(read.digest, <Digest>::from(Sha256::digest(&good.payload)));
        // A policy is no order, nor the other way round, whatever the bytes say.
        assert!(document(&good, &verifier).is_err());
        let bad = [
            sealed(PAYLOAD_TYPE, order.encode_to_vec()),
            sealed(
                ORDER_PAYLOAD_TYPE,
                policy::OffboardingOrder { expire_time: None, ..order }.encode_to_vec(),
            ),
            policy::SignedPolicy { signatures: Vec::new(), ..good },
        ];
        for bad in bad {
            assert_eq!(super::order(&bad, &verifier).unwrap_err().code, ErrorCode::OrderRefused);
        }
    }
}
