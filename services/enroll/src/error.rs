//! How refusals are told to callers, and why the service does not start.

use muster_errors::{ErrorCode, Fault, Retry};
use muster_proto::enroll::v1 as pb;
use tonic::Status;
use tracing::error;

use crate::domain::{enrollment, facts::InvalidFacts, onboarding, onboarding_token, tags::InvalidTags};
use crate::wire::UnreadableFacts;

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
        match error {
            enrollment::Error::Unknown => Self::new(ErrorCode::DeviceUnknown, error.to_string()),
            enrollment::Error::Facts(facts) => facts.into(),
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
