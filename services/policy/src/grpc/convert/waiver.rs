//! Waivers.

use muster_errors::Fault;
use muster_proto::convert::{moment, timestamp};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::waiver::Target as PbTarget;
use muster_runtime::request::{self, Page};
use muster_types::{PolicyId, ResourceName, SettingId, TenantId, Timestamp, WaiverId};

use crate::domain::waiver::{End, Exempt, Grant, Known, Target};
use crate::queries::WaiverMark;

/// The waiver that a field names.
pub(in crate::grpc) fn waiver_id(tenant: TenantId, name: &str) -> Result<WaiverId, Fault> {
    request::waiver(tenant, "name", name)
}

/// What a waiver shall say, and why.
pub(in crate::grpc) fn granted(
    tenant: TenantId,
    waiver: Option<pb::Waiver>,
) -> Result<(Grant, String), Fault> {
    let waiver = waiver.ok_or_else(|| Fault::invalid_field("waiver", "must be set"))?;
    let pb::Waiver {
        name: _,
        policy,
        setting,
        target,
        reason,
        approver,
        expire_time,
        actor: _,
        create_time: _,
        state: _,
        end_time: _,
    } = waiver;
    let unset = |field: &str| Fault::invalid_field(field, "must be set");
    let target = match target.ok_or_else(|| unset("waiver.group").with_field("waiver.device", "or this"))? {
        PbTarget::Group(group) => Target::Group(request::group(tenant, "waiver.group", &group)?),
        PbTarget::Device(device) => Target::Device(request::device(tenant, "waiver.device", &device)?),
    };
    let expire = moment(expire_time.ok_or_else(|| unset("waiver.expire_time"))?);
    let exempt = exempt(tenant, &policy, &setting)?;
    Ok((Grant { exempt, target, approver, expire }, reason))
}

fn exempt(tenant: TenantId, policy: &str, setting: &str) -> Result<Exempt, Fault> {
    let of = |text: &str| -> Result<PolicyId, Fault> { request::policy(tenant, "waiver.policy", text) };
    let id = |text: &str| -> Result<SettingId, Fault> {
        text.parse().map_err(|error: muster_types::setting::InvalidSettingId| {
            Fault::invalid_field("waiver.setting", error.to_string())
        })
    };
    Ok(match (policy, setting) {
        ("", "") => {
            let problem = "a setting or a policy must be named";
            return Err(Fault::invalid_field("waiver.setting", problem));
        }
        ("", setting) => Exempt::Setting(id(setting)?),
        (policy, "") => Exempt::Policy(of(policy)?),
        (policy, setting) => Exempt::SettingOf(of(policy)?, id(setting)?),
    })
}

/// A waiver as the contract writes it.
pub(in crate::grpc) fn waiver(tenant: TenantId, id: WaiverId, known: &Known) -> pb::Waiver {
    let Known { grant: Grant { exempt, target, approver, expire }, origin, end } = known;
    let (state, end_time) = match end {
        None => (pb::WaiverState::Active, None),
        Some(End::Expired(at)) => (pb::WaiverState::Expired, Some(timestamp(*at))),
        Some(End::Revoked(at)) => (pb::WaiverState::Revoked, Some(timestamp(*at))),
    };
    let policy = exempt.policy().map(|policy| ResourceName::Policy(tenant, policy).to_string());
    pb::Waiver {
        name: ResourceName::Waiver(tenant, id).to_string(),
        policy: policy.unwrap_or_default(),
        setting: exempt.setting().map(ToString::to_string).unwrap_or_default(),
        target: Some(match *target {
            Target::Group(group) => PbTarget::Group(ResourceName::Group(tenant, group).to_string()),
            Target::Device(device) => PbTarget::Device(ResourceName::Device(tenant, device).to_string()),
        }),
        reason: origin.reason.clone(),
        approver: approver.clone(),
        expire_time: Some(timestamp(*expire)),
        actor: origin.actor.clone(),
        create_time: Some(timestamp(origin.at)),
        state: state.into(),
        end_time,
    }
}

/// Which page of the waivers: they are marked by the moment they were granted, and their id.
pub(in crate::grpc) fn waiver_page(page_size: i32, page_token: &str) -> Result<Page<WaiverMark>, Fault> {
    request::page(page_size, page_token, |bytes| {
        let (at, id) = bytes.split_first_chunk()?;
        Some((Timestamp::from_micros(i64::from_be_bytes(*at)), WaiverId::from_slice(id).ok()?))
    })
}

pub(in crate::grpc) fn waiver_page_token(next: Option<WaiverMark>) -> String {
    request::page_token(next.map(|(at, id)| [&at.micros().to_be_bytes()[..], id.as_bytes()].concat()))
}
