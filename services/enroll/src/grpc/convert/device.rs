//! A device of the inventory, as the contract shows it.

use muster_proto::convert::timestamp;
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::RegistrationKind;
use muster_types::enrollment::Severity;
use muster_types::{EnrollmentCode, ResourceName, TenantId, Timestamp};

use super::status;
use crate::domain::enrollment::Onboarded;
use crate::projection::devices::{Device, Rare, Trust};
use crate::store::encode_trouble;

/// Labels of the behaviour up to 2023-09-25: managed by this channel, and registered by it.
const LABELS: (&str, &str) = ("MDEManaged", "MDEJoined");

/// Shows a device; with the old labels when its tenant asks for them.
pub(in crate::grpc) fn device(device: Device, legacy_labels: bool) -> pb::Device {
    let Device {
        tenant,
        id,
        facts,
        facts_digest,
        status,
        code,
        message,
        managed_by,
        authority_change_time,
        spiffe_id,
        onboard_time,
        facts_change_time,
        device_type,
        last_seen,
        tags,
        trust: Trust { ordinal: _, kind, join_type },
        rare: Rare { offboarding_expire_time, troubles, merged_into },
    } = device;
    let last_seen = Timestamp::from_seconds_and_nanos(last_seen.into(), 0);
    pb::Device {
        name: ResourceName::Device(tenant, id).to_string(),
        facts: Some(facts),
        managed_by: managed_by.into(),
        enrollment_status: status.into(),
        enrollment_code: code.as_str().to_owned(),
        spiffe_id: spiffe_id.into(),
        onboard_time: Some(timestamp(onboard_time)),
        facts_change_time: Some(timestamp(facts_change_time)),
        facts_digest: facts_digest.to_vec(),
        enrollment_message: if message.is_empty() { code.title().to_owned() } else { message.into() },
        enrollment_action: action(code).to_owned(),
        defender_code: code.shown_defender_code().into(),
        device_type: device_type.into(),
        management_type: management_type(managed_by).to_owned(),
        join_type: if kind == RegistrationKind::Full { join_type.into() } else { String::new() },
        system_labels: if legacy_labels { system_labels(managed_by, kind) } else { Vec::new() },
        registration_kind: kind.into(),
        tags: tags.into_iter().map(String::from).collect(),
        last_seen_time: Some(timestamp(last_seen)),
        authority_change_time: Some(timestamp(authority_change_time)),
        offboarding_expire_time: offboarding_expire_time.map(timestamp),
        troubles: troubles.into_iter().map(encode_trouble).collect(),
        merged_into: merged_into
            .map(|into| ResourceName::Device(tenant, into).to_string())
            .unwrap_or_default(),
    }
}

/// A device as a command leaves it, over what the view shows.
pub(in crate::grpc) fn over(device: pb::Device, tenant: TenantId, now: &Onboarded) -> pb::Device {
    let Onboarded {
        outcome, code, message, authority, spiffe_id, tags, order_expire_time, merged_into, ..
    } = now;
    let managed_by = pb::ManagedBy::from(*authority);
    pb::Device {
        managed_by: managed_by.into(),
        management_type: management_type(managed_by).to_owned(),
        enrollment_status: status(*outcome).into(),
        enrollment_code: code.as_str().to_owned(),
        enrollment_message: if message.is_empty() { code.title().to_owned() } else { message.to_string() },
        enrollment_action: action(*code).to_owned(),
        defender_code: code.shown_defender_code().into(),
        spiffe_id: spiffe_id.clone().unwrap_or_default().into(),
        tags: tags.iter().map(ToString::to_string).collect(),
        offboarding_expire_time: order_expire_time.map(timestamp),
        merged_into: merged_into
            .map(|into| ResourceName::Device(tenant, into).to_string())
            .unwrap_or_default(),
        ..device
    }
}

const fn action(code: EnrollmentCode) -> &'static str {
    match code.severity() {
        Severity::Success => "",
        Severity::Warning | Severity::Info | Severity::Error => code.action(),
    }
}

const fn management_type(managed_by: pb::ManagedBy) -> &'static str {
    match managed_by {
        pb::ManagedBy::Muster => "MicrosoftSense",
        pb::ManagedBy::Mdm => "MDM",
        pb::ManagedBy::Unspecified | pb::ManagedBy::ConfigMgr | pb::ManagedBy::Nobody => "",
    }
}

fn system_labels(managed_by: pb::ManagedBy, kind: RegistrationKind) -> Vec<String> {
    let managed = (managed_by == pb::ManagedBy::Muster).then_some(LABELS.0);
    let joined = (kind == RegistrationKind::Synthetic).then_some(LABELS.1);
    managed.into_iter().chain(joined).map(str::to_owned).collect()
}

/// An enrollment code with its meaning.
pub(in crate::grpc) fn enrollment_code(code: EnrollmentCode) -> pb::EnrollmentCode {
    pb::EnrollmentCode {
        code: code.as_str().to_owned(),
        defender_codes: code.defender_codes().iter().copied().map(u32::from).collect(),
        title: code.title().to_owned(),
        cause: code.cause().to_owned(),
        action: code.action().to_owned(),
        severity: match code.severity() {
            Severity::Success => pb::EnrollmentSeverity::Success,
            Severity::Warning => pb::EnrollmentSeverity::Warning,
            Severity::Info => pb::EnrollmentSeverity::Info,
            Severity::Error => pb::EnrollmentSeverity::Error,
        }
        .into(),
    }
}
