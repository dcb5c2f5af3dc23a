//! How refusals are told to callers, and why the service does not start.

mod directory;

use muster_errors::{ErrorCode, Fault, Retry};
use muster_eventlog::ReadError;
use muster_eventlog::command::ExecuteError;
use muster_eventlog::project::Behind;
use muster_types::DeviceId;
use tonic::Status;
use tracing::error;

use crate::domain::registration::Removal;
use crate::domain::rule::RuleError;
use crate::domain::{group, registration};

/// Why the service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates cannot be issued here.
    #[error("the identity service cannot be set up")]
    Config(#[from] Fault),
}

/// Why the views do not show all that is in the log.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// They are too far behind.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// The log does not say how far it goes.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a command on a group did not go through.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What it must know cannot be seen.
    #[error(transparent)]
    Unseen(#[from] Unseen),
    /// It names a device that is unknown or was removed.
    #[error("no such device: {0}")]
    Device(DeviceId),
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

impl From<Unseen> for Fault {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::Behind(behind) => Self::new(ErrorCode::ViewBehind, behind.to_string())
                .with("has", behind.has)
                .with("wanted", behind.wanted),
            Unseen::Read(error) => error.into(),
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Unseen(unseen) => unseen.into(),
            Failure::Device(device) => Self::new(ErrorCode::DeviceUnknown, message).with("device", device),
            Failure::Log(error) => error.into(),
        }
    }
}

impl From<registration::Error> for Fault {
    fn from(error: registration::Error) -> Self {
        use registration::Error;
        let message = error.to_string();
        match error {
            Error::Unknown => Self::new(ErrorCode::DeviceUnknown, message),
            Error::Removed(Removal::Merged { into }) => {
                Self::new(ErrorCode::DeviceDeleted, message).with("into_device", into)
            }
            Error::Removed(Removal::Deleted | Removal::Offboarded) => {
                Self::new(ErrorCode::DeviceDeleted, message)
            }
            Error::Revoked => Self::new(ErrorCode::CertificateRevoked, message),
            Error::Quarantined => Self::new(ErrorCode::DeviceQuarantined, message),
            Error::ReasonInvalid => Self::invalid_field("reason", message),
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
            Error::Rule(error) => Self::from(error),
            Error::Nested { group } => Self::new(ErrorCode::GroupNested, message).with("group", group),
            Error::SourceUnknown { group } => {
                Self::new(ErrorCode::GroupUnknown, message).with("group", group)
            }
            Error::Limit { limit } => Self::new(ErrorCode::GroupLimit, message).with("limit", limit),
            Error::Dynamic | Error::Static => Self::new(ErrorCode::GroupKindMismatch, message),
            Error::Contradiction { .. } => Self::invalid_field("remove_devices", message),
            Error::Moved { .. } => Self::new(ErrorCode::EtagMismatch, message),
        }
    }
}

impl From<RuleError> for Fault {
    fn from(error: RuleError) -> Self {
        let text = error.to_string();
        let RuleError { kind, message: _, offset, length, hint } = error;
        let fault = Self::new(ErrorCode::RuleInvalid, text)
            .with("kind", kind)
            .with("offset", offset)
            .with("length", length);
        hint.map_or(fault.clone(), |hint| fault.with("hint", hint))
    }
}
