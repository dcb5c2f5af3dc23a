//! A failed call: a code, a message, and what a program needs to act on it.

use std::collections::BTreeMap;
use std::fmt;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::ErrorCode;

/// The domain in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "muster.io";

/// One field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, for example `policy.settings[3].value`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub description: String,
}

/// A failed call as the caller sees it. Its sources are logged where it is made, and never travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong.
    pub code: ErrorCode,
    /// The same for people: a lower-case fragment with what was wrong, where, and what to do.
    pub message: String,
    /// Values that the message speaks of, by name.
    pub metadata: BTreeMap<String, String>,
    /// Fields that are wrong.
    pub fields: Vec<FieldViolation>,
}

impl Fault {
    /// A fault with a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), metadata: BTreeMap::new(), fields: Vec::new() }
    }

    /// Adds a value the message speaks of.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.metadata.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds a field that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.fields.push(FieldViolation { field: field.into(), description: description.into() });
        self
    }

    /// A malformed field: `ARGUMENT_INVALID`, naming it.
    pub fn invalid_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (field.into(), description.into());
        Self::new(ErrorCode::ArgumentInvalid, format!("{field}: {description}"))
            .with_field(field, description)
    }

    /// The same, seen from a request of which the faulty one is a part: its fields are those of the part at `path`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        for violation in &mut self.fields {
            violation.field = format!("{path}.{}", violation.field);
        }
        if self.fields.is_empty() {
            let description = self.message.clone();
            self.fields.push(FieldViolation { field: path.to_owned(), description });
        }
        self.message = format!("{path}: {}", self.message);
        self
    }

    /// Reads the fault out of a status that came over the wire; a status of another origin is mapped by its gRPC code.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let code = details
            .error_info()
            .filter(|info| info.domain == DOMAIN)
            .and_then(|info| info.reason.parse().ok())
            .unwrap_or_else(|| foreign(status.code()));
        let metadata =
            details.error_info().map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default();
        let fields = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations
                .iter()
                .map(|v| FieldViolation { field: v.field.clone(), description: v.description.clone() })
                .collect()
        });
        Self { code, message: status.message().to_owned(), metadata, fields }
    }
}

/// What a status stands for that carries no code of ours (made by tonic, a proxy, or another program).
const fn foreign(code: Code) -> ErrorCode {
    match code {
        Code::InvalidArgument => ErrorCode::ArgumentInvalid,
        Code::Unauthenticated => ErrorCode::CertificateInvalid,
        Code::PermissionDenied => ErrorCode::PermissionDenied,
        Code::DeadlineExceeded | Code::Cancelled => ErrorCode::DeadlineExceeded,
        Code::OutOfRange => ErrorCode::MessageTooLarge,
        Code::ResourceExhausted => ErrorCode::Overloaded,
        Code::Unavailable => ErrorCode::ServerUnreachable,
        Code::Ok
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => ErrorCode::Internal,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let mut details = ErrorDetails::new();
        details.set_error_info(
            fault.code.as_str(),
            DOMAIN,
            fault.metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
        );
        for violation in &fault.fields {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        Self::with_error_details(fault.code.status(), fault.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_wire() {
        for code in ErrorCode::ALL {
            let fault = Fault::new(*code, "it went wrong").with("limit", 3).with_field("a.b", "must be set");
            let status = Status::from(fault.clone());
            assert_eq!(status.code(), code.status());
            assert_eq!(Fault::from_status(&status), fault);
        }
    }

    #[test]
    fn a_fault_of_a_part_names_its_place_in_the_whole() {
        let fault = Fault::invalid_field("policy.name", "must be set").within("changes[3].update_policy");
        assert_eq!(fault.message, "changes[3].update_policy: policy.name: must be set");
        assert_eq!(fault.fields[0].field, "changes[3].update_policy.policy.name");
        let fault = Fault::new(ErrorCode::PolicyUnknown, "no such policy").within("changes[0]");
        assert_eq!(fault.fields[0].field, "changes[0]");
        assert_eq!(fault.code, ErrorCode::PolicyUnknown);
    }

    #[test]
    fn a_status_of_another_origin_is_mapped_by_its_code() {
        let fault = Fault::from_status(&Status::unavailable("connection refused"));
        assert_eq!(fault.code, ErrorCode::ServerUnreachable);
    }
}
