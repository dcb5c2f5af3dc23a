//! The contract's messages and the core's words: signed policies in, statuses out.

use std::sync::Arc;

use muster_errors::ErrorCode;
use muster_pki::PolicyVerifier;
use muster_proto::convert::{self, Malformed, required};
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_types::{DeviceId, Digest, SettingId, SettingValue};
use prost::Message as _;

use crate::core::message::{ApplyState, Document, Outcome, Refusal, SettingState, Status};

/// The only payload type that is understood.
pub const PAYLOAD_TYPE: &str = "application/vnd.muster.policy.v1+protobuf";
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
    let refuse = |code, message: String| Refusal { code, message, etag: None };
    let policy::SignedPolicy { payload_type, payload, signatures } = signed;
    if payload_type != PAYLOAD_TYPE {
        let message = format!("payload type {payload_type:?} is not {PAYLOAD_TYPE}");
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
    let malformed = |message: String| refuse(ErrorCode::PolicyMalformed, message);
    let document =
        policy::PolicyDocument::decode(&**payload).map_err(|error| malformed(error.to_string()))?;
    read(document, signed.encode_to_vec().into()).map_err(|error| malformed(error.to_string()))
}

fn read(document: policy::PolicyDocument, signed: Arc<[u8]>) -> Result<Document, Malformed> {
    let policy::PolicyDocument { tenant, device_id, etag, version, issue_time: _, expire_time, settings } =
        document;
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
        tenant: tenant
            .parse()
            .map_err(|e: muster_types::name::InvalidTenant| Malformed::new("tenant", e.to_string()))?,
        device: DeviceId::from_slice(&device_id).map_err(|e| Malformed::new("device_id", e.to_string()))?,
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

/// The status as it is sent.
#[must_use]
pub fn status(status: &Status) -> report::DeviceStatus {
    let Status { policy, applied_at, settings, refused } = status;
    report::DeviceStatus {
        policy_etag: policy.map(|(etag, _)| etag.to_vec()).unwrap_or_default(),
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
        message: message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned(),
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
}
