//! What identity knows: groups, registrations, directory devices, trust anchors.

use muster_proto::identity::v1 as pb;
use serde_json::{Value, json};

use super::{hex, id, time, word};

/// Columns of a group.
pub const GROUP: &[(&str, &str)] = &[
    ("group", "/id"),
    ("name", "/display_name"),
    ("kind", "/kind"),
    ("members", "/member_count"),
    ("unknown", "/processing/unknown_count"),
    ("changed", "/membership_change_time"),
    ("evaluated", "/processing/evaluate_time"),
];

/// Rows of a group shown alone.
pub const GROUP_DETAIL: &[(&str, &str)] = &[
    ("group", "/id"),
    ("name", "/display_name"),
    ("kind", "/kind"),
    ("rule", "/rule"),
    ("members", "/member_count"),
    ("unknown", "/processing/unknown_count"),
    ("changed", "/membership_change_time"),
    ("evaluated", "/processing/evaluate_time"),
    ("follows to", "/processing/position"),
    ("defined", "/create_time"),
    ("etag", "/etag"),
];

/// A group.
#[must_use]
pub fn group(group: &pb::Group) -> Value {
    json!({
        "name": group.name,
        "id": id(&group.name),
        "display_name": group.display_name,
        "kind": word(group.kind().as_str_name(), "GROUP_KIND_"),
        "rule": group.rule,
        "member_count": group.member_count,
        "processing": group.processing.as_ref().map(|processing| json!({
            "evaluate_time": time(processing.evaluate_time),
            "position": processing.position,
            "unknown_count": processing.unknown_count,
        })),
        "create_time": time(group.create_time),
        "membership_change_time": time(group.membership_change_time),
        "etag": group.etag,
    })
}

/// Columns of a registration.
pub const REGISTRATION: &[(&str, &str)] = &[
    ("device", "/id"),
    ("kind", "/kind"),
    ("registration", "/registration"),
    ("join type", "/join_type"),
    ("state", "/state"),
    ("certificate ends", "/not_after"),
];

/// Rows of a registration shown alone.
pub const REGISTRATION_DETAIL: &[(&str, &str)] = &[
    ("device", "/id"),
    ("kind", "/kind"),
    ("registration", "/registration"),
    ("join type", "/join_type"),
    ("state", "/state"),
    ("reason", "/reason"),
    ("certificate", "/certificate_serial"),
    ("ends", "/not_after"),
    ("first trusted", "/create_time"),
    ("changed", "/update_time"),
    ("ordinal", "/ordinal"),
];

/// A device's registration.
#[must_use]
pub fn registration(registration: &pb::Registration) -> Value {
    json!({
        "name": registration.name,
        "id": id(&registration.name),
        "device": registration.device,
        "kind": word(registration.kind().as_str_name(), "REGISTRATION_KIND_"),
        "registration": registration.registration,
        "join_type": registration.join_type,
        "state": word(registration.state().as_str_name(), "REGISTRATION_STATE_"),
        "reason": registration.reason,
        "certificate_serial": registration.certificate_serial,
        "not_after": time(registration.not_after),
        "create_time": time(registration.create_time),
        "update_time": time(registration.update_time),
        "ordinal": registration.ordinal,
    })
}

/// Columns of a directory device.
pub const DIRECTORY_DEVICE: &[(&str, &str)] = &[
    ("directory id", "/directory_id"),
    ("name", "/display_name"),
    ("join type", "/join_type"),
    ("device", "/device_id"),
    ("candidates", "/candidate_ids"),
];

/// A device as a directory knows it.
#[must_use]
pub fn directory_device(device: &pb::DirectoryDevice) -> Value {
    let candidates: Vec<_> = device.candidates.iter().map(|name| id(name)).collect();
    json!({
        "name": device.name,
        "directory_id": device.directory_id,
        "display_name": device.display_name,
        "join_type": device.join_type,
        "hardware_keys": device.hardware_keys.iter().map(|key| json!({
            "kind": word(key.kind().as_str_name(), "HARDWARE_KEY_KIND_"), "digest": hex(&key.digest),
        })).collect::<Vec<_>>(),
        "attributes": device.attributes.iter().collect::<std::collections::BTreeMap<_, _>>(),
        "device": device.device,
        "device_id": id(&device.device),
        "candidates": device.candidates,
        "candidate_ids": candidates.join(" "),
    })
}

/// Columns of a trust anchor.
pub const TRUST_ANCHOR: &[(&str, &str)] = &[
    ("anchor", "/id"),
    ("name", "/display_name"),
    ("kind", "/kind"),
    ("certificates", "/certificate_count"),
    ("ends", "/not_after"),
];

/// An authority whose certificates prove full registrations.
#[must_use]
pub fn trust_anchor(anchor: &pb::TrustAnchor) -> Value {
    json!({
        "name": anchor.name,
        "id": id(&anchor.name),
        "display_name": anchor.display_name,
        "kind": word(anchor.kind().as_str_name(), "TRUST_ANCHOR_KIND_"),
        "certificate_count": anchor.certificates_der.len(),
        "directory_tenant_id": anchor.directory_tenant_id,
        "create_time": time(anchor.create_time),
        "not_after": time(anchor.not_after),
    })
}
