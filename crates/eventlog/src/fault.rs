//! How the log's failures are told to callers.

use muster_errors::{ErrorCode, Fault};

use crate::command::ExecuteError;
use crate::{AppendError, ReadError};

impl From<AppendError> for Fault {
    fn from(error: AppendError) -> Self {
        let code = match &error {
            AppendError::Conflict { .. } => ErrorCode::LogConflict,
            AppendError::Unknown { .. } => ErrorCode::LogUnavailable,
            AppendError::Invalid { .. } => ErrorCode::Internal,
            AppendError::TooLarge { .. } => ErrorCode::EventTooLarge,
            AppendError::Full { .. } => ErrorCode::DiskFull,
            AppendError::ReadOnly { .. } => ErrorCode::LogCorrupt,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        let code = match &error {
            ReadError::Unavailable { .. } => ErrorCode::LogUnavailable,
            ReadError::Corrupt { .. } => ErrorCode::LogCorrupt,
        };
        Self::new(code, error.to_string())
    }
}

/// A refusal is told as its rules say, a failure as the log says.
impl<R: Into<Fault>> From<ExecuteError<R>> for Fault {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => refusal.into(),
            ExecuteError::Append(error) => error.into(),
            ExecuteError::Read(error) => error.into(),
        }
    }
}
