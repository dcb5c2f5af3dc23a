//! The contract's messages ↔ what commands and queries take and give.

mod device;
mod filter;
mod policy;
mod words;

use muster_errors::{ErrorCode, Fault};
use muster_proto::convert::Malformed;
use muster_proto::report::v1 as pb;

use crate::domain::device_status::Statement;

pub(super) use device::{device_report, setting};
pub(super) use filter::{filter, filter_invalid};
pub(super) use policy::{convergence, fleet, policy_device, policy_report, policy_settings};

/// What a device says.
pub(super) fn status(request: pb::ReportStatusRequest) -> Result<Statement, Fault> {
    let pb::ReportStatusRequest { status } = request;
    let status = status.ok_or_else(|| Malformed::new("", "must be set"));
    status.and_then(TryInto::try_into).map_err(|malformed: Malformed| {
        let Malformed { field, problem } = malformed.within("status");
        Fault::new(ErrorCode::ReportInvalid, format!("{field}: {problem}")).with_field(field, problem)
    })
}

/// Counts of 32-bit ordinals fit but for the last of all.
pub(super) fn ordinals(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
