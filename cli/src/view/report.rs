//! What the report service answers with, as JSON.

use muster_proto::report::v1 as pb;
use serde_json::{Map, Value, json};

use super::{hex, id, setting_value, time, word};

/// A text; nothing when there is none.
fn some(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

/// A verdict: `not_applicable`.
#[must_use]
pub fn verdict(status: pb::CheckInStatus) -> String {
    word(status.as_str_name(), "CHECK_IN_STATUS_")
}

/// A finer state: `never_delivered`.
#[must_use]
pub fn state(state: pb::DeviceState) -> String {
    word(state.as_str_name(), "DEVICE_STATE_")
}

/// A verdict on a setting: `tamper_protected`.
#[must_use]
pub fn setting_state(state: pb::SettingState) -> String {
    word(state.as_str_name(), "SETTING_STATE_")
}

/// How a device stands, with each setting.
#[must_use]
pub fn device(report: &pb::DeviceReport) -> Value {
    let status = report.status.clone().unwrap_or_default();
    json!({
        "name": report.device,
        "device": report.device,
        "id": id(&report.device),
        "host_name": some(&report.host_name),
        "check_in_status": verdict(report.check_in_status()),
        "state": state(report.state()),
        "desired_etag": hex(&report.desired_etag),
        "desired_time": time(report.desired_time),
        "delivered_time": time(report.delivered_time),
        "applied_time": time(report.applied_time),
        "confirmed_time": time(report.confirmed_time),
        "report_time": time(report.report_time),
        "last_seen_time": time(report.last_seen_time),
        "stale": report.stale,
        "policy_etag": hex(&status.policy_etag),
        "policy_version": status.policy_version,
        "apply_time": time(status.apply_time),
        "refused_reason": some(&status.refused_reason),
        "settings": report.settings.iter().map(setting).collect::<Vec<_>>(),
        "report_position": report.report_position,
        "position": report.position,
    })
}

fn setting(setting: &pb::DeviceSetting) -> Value {
    let pb::DeviceSetting {
        id,
        desired,
        observed,
        state: _,
        stage: _,
        reason,
        message,
        merge_mode,
        sources,
        desired_time,
        corrections,
        drift_suspected,
        unasked,
    } = setting;
    let staged = setting.stage() != pb::SettingStage::Unspecified;
    json!({
        "id": id,
        "desired": setting_value(desired.as_ref()),
        "observed": setting_value(observed.as_ref()),
        "state": setting_state(setting.state()),
        "stage": staged.then(|| word(setting.stage().as_str_name(), "SETTING_STAGE_")),
        "reason": some(reason),
        "message": some(message),
        "merge_mode": some(merge_mode),
        "sources": sources.iter().map(source).collect::<Vec<_>>(),
        "desired_time": time(*desired_time),
        "corrections": corrections,
        "drift_suspected": drift_suspected,
        "unasked": unasked,
    })
}

fn source(source: &pb::SettingSource) -> Value {
    let pb::SettingSource { policy, display_name, revision, winner } = source;
    json!({"policy": id(policy), "display_name": display_name, "revision": revision, "winner": winner})
}

/// How a policy's devices stand.
#[must_use]
pub fn policy(report: &pb::PolicyReport) -> Value {
    json!({
        "name": report.policy,
        "policy": report.policy,
        "targeted": report.targeted,
        "counts": verdicts(&report.counts),
        "states": states(&report.states),
        "stale": report.stale,
        "drifting": report.drifting,
        "time": time(report.time),
        "position": report.position,
    })
}

fn verdicts(counts: &[pb::CheckInStatusCount]) -> Map<String, Value> {
    counts.iter().map(|count| (verdict(count.status()), json!(count.devices))).collect()
}

fn states(counts: &[pb::DeviceStateCount]) -> Map<String, Value> {
    counts.iter().map(|count| (state(count.state()), json!(count.devices))).collect()
}

/// How all devices stand.
#[must_use]
pub fn fleet(report: &pb::FleetReport) -> Value {
    let policy = |policy: &pb::FleetPolicy| {
        json!({
            "name": policy.policy,
            "id": id(&policy.policy),
            "display_name": policy.display_name,
            "targeted": policy.targeted,
            "counts": verdicts(&policy.counts),
        })
    };
    json!({
        "devices": report.devices,
        "counts": verdicts(&report.counts),
        "states": states(&report.states),
        "stale": report.stale,
        "drifting": report.drifting,
        "policies": report.policies.iter().map(policy).collect::<Vec<_>>(),
        "time": time(report.time),
        "position": report.position,
    })
}

/// A device of a policy.
#[must_use]
pub fn policy_device(device: &pb::PolicyDevice) -> Value {
    let pb::PolicyDevice {
        device: name,
        host_name,
        status: _,
        state: _,
        reason,
        report_time,
        last_seen_time,
        stale,
        desired_time,
        platform,
        os_version,
        manufacturer,
        model,
    } = device;
    json!({
        "name": name,
        "id": id(name),
        "host_name": some(host_name),
        "status": verdict(device.status()),
        "state": state(device.state()),
        "reason": some(reason),
        "report_time": time(*report_time),
        "last_seen_time": time(*last_seen_time),
        "stale": stale,
        "desired_time": time(*desired_time),
        "platform": some(platform),
        "os_version": some(os_version),
        "manufacturer": some(manufacturer),
        "model": some(model),
    })
}

/// Some devices of a policy.
#[must_use]
pub fn policy_devices(page: &pb::ListPolicyDevicesResponse) -> Value {
    json!({
        "devices": page.devices.iter().map(policy_device).collect::<Vec<_>>(),
        "next_page_token": page.next_page_token,
        "total_size": page.total_size,
        "position": page.position,
    })
}

/// Counts by setting.
#[must_use]
pub fn policy_settings(settings: &pb::PolicySettings) -> Value {
    let counts = |of: &pb::PolicySettingCounts| {
        let counts = of.counts.iter().map(|count| (setting_state(count.state()), json!(count.devices)));
        json!({"id": of.id, "counts": counts.collect::<Map<_, _>>()})
    };
    json!({
        "policy": settings.policy,
        "targeted": settings.targeted,
        "settings": settings.settings.iter().map(counts).collect::<Vec<_>>(),
        "position": settings.position,
    })
}

/// How long a policy took.
#[must_use]
pub fn convergence(convergence: &pb::PolicyConvergence) -> Value {
    json!({
        "policy": convergence.policy,
        "revisions": convergence.revisions.iter().map(revision).collect::<Vec<_>>(),
        "position": convergence.position,
    })
}

fn revision(revision: &pb::RevisionConvergence) -> Value {
    let pb::RevisionConvergence { revision, devices, converged, p50, p95, p99, stragglers } = revision;
    let straggler = |count: &pb::StragglerCount| {
        json!({
            "reason": word(count.reason().as_str_name(), "STRAGGLER_REASON_"),
            "devices": count.devices,
            "examples": count.examples.iter().map(|name| id(name)).collect::<Vec<_>>(),
        })
    };
    json!({
        "revision": revision,
        "devices": devices,
        "converged": converged,
        "p50_seconds": seconds(p50.as_ref()),
        "p95_seconds": seconds(p95.as_ref()),
        "p99_seconds": seconds(p99.as_ref()),
        "stragglers": stragglers.iter().map(straggler).collect::<Vec<_>>(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a length of time needs no more digits")]
fn seconds(length: Option<&prost_types::Duration>) -> Value {
    length.map_or(Value::Null, |length| json!(length.seconds as f64 + f64::from(length.nanos) / 1e9))
}
