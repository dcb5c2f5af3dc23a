//! How refusals are told to callers, and why the service does not start.

use muster_errors::{ErrorCode, Fault, Retry};
use tonic::Status;
use tracing::error;

use crate::domain::{device_status, report_settings};

/// Why the service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options are missing or make no sense.
    #[error("the report service cannot be set up")]
    Config(#[from] Fault),
}

/// Tells a caller why a call did not go through. What is no fault of the caller is logged here, and nowhere else.
pub fn status(error: impl Into<Fault>) -> Status {
    let fault = error.into();
    if fault.code.retry() == Retry::Same || fault.code == ErrorCode::LogCorrupt {
        error!(code = %fault.code, "a call failed: {}", fault.message);
    }
    fault.into()
}

impl From<device_status::Error> for Fault {
    fn from(error: device_status::Error) -> Self {
        let message = error.to_string();
        let device_status::Error { field, problem } = error;
        Self::new(ErrorCode::ReportInvalid, message).with_field(format!("status.{field}"), problem)
    }
}

impl From<report_settings::Error> for Fault {
    fn from(error: report_settings::Error) -> Self {
        let message = error.to_string();
        match error {
            report_settings::Error::OutOfBounds(problems) => {
                let fault = Self::new(ErrorCode::ArgumentInvalid, message);
                problems.into_iter().fold(fault, |fault, problem| {
                    fault.with_field(format!("report_settings.{}", problem.field), problem.bounds)
                })
            }
            report_settings::Error::EtagMismatch { expected, found } => {
                Self::new(ErrorCode::EtagMismatch, message).with("expected", expected).with("found", found)
            }
            report_settings::Error::RequestReused => Self::new(ErrorCode::RequestIdReused, message),
        }
    }
}
