//! The contract's messages ↔ what commands and queries take and give.

use muster_errors::{ErrorCode, Fault};
use muster_proto::convert::{Malformed, timestamp};
use muster_proto::report::v1 as pb;

use crate::domain::device_status::{CheckIn, Status};
use crate::domain::standing::{DeviceStanding, PolicyStanding};
use crate::queries::At;

/// What a device says.
pub(super) fn status(request: pb::ReportStatusRequest) -> Result<Status, Fault> {
    let pb::ReportStatusRequest { status } = request;
    let status = status.ok_or_else(|| Malformed::new("", "must be set"));
    status.and_then(TryInto::try_into).map_err(|malformed: Malformed| {
        let Malformed { field, problem } = malformed.within("status");
        Fault::new(ErrorCode::ReportInvalid, format!("{field}: {problem}")).with_field(field, problem)
    })
}

/// What a device last said, for an admin.
pub(super) fn device_report(device: String, found: At<DeviceStanding>) -> pb::DeviceReport {
    let At { answer, positions, time: _ } = found;
    let (status, report_time) = answer.reported.map(|said| (said.status, said.time)).unzip();
    pb::DeviceReport {
        device,
        check_in_status: check_in(answer.state.verdict()).into(),
        status: status.map(Into::into),
        report_time: report_time.map(timestamp),
        position: positions.to_string(),
        ..Default::default()
    }
}

/// How a policy's devices stand, for an admin.
pub(super) fn policy_report(policy: String, found: &At<PolicyStanding>) -> pb::PolicyReport {
    let At { answer, positions, time: _ } = found;
    let counts = answer.verdicts().map(|(verdict, devices)| pb::CheckInStatusCount {
        status: check_in(verdict).into(),
        devices: ordinals(devices),
    });
    pb::PolicyReport {
        policy,
        targeted: ordinals(answer.targeted),
        counts: counts.to_vec(),
        position: positions.to_string(),
        ..Default::default()
    }
}

/// Counts of 32-bit ordinals fit but for the last of all.
fn ordinals(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

const fn check_in(verdict: CheckIn) -> pb::CheckInStatus {
    match verdict {
        CheckIn::Succeeded => pb::CheckInStatus::Succeeded,
        CheckIn::Error => pb::CheckInStatus::Error,
        CheckIn::Conflict => pb::CheckInStatus::Conflict,
        CheckIn::Pending => pb::CheckInStatus::Pending,
        CheckIn::NotApplicable => pb::CheckInStatus::NotApplicable,
    }
}
