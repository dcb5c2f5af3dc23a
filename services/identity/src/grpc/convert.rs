//! The contract's messages ↔ what commands and queries take and give.

use muster_errors::{ErrorCode, Fault};
use muster_pki::{Csr, csr};
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_runtime::request::{self, Page, numbered_page_token, page_token};
use muster_types::{DeviceId, EventId, GroupId, RequestId, ResourceName, TenantId};
use uuid::Uuid;

use crate::domain::group::Defined;
use crate::projection::groups::GroupRow;
use crate::queries::Rows;

/// Most devices that one change of members may name.
const MEMBERS_CHANGED_MAX: usize = 10_000;

/// A device that enroll let in.
pub(super) struct TrustWish {
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    pub(super) csr: Csr,
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
        proof: _,
        hardware_keys: _,
    } = request;
    if tenant != served.as_str() {
        return Err(Fault::invalid_field("tenant", format!("this server serves the tenant {served}")));
    }
    Ok(TrustWish {
        tenant: served,
        device: DeviceId::from_uuid(uuid(&device_id, "device_id")?),
        csr: csr::parse(&csr_der).map_err(|error| {
            let message = error.to_string();
            Fault::new(ErrorCode::CsrMalformed, message.clone()).with_field("csr_der", message)
        })?,
        correlation_id: uuid(&correlation_id, "correlation_id")?,
        causation_id: EventId::from_uuid(uuid(&causation_id, "causation_id")?),
    })
}

fn uuid(bytes: &[u8], field: &str) -> Result<Uuid, Fault> {
    let wrong = |_| Fault::invalid_field(field, format!("expected 16 bytes, found {}", bytes.len()));
    Uuid::from_slice(bytes).map_err(wrong)
}

/// A change of a group's members.
pub(super) struct MembersWish {
    pub(super) group: GroupId,
    pub(super) request: RequestId,
    pub(super) add: Vec<DeviceId>,
    pub(super) remove: Vec<DeviceId>,
    pub(super) expected: Option<u64>,
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
        group: request::group(served, "name", &name)?,
        request: request::id(&id)?,
        add: device_names(served, "add_devices", &add_devices)?,
        remove: device_names(served, "remove_devices", &remove_devices)?,
        expected: revision(&etag)?,
        validate_only,
    })
}

fn device_names(served: TenantId, field: &str, names: &[String]) -> Result<Vec<DeviceId>, Fault> {
    let device = |(i, text): (usize, &String)| request::device(served, &format!("{field}[{i}]"), text);
    names.iter().enumerate().map(device).collect()
}

pub(super) fn unknown_device(tenant: TenantId, device: DeviceId) -> Fault {
    let name = ResourceName::Device(tenant, device);
    Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {name}")).with("device", name)
}

/// The name for people of a group to define.
pub(super) fn new_group(group: Option<pb::Group>) -> Result<String, Fault> {
    let group = group.ok_or_else(|| Fault::invalid_field("group", "must be set"))?;
    match group.kind() {
        pb::GroupKind::Static => Ok(group.display_name),
        pb::GroupKind::Unspecified => {
            Err(Fault::invalid_field("group.kind", "must be set: GROUP_KIND_STATIC"))
        }
    }
}

/// Which page of the groups: they are marked by name.
pub(super) fn page_of_groups(page_size: i32, page_token: &str) -> Result<Page<String>, Fault> {
    request::page(page_size, page_token, |bytes| String::from_utf8(bytes.to_vec()).ok())
}

pub(super) fn groups(rows: Rows<GroupRow, String>) -> pb::ListGroupsResponse {
    let Rows { rows, next } = rows;
    let groups = rows.iter().map(|GroupRow { tenant, id, group: row }| group(*tenant, *id, row)).collect();
    pb::ListGroupsResponse { groups, next_page_token: page_token(next) }
}

pub(super) fn members(tenant: TenantId, rows: Rows<DeviceId, u32>) -> pb::ListGroupMembersResponse {
    let Rows { rows, next } = rows;
    pb::ListGroupMembersResponse {
        devices: rows.into_iter().map(|id| ResourceName::Device(tenant, id).to_string()).collect(),
        next_page_token: numbered_page_token(next),
    }
}

pub(super) fn group(tenant: TenantId, id: GroupId, defined: &Defined) -> pb::Group {
    let Defined { display_name, members, revision, create_time, membership_change_time } = defined;
    pb::Group {
        name: ResourceName::Group(tenant, id).to_string(),
        display_name: display_name.clone(),
        kind: pb::GroupKind::Static.into(),
        member_count: u32::try_from(members.len()).unwrap_or(u32::MAX),
        create_time: Some(timestamp(*create_time)),
        membership_change_time: membership_change_time.map(timestamp),
        etag: etag(*revision),
    }
}

fn etag(revision: u64) -> String {
    format!("v{revision}")
}

/// The revision that an etag stands for; none when any will do.
fn revision(etag: &str) -> Result<Option<u64>, Fault> {
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
