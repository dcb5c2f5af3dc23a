//! How the log's failures are told to callers.

use muster_errors::Fault;

use crate::command::ExecuteError;
use crate::embedded::OpenError;
use crate::{AppendError, ReadError};

impl From<AppendError> for Fault {
    fn from(error: AppendError) -> Self {
        error.to_fault()
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        error.to_fault()
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        error.to_fault()
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
