//! How refusals are told to callers, and why the service does not start.

use std::convert::Infallible;

use muster_errors::{ErrorCode, Fault, Retry};
use muster_eventlog::command::ExecuteError;
use muster_eventlog::project::Behind;
use tonic::Status;
use tracing::error;

use crate::domain::group;

/// Why the service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates cannot be issued here.
    #[error("the identity service cannot be set up")]
    Config(#[from] Fault),
}

/// Why a command that looks at a view first did not go through.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The view is too far behind to decide.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// The rules refused it, or the log did.
    #[error(transparent)]
    Log(#[from] ExecuteError<group::Error>),
}

/// Tells a caller why a call did not go through. What is no fault of the caller is logged here, and nowhere else.
pub fn status(error: impl Into<Fault>) -> Status {
    let fault = error.into();
    if fault.code.retry() == Retry::Same || fault.code == ErrorCode::LogCorrupt {
        error!(code = %fault.code, "a call failed: {}", fault.message);
    }
    fault.into()
}

/// The same for a command that the rules never refuse.
pub fn log_status(error: ExecuteError<Infallible>) -> Status {
    match error {
        ExecuteError::Refused(never) => match never {},
        ExecuteError::Append(error) => status(error),
        ExecuteError::Read(error) => status(error),
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Behind(behind) => Self::new(ErrorCode::ViewBehind, behind.to_string())
                .with("has", behind.has)
                .with("wanted", behind.wanted),
            Failure::Log(error) => error.into(),
        }
    }
}

impl From<group::Error> for Fault {
    fn from(error: group::Error) -> Self {
        use group::Error;
        let message = error.to_string();
        match error {
            Error::Unknown => Self::new(ErrorCode::GroupUnknown, message),
            Error::NameInvalid => Self::invalid_field("group.display_name", message),
            Error::NameTaken { by } => Self::new(ErrorCode::NameTaken, message).with("group", by),
            Error::RequestReused { display_name } => {
                Self::new(ErrorCode::RequestIdReused, message).with("display_name", display_name)
            }
            Error::Contradiction { .. } => Self::invalid_field("remove_devices", message),
            Error::Moved { .. } => Self::new(ErrorCode::EtagMismatch, message),
        }
    }
}
