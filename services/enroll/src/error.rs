//! How refusals are told to callers, and why the service does not start.

use muster_errors::{ErrorCode, Fault, Retry};
use muster_proto::enroll::v1 as pb;
use muster_types::EnrollmentCode;
use tonic::Status;
use tracing::error;

use crate::commands::RETRY_AFTER_SECONDS;
use crate::domain::facts::InvalidFacts;
use crate::domain::scope::InvalidScope;
use crate::domain::tags::InvalidTags;
use crate::domain::trouble::InvalidTrouble;
use crate::domain::{enrollment, onboarding, onboarding_token, tenant_settings};
use crate::wire::{UnreadableFacts, UnreadableScope};

/// Why the service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options are missing or make no sense.
    #[error("the enroll service cannot be set up")]
    Config(#[from] Fault),
    /// The service's own certificate cannot be used.
    #[error("the certificate of the enroll service cannot be used")]
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

impl From<onboarding_token::Error> for Fault {
    fn from(error: onboarding_token::Error) -> Self {
        use onboarding_token::Error;
        let message = error.to_string();
        match error {
            Error::Unknown => Self::new(ErrorCode::TokenUnknown, message),
            Error::Expired { expire_time } => {
                Self::new(ErrorCode::TokenExpired, message).with("expire_time", expire_time)
            }
            Error::UsedUp { uses_max } => {
                Self::new(ErrorCode::TokenUsedUp, message).with("uses_max", uses_max)
            }
            Error::Revoked { revoke_time } => {
                Self::new(ErrorCode::TokenRevoked, message).with("revoke_time", revoke_time)
            }
            Error::RequestReused { uses_max } => {
                Self::new(ErrorCode::RequestIdReused, message).with("uses_max", uses_max)
            }
            Error::Platform { platform } => Self::new(ErrorCode::TokenPlatform, message)
                .with("platform", pb::Platform::from(platform).as_str_name()),
            Error::Tags(error) => error.into(),
            Error::DisplayName => Self::invalid_field("display_name", message),
        }
    }
}

impl From<InvalidTags> for Fault {
    fn from(error: InvalidTags) -> Self {
        Self::invalid_field("tags", error.to_string())
    }
}

impl From<enrollment::Error> for Fault {
    fn from(error: enrollment::Error) -> Self {
        use enrollment::Error;
        let message = error.to_string();
        match error {
            Error::Unknown => Self::new(ErrorCode::DeviceUnknown, message),
            Error::Facts(facts) => facts.into(),
            Error::Troubles(troubles) => troubles.into(),
            Error::Tags(tags) => tags.into(),
            Error::Gone { code } => {
                Self::new(ErrorCode::DeviceDeleted, message).with("enrollment_code", code)
            }
            Error::Leaving => {
                let code = EnrollmentCode::Offboarding;
                Self::new(ErrorCode::EnrollmentRefused, message)
                    .with("enrollment_code", code)
                    .with("defender_code", code.shown_defender_code())
                    .with("retry_after_seconds", RETRY_AFTER_SECONDS)
            }
            Error::NoOrder => Self::new(ErrorCode::OrderRefused, message),
        }
    }
}

impl From<InvalidTrouble> for Fault {
    fn from(error: InvalidTrouble) -> Self {
        let InvalidTrouble { field, problem } = error;
        Self::invalid_field(field, problem)
    }
}

impl From<InvalidScope> for Fault {
    fn from(error: InvalidScope) -> Self {
        let InvalidScope { field, problem } = error;
        Self::invalid_field(format!("enforcement_scope.{field}"), problem)
    }
}

impl From<UnreadableScope> for Fault {
    fn from(error: UnreadableScope) -> Self {
        let message = error.to_string();
        Self::invalid_field(format!("enforcement_scope.{}", error.field), message)
    }
}

impl From<tenant_settings::Error> for Fault {
    fn from(error: tenant_settings::Error) -> Self {
        use tenant_settings::Error;
        let message = error.to_string();
        match error {
            Error::Scope(scope) => scope.into(),
            Error::Etag { expected, found } => {
                Self::new(ErrorCode::EtagMismatch, message).with("expected", expected).with("found", found)
            }
        }
    }
}

impl From<onboarding::Error> for Fault {
    fn from(error: onboarding::Error) -> Self {
        match error {
            onboarding::Error::Token(error) => error.into(),
            onboarding::Error::Enrollment(error) => error.into(),
        }
    }
}

impl From<InvalidFacts> for Fault {
    fn from(error: InvalidFacts) -> Self {
        let message = error.to_string();
        let InvalidFacts { field, problem } = error;
        Self::new(ErrorCode::FactsInvalid, message).with_field(format!("facts.{field}"), problem)
    }
}

impl From<UnreadableFacts> for Fault {
    fn from(error: UnreadableFacts) -> Self {
        let message = error.to_string();
        match error {
            UnreadableFacts::Platform(platform) => {
                Self::new(ErrorCode::PlatformUnsupported, message).with("platform", platform)
            }
            UnreadableFacts::HardwareDigest(_)
            | UnreadableFacts::Choice { .. }
            | UnreadableFacts::HardwareKey { .. } => Self::new(ErrorCode::FactsInvalid, message.clone())
                .with_field(format!("facts.{}", error.field()), message),
        }
    }
}
