//! The contract's messages and the core's words.

use muster_envelope::Trust;
use muster_errors::ErrorCode;
use muster_proto::convert;
use muster_proto::enroll::v1 as enroll;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_types::{Digest, SettingId, setting};

use crate::core::message::{
    ApplyState, Authority, Directive, ManagedBy, Offboarding, Order, Outcome, Refusal, SettingState, Status,
    TakenBack,
};

/// Longest message of a setting, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

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
    trust: &Trust,
) -> Option<Directive> {
    Some(match policy::Directive::try_from(directive).ok()? {
        policy::Directive::Unspecified => Directive::None,
        policy::Directive::StandDown => Directive::StandDown { code },
        policy::Directive::Quarantine => Directive::Quarantine,
        policy::Directive::Decommission => Directive::Decommission(match signed {
            Some(signed) => Order::open(signed, trust),
            None => Err(Refusal::new(ErrorCode::OrderRefused, "the offboarding order is missing")),
        }),
    })
}

/// Keys that sign policies, as a service tells them.
#[must_use]
pub fn trust(keys: &[enroll::PolicyVerificationKey]) -> Trust {
    Trust::new(keys.iter().filter_map(|key| digest(&key.ed25519_public_key)))
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
    let Outcome { id, desired, observed, state, reason, message, corrections } = outcome;
    let state = match state {
        SettingState::Succeeded => report::SettingState::Succeeded,
        SettingState::Error => report::SettingState::Error,
        SettingState::NotApplicable => report::SettingState::NotApplicable,
        SettingState::Conflict => report::SettingState::Conflict,
        SettingState::Waived => report::SettingState::Waived,
        SettingState::TamperProtected => report::SettingState::TamperProtected,
    };
    report::SettingStatus {
        id: id.to_string(),
        desired: desired.clone().map(Into::into),
        observed: observed.clone().map(Into::into),
        state: state.into(),
        reason: reason.map(|code| code.to_string()).unwrap_or_default(),
        message: cut(message),
        corrections: *corrections,
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
