//! How a device stands, for an admin.

use muster_errors::Fault;
use muster_proto::convert::timestamp;
use muster_proto::report::v1 as pb;
use muster_types::setting::InvalidSettingId;
use muster_types::{ResourceName, SettingId, TenantId};

use super::words::{check_in, device_state, setting_state, stage};
use crate::domain::standing::{DeviceStanding, Reported, SettingStanding, Source};
use crate::queries::At;

/// The setting that a field names.
pub(in super::super) fn setting(field: &str, text: &str) -> Result<SettingId, Fault> {
    text.parse().map_err(|error: InvalidSettingId| Fault::invalid_field(field, error.to_string()))
}

/// How a device stands.
pub(in super::super) fn device_report(
    tenant: TenantId,
    name: String,
    found: At<DeviceStanding>,
) -> pb::DeviceReport {
    let At { answer, positions, time: _ } = found;
    let DeviceStanding {
        device: _,
        host_name,
        reported,
        state,
        desired_etag,
        desired_time,
        delivered_time,
        applied_time,
        confirmed_time,
        last_seen_time,
        stale,
        settings,
    } = answer;
    let (status, (report_time, report_position)) = match reported {
        None => (None, (None, 0)),
        Some(Reported { status, time, position }) => (Some((&status).into()), (Some(time), position)),
    };
    pb::DeviceReport {
        device: name,
        status,
        report_time: report_time.map(timestamp),
        check_in_status: check_in(state.verdict()).into(),
        position: positions.to_string(),
        state: device_state(state).into(),
        host_name,
        desired_etag: desired_etag.map(Vec::from).unwrap_or_default(),
        desired_time: desired_time.map(timestamp),
        delivered_time: delivered_time.map(timestamp),
        applied_time: applied_time.map(timestamp),
        confirmed_time: confirmed_time.map(timestamp),
        last_seen_time: last_seen_time.map(timestamp),
        stale,
        settings: settings.into_iter().map(|setting| setting_standing(tenant, setting)).collect(),
        report_position,
    }
}

fn setting_standing(tenant: TenantId, setting: SettingStanding) -> pb::DeviceSetting {
    let SettingStanding {
        id,
        desired,
        observed,
        state,
        stage: how_far,
        reason,
        message,
        merge_mode,
        sources,
        desired_time,
        corrections,
        drift_suspected,
        unasked,
    } = setting;
    pb::DeviceSetting {
        id: id.to_string(),
        desired: desired.map(Into::into),
        observed: observed.map(Into::into),
        state: setting_state(state).into(),
        stage: stage(how_far).into(),
        reason,
        message,
        merge_mode: merge_mode.to_owned(),
        sources: sources.into_iter().map(|it| source(tenant, it)).collect(),
        desired_time: desired_time.map(timestamp),
        corrections,
        drift_suspected,
        unasked,
    }
}

fn source(tenant: TenantId, source: Source) -> pb::SettingSource {
    let Source { policy, display_name, revision, winner } = source;
    let policy = ResourceName::Policy(tenant, policy).to_string();
    pb::SettingSource { policy, display_name, revision, winner }
}
