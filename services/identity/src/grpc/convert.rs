//! The contract's messages ↔ what commands and queries take and give.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::ExecuteError;
use muster_pki::{Csr, csr};
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_runtime::request::{self, Page, numbered_page_token, page_token};
use muster_types::hardware::HARDWARE_KEYS_MAX;
use muster_types::{DeviceId, Digest, EventId, GroupId, HardwareKey, RequestId, ResourceName, TenantId};
use uuid::Uuid;

use crate::commands::{ChangeRule, DefineGroup, ModifyMembers};
use crate::domain::group::Defined;
use crate::domain::registration::{self, Kind, Registered, Removal, Standing};
use crate::domain::rule::{Attribute, Explained, Rule};
use crate::error::Failure;
use crate::process_manager::membership::Ages;
use crate::projection::groups::GroupRow;
use crate::projection::registrations::{Row, Which};
use crate::queries::Rows;
use crate::queries::preview::{DeviceExplained, Preview, Unknown};
use crate::wire;

/// Most devices that one change of members may name.
const MEMBERS_CHANGED_MAX: usize = 10_000;

/// A device that enroll let in.
pub(super) struct TrustWish {
    pub(super) device: DeviceId,
    pub(super) csr: Csr,
    pub(super) csr_digest: Digest,
    pub(super) proof: Option<pb::RegistrationProof>,
    pub(super) hardware_keys: Vec<HardwareKey>,
    pub(super) correlation_id: Uuid,
    pub(super) causation_id: EventId,
}

pub(super) fn establish_trust(
    served: TenantId,
    request: pb::EstablishTrustRequest,
) -> Result<TrustWish, Fault> {
    let pb::EstablishTrustRequest {
        tenant,
        device_id,
        csr_der,
        correlation_id,
        causation_id,
        proof,
        hardware_keys: keys,
    } = request;
    is_served(served, &tenant)?;
    Ok(TrustWish {
        device: DeviceId::from_uuid(uuid(&device_id, "device_id")?),
        csr: signing_request(&csr_der)?,
        csr_digest: csr::sha256(&csr_der),
        proof,
        hardware_keys: hardware_keys(&keys)?,
        correlation_id: uuid(&correlation_id, "correlation_id")?,
        causation_id: EventId::from_uuid(uuid(&causation_id, "causation_id")?),
    })
}

pub(super) fn is_served(served: TenantId, tenant: &str) -> Result<(), Fault> {
    if tenant == served.as_str() {
        return Ok(());
    }
    Err(Fault::invalid_field("tenant", format!("this server serves the tenant {served}")))
}

/// A certificate signing request.
pub(super) fn signing_request(der: &[u8]) -> Result<Csr, Fault> {
    csr::parse(der).map_err(|error| {
        let message = error.to_string();
        Fault::new(ErrorCode::CsrMalformed, message.clone()).with_field("csr_der", message)
    })
}

pub(super) fn digest(bytes: &[u8], field: &str) -> Result<Digest, Fault> {
    let wrong = |_| Fault::invalid_field(field, format!("expected 32 bytes, found {}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

pub(super) fn hardware_keys(keys: &[pb::HardwareKey]) -> Result<Vec<HardwareKey>, Fault> {
    if keys.len() > HARDWARE_KEYS_MAX {
        let problem = format!("{} keys, the limit is {HARDWARE_KEYS_MAX}", keys.len());
        return Err(Fault::invalid_field("hardware_keys", problem));
    }
    wire::hardware_keys(keys).map_err(|problem| Fault::invalid_field("hardware_keys", problem))
}

fn uuid(bytes: &[u8], field: &str) -> Result<Uuid, Fault> {
    let wrong = |_| Fault::invalid_field(field, format!("expected 16 bytes, found {}", bytes.len()));
    Uuid::from_slice(bytes).map_err(wrong)
}

/// A change of a group's members.
pub(super) struct MembersWish {
    pub(super) modify: ModifyMembers,
    pub(super) request: RequestId,
    pub(super) validate_only: bool,
}

pub(super) fn change_of_members(
    served: TenantId,
    request: pb::ModifyGroupMembersRequest,
) -> Result<MembersWish, Fault> {
    let pb::ModifyGroupMembersRequest {
        name,
        add_devices,
        remove_devices,
        etag,
        request_id: id,
        validate_only,
    } = request;
    let found = add_devices.len() + remove_devices.len();
    if found > MEMBERS_CHANGED_MAX {
        let problem =
            format!("names {found} devices with remove_devices, the limit is {MEMBERS_CHANGED_MAX}");
        return Err(Fault::invalid_field("add_devices", problem));
    }
    Ok(MembersWish {
        modify: ModifyMembers {
            tenant: served,
            group: request::group(served, "name", &name)?,
            add: device_names(served, "add_devices", &add_devices)?,
            remove: device_names(served, "remove_devices", &remove_devices)?,
            expected: revision(&etag)?,
        },
        request: request::id(&id)?,
        validate_only,
    })
}

fn device_names(served: TenantId, field: &str, names: &[String]) -> Result<Vec<DeviceId>, Fault> {
    let device = |(i, text): (usize, &String)| {
        if matches!(text.parse(), Ok(ResourceName::Group(..))) {
            let message = format!("{field}[{i}]: {text} is a group, and groups are in no group");
            return Err(Fault::new(ErrorCode::GroupNested, message).with("group", text));
        }
        request::device(served, &format!("{field}[{i}]"), text)
    };
    names.iter().enumerate().map(device).collect()
}

/// The failure of a change, with the name of the device it names.
pub(super) fn names_the_device(tenant: TenantId, failure: Failure) -> Fault {
    match failure {
        Failure::Device(device) => unknown_device(tenant, device),
        Failure::Unseen(_) | Failure::Log(_) => failure.into(),
    }
}

pub(super) fn unknown_device(tenant: TenantId, device: DeviceId) -> Fault {
    let name = ResourceName::Device(tenant, device);
    Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {name}")).with("device", name)
}

/// The refusal of a change of a registration, with the name of the device.
pub(super) fn names_the_registration(
    tenant: TenantId,
    device: DeviceId,
    error: ExecuteError<registration::Error>,
) -> Fault {
    Fault::from(error).with("device", ResourceName::Device(tenant, device))
}

/// Which registrations a list is of.
pub(super) fn which_registrations(request: &pb::ListRegistrationsRequest) -> (Option<Kind>, Which) {
    let which = match request.state() {
        pb::RegistrationState::Unspecified => Which::Present,
        pb::RegistrationState::Active => Which::Active,
        pb::RegistrationState::Quarantined => Which::Quarantined,
        pb::RegistrationState::Revoked => Which::Revoked,
        pb::RegistrationState::Removed => Which::Removed,
    };
    (request.kind().try_into().ok(), which)
}

pub(super) fn registrations(tenant: TenantId, rows: Rows<(u32, Row), u32>) -> pb::ListRegistrationsResponse {
    let Rows { rows, next } = rows;
    pb::ListRegistrationsResponse {
        registrations: rows.iter().map(|(ordinal, row)| registration(tenant, *ordinal, row)).collect(),
        next_page_token: numbered_page_token(next),
    }
}

/// A device's registration.
pub(super) fn registration(tenant: TenantId, ordinal: u32, row: &Row) -> pb::Registration {
    let Row { device, registered, create_time, update_time } = row;
    let Registered { proven, serial, not_after, .. } = registered;
    let proven = proven.as_deref();
    let (state, reason) = match registered.standing() {
        Standing::Removed(removal) => (pb::RegistrationState::Removed, removed_because(tenant, removal)),
        Standing::Revoked => {
            (pb::RegistrationState::Revoked, registered.revoked.as_deref().unwrap_or_default().to_owned())
        }
        Standing::Quarantined => (pb::RegistrationState::Quarantined, String::new()),
        Standing::Active => (pb::RegistrationState::Active, String::new()),
    };
    pb::Registration {
        name: ResourceName::Registration(tenant, *device).to_string(),
        device: ResourceName::Device(tenant, *device).to_string(),
        kind: pb::RegistrationKind::from(registered.kind()).into(),
        registration: proven.map(|proven| proven.registration.to_string()).unwrap_or_default(),
        join_type: proven.map(|proven| proven.join_type.to_string()).unwrap_or_default(),
        state: state.into(),
        certificate_serial: serial.to_string(),
        not_after: Some(timestamp(*not_after)),
        create_time: Some(timestamp(*create_time)),
        update_time: Some(timestamp(*update_time)),
        ordinal,
        reason,
    }
}

fn removed_because(tenant: TenantId, removal: Removal) -> String {
    match removal {
        Removal::Deleted => "deleted".to_owned(),
        Removal::Offboarded => "offboarded".to_owned(),
        Removal::Merged { into } => format!("merged into {}", ResourceName::Device(tenant, into)),
    }
}

/// A group to define.
pub(super) fn new_group(tenant: TenantId, group: Option<pb::Group>) -> Result<DefineGroup, Fault> {
    let group = group.ok_or_else(|| Fault::invalid_field("group", "must be set"))?;
    let rule = match group.kind() {
        pb::GroupKind::Static if group.rule.is_empty() => None,
        pb::GroupKind::Static => {
            return Err(Fault::invalid_field("group.rule", "a static group has no rule"));
        }
        pb::GroupKind::Dynamic => Some(group.rule.into()),
        pb::GroupKind::Unspecified => {
            let problem = "must be set: GROUP_KIND_STATIC or GROUP_KIND_DYNAMIC";
            return Err(Fault::invalid_field("group.kind", problem));
        }
    };
    Ok(DefineGroup { tenant, display_name: group.display_name, rule })
}

/// A rule in the place of a group's present one, the request, and whether it is only checked.
pub(super) fn change_of_rule(
    served: TenantId,
    request: pb::UpdateGroupRuleRequest,
) -> Result<(ChangeRule, RequestId, bool), Fault> {
    let pb::UpdateGroupRuleRequest { name, rule, etag, request_id, validate_only } = request;
    let change = ChangeRule {
        tenant: served,
        group: request::group(served, "name", &name)?,
        rule: rule.into(),
        expected: revision(&etag)?,
    };
    Ok((change, request::id(&request_id)?, validate_only))
}

/// Which page of the groups: they are marked by name.
pub(super) fn page_of_groups(page_size: i32, page_token: &str) -> Result<Page<String>, Fault> {
    request::page(page_size, page_token, |bytes| String::from_utf8(bytes.to_vec()).ok())
}

pub(super) fn groups(rows: &Rows<GroupRow, String>, ages: &Ages) -> pb::ListGroupsResponse {
    let Rows { rows, next } = rows;
    let groups = rows.iter().map(|row| group_row(row, ages)).collect();
    pb::ListGroupsResponse { groups, next_page_token: page_token(next.as_ref()) }
}

/// A group, with how far it follows what is known of devices.
pub(super) fn group_row(row: &GroupRow, ages: &Ages) -> pb::Group {
    let GroupRow { tenant, id, group: defined } = row;
    let processing = defined.rule.as_ref().map(|_| {
        let age = ages.of(*id);
        pb::GroupProcessing {
            evaluate_time: age.as_ref().map(|age| timestamp(age.evaluate_time)),
            position: ages.settled().to_string(),
            unknown_count: age.map_or(0, |age| count(age.unknown.len())),
        }
    });
    pb::Group { processing, ..group(*tenant, *id, defined) }
}

/// A rule to try, and the device to explain it by.
/// What is asked of a rule.
pub(super) struct PreviewWish {
    pub(super) rule: Rule,
    /// A device to explain it by.
    pub(super) device: Option<DeviceId>,
    /// The group that would get it.
    pub(super) group: Option<GroupId>,
    /// Whom that group would have.
    pub(super) with_members: bool,
}

pub(super) fn preview(served: TenantId, request: pb::PreviewRuleRequest) -> Result<PreviewWish, Fault> {
    let pb::PreviewRuleRequest { parent, rule, device, with_members, group } = request;
    request::parent(served, &parent)?;
    Ok(PreviewWish {
        rule: Rule::parse(&rule)?,
        device: (!device.is_empty()).then(|| request::device(served, "device", &device)).transpose()?,
        group: (!group.is_empty()).then(|| request::group(served, "group", &group)).transpose()?,
        with_members,
    })
}

/// Whom a rule would let in.
pub(super) fn previewed(tenant: TenantId, preview: Preview) -> pb::PreviewRuleResponse {
    let Preview { inside, outside, unknown, explained, positions, members } = preview;
    let names = |devices: Vec<DeviceId>| devices.into_iter().map(|id| device_name(tenant, id)).collect();
    pb::PreviewRuleResponse {
        in_count: count(inside.count),
        out_count: count(outside.count),
        unknown_count: count(unknown.count),
        in_devices: names(inside.some),
        out_devices: names(outside.some),
        unknown_devices: unknown.some.iter().map(|unknown| unknown_message(tenant, unknown)).collect(),
        verdict: explained.map(|explained| verdict(tenant, explained)),
        position: positions.to_string(),
        members: members.map(|members| wire::bitmap_bytes(&members)).unwrap_or_default(),
    }
}

fn verdict(tenant: TenantId, explained: DeviceExplained) -> pb::DeviceVerdict {
    let DeviceExplained { device, result, parts } = explained;
    let part = |(part, has): (Explained, Option<Attribute>)| {
        let Explained { expression, offset, length, property, depth, result } = part;
        pb::RulePart {
            expression,
            depth: number(depth),
            offset: number(offset),
            length: number(length),
            result: result.known(),
            property: property.map(|property| property.to_string()).unwrap_or_default(),
            values: match has {
                None | Some(Attribute::Unknown) => vec![],
                Some(Attribute::Bool(value)) => vec![value.to_string()],
                Some(Attribute::Text(text)) => vec![text.into()],
                Some(Attribute::Collection(items)) => items.into_iter().map(Into::into).collect(),
            },
        }
    };
    pb::DeviceVerdict {
        device: device_name(tenant, device),
        result: result.known(),
        parts: parts.into_iter().map(part).collect(),
    }
}

/// A page of devices of which a rule cannot say whether they are in.
pub(super) fn unknown_members(
    tenant: TenantId,
    unknown: &[Unknown],
    next: Option<u32>,
) -> pb::ListGroupMembersResponse {
    pb::ListGroupMembersResponse {
        devices: unknown.iter().map(|unknown| device_name(tenant, unknown.device)).collect(),
        next_page_token: numbered_page_token(next),
        unknown_devices: unknown.iter().map(|unknown| unknown_message(tenant, unknown)).collect(),
    }
}

fn unknown_message(tenant: TenantId, unknown: &Unknown) -> pb::UnknownDevice {
    let Unknown { device, missing } = unknown;
    pb::UnknownDevice {
        device: device_name(tenant, *device),
        missing_properties: missing.iter().map(ToString::to_string).collect(),
    }
}

fn device_name(tenant: TenantId, device: DeviceId) -> String {
    ResourceName::Device(tenant, device).to_string()
}

fn count(devices: u64) -> u32 {
    u32::try_from(devices).unwrap_or(u32::MAX)
}

fn number(characters: usize) -> u32 {
    u32::try_from(characters).unwrap_or(u32::MAX)
}

pub(super) fn members(tenant: TenantId, rows: Rows<DeviceId, u32>) -> pb::ListGroupMembersResponse {
    let Rows { rows, next } = rows;
    pb::ListGroupMembersResponse {
        devices: rows.into_iter().map(|id| ResourceName::Device(tenant, id).to_string()).collect(),
        next_page_token: numbered_page_token(next),
        unknown_devices: vec![],
    }
}

pub(super) fn group(tenant: TenantId, id: GroupId, defined: &Defined) -> pb::Group {
    let Defined { display_name, rule, members, revision, create_time, membership_change_time } = defined;
    let kind = if rule.is_some() { pb::GroupKind::Dynamic } else { pb::GroupKind::Static };
    pb::Group {
        name: ResourceName::Group(tenant, id).to_string(),
        display_name: display_name.clone(),
        kind: kind.into(),
        member_count: count(members.len()),
        create_time: Some(timestamp(*create_time)),
        membership_change_time: membership_change_time.map(timestamp),
        etag: etag(*revision),
        rule: rule.as_deref().unwrap_or_default().to_owned(),
        processing: None,
    }
}

fn etag(revision: u64) -> String {
    format!("v{revision}")
}

/// The revision that an etag stands for; none when any will do.
pub(super) fn revision(etag: &str) -> Result<Option<u64>, Fault> {
    if etag.is_empty() {
        return Ok(None);
    }
    // One that this service never gave fits no group.
    let never = || Fault::new(ErrorCode::EtagMismatch, "the etag is none that this group ever had");
    etag.strip_prefix('v').and_then(|text| text.parse().ok()).map(Some).ok_or_else(never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens_round_trip_and_noise_is_refused() {
        let token = page_token(Some("Web servers"));
        assert_eq!(page_of_groups(9, &token), Ok(Page { rows: 9, mark: Some("Web servers".into()) }));
        assert!(page_of_groups(0, "noise").is_err());
    }

    #[test]
    fn etags_round_trip_and_a_foreign_one_is_stale() {
        assert_eq!(revision(&etag(3)), Ok(Some(3)));
        assert_eq!(revision(""), Ok(None));
        assert_eq!(revision("W/abc").map_err(|fault| fault.code), Err(ErrorCode::EtagMismatch));
    }

    #[test]
    fn a_change_of_too_many_members_is_refused() {
        let request = pb::ModifyGroupMembersRequest {
            add_devices: vec![String::new(); MEMBERS_CHANGED_MAX + 1],
            ..Default::default()
        };
        let refused = change_of_members(TenantId::DEFAULT, request).map(|_| ()).map_err(|fault| fault.code);
        assert_eq!(refused, Err(ErrorCode::ArgumentInvalid));
    }
}
