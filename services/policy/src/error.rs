//! Why the service does not start, and how refusals are told to callers.

use muster_catalog::Violation;
use muster_errors::{ErrorCode, Fault, FieldViolation, Retry};
use tonic::Status;
use tracing::error;

use crate::domain::{assignment, check_in_settings, policy, session, sync, waiver};

/// Why the service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder of trust holds no key that signs policies.
    #[error("policy-signing.key is missing: the policy service cannot sign what devices shall obey")]
    SigningKeyMissing,
    /// The address of identity makes no sense.
    #[error("the policy service cannot be set up")]
    Config(#[from] Fault),
    /// The service's own certificate cannot be used.
    #[error("the certificate of the policy service cannot be used")]
    Trust(#[from] muster_pki::TrustError),
}

/// Tells a caller why a call did not go through. What is no fault of the caller is logged here, and nowhere else.
pub fn status(error: impl Into<Fault>) -> Status {
    let fault = error.into();
    if fault.code.retry() == Retry::Same || fault.code == ErrorCode::LogCorrupt {
        error!(code = %fault.code, "a call failed: {}", fault.message);
    }
    fault.into()
}

/// All mistakes in a policy's settings as one fault: the code of the first, a field for each.
#[must_use]
pub fn violations(violations: &[Violation]) -> Fault {
    let code = violations.first().map_or(ErrorCode::ArgumentInvalid, |violation| violation.code);
    let message = violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut fault = Fault::new(code, message);
    if let Some(first) = violations.first() {
        let subject = if code == ErrorCode::ProfileUnknown { "profile" } else { "setting" };
        fault = fault.with(subject, &first.subject);
    }
    fault.fields = violations.iter().map(field).collect();
    fault
}

fn field(violation: &Violation) -> FieldViolation {
    let Violation { code, subject, at, .. } = violation;
    let field = if *code == ErrorCode::ProfileUnknown {
        "policy.profile".to_owned()
    } else {
        format!("policy.settings[{subject}]{at}")
    };
    FieldViolation { field, description: violation.to_string() }
}

impl From<policy::Error> for Fault {
    fn from(error: policy::Error) -> Self {
        let message = error.to_string();
        match error {
            policy::Error::Unknown => Self::new(ErrorCode::PolicyUnknown, message),
            policy::Error::Name(problem) => Self::invalid_field("policy.display_name", problem),
            policy::Error::EtagMismatch { expected, found } => {
                Self::new(ErrorCode::EtagMismatch, message).with("expected", expected).with("found", found)
            }
            policy::Error::RequestReused => Self::new(ErrorCode::RequestIdReused, message),
        }
    }
}

impl From<assignment::Error> for Fault {
    fn from(error: assignment::Error) -> Self {
        let field = match error {
            assignment::Error::PriorityOfExclusion => "priority",
            assignment::Error::FilterTooLong { .. } => "filter",
        };
        Self::invalid_field(field, error.to_string())
    }
}

impl From<waiver::Error> for Fault {
    fn from(error: waiver::Error) -> Self {
        let field = match error {
            waiver::Error::Unknown => return Self::new(ErrorCode::WaiverUnknown, error.to_string()),
            waiver::Error::RequestReused => return Self::new(ErrorCode::RequestIdReused, error.to_string()),
            waiver::Error::Reason { .. } => "waiver.reason",
            waiver::Error::Approver { .. } => "waiver.approver",
            waiver::Error::EndsInThePast | waiver::Error::LastsTooLong => "waiver.expire_time",
        };
        Self::invalid_field(field, error.to_string())
    }
}

impl From<check_in_settings::Error> for Fault {
    fn from(error: check_in_settings::Error) -> Self {
        let message = error.to_string();
        match error {
            check_in_settings::Error::OutOfBounds(problems) => {
                let fault = Self::new(ErrorCode::ArgumentInvalid, message);
                problems.into_iter().fold(fault, |fault, problem| {
                    fault.with_field(format!("check_in_settings.{}", problem.field), problem.bounds)
                })
            }
            check_in_settings::Error::EtagMismatch { expected, found } => {
                Self::new(ErrorCode::EtagMismatch, message).with("expected", expected).with("found", found)
            }
            check_in_settings::Error::RequestReused => Self::new(ErrorCode::RequestIdReused, message),
        }
    }
}

impl From<session::Error> for Fault {
    fn from(error: session::Error) -> Self {
        match error {}
    }
}

impl From<sync::Error> for Fault {
    fn from(error: sync::Error) -> Self {
        match error {}
    }
}
