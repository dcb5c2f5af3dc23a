//! Why a command on an onboarding token is refused.

use muster_types::Timestamp;

use super::DISPLAY_NAME_CHARS_MAX;
use crate::domain::facts::Platform;
use crate::domain::tags::InvalidTags;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such token, or the secret is not its secret.
    #[error("no such onboarding token")]
    Unknown,
    /// Its time is over.
    #[error("the onboarding token expired at {expire_time}")]
    Expired {
        /// When it stopped working.
        expire_time: Timestamp,
    },
    /// It has onboarded as many devices as it may.
    #[error("the onboarding token has onboarded all of its {uses_max} devices")]
    UsedUp {
        /// How many it may.
        uses_max: u32,
    },
    /// It was revoked.
    #[error("the onboarding token was revoked at {revoke_time}")]
    Revoked {
        /// When.
        revoke_time: Timestamp,
    },
    /// The request that made the token comes again with other content.
    #[error("this request id made an onboarding token for {uses_max} devices")]
    RequestReused {
        /// How many devices the token of the first request may onboard.
        uses_max: u32,
    },
    /// It does not let this platform in.
    #[error("the onboarding token does not let {platform:?} in")]
    Platform {
        /// The device's platform.
        platform: Platform,
    },
    /// Its tags are out of bounds.
    #[error(transparent)]
    Tags(#[from] InvalidTags),
    /// Its name for people is out of bounds.
    #[error(
        "a display name has at most {DISPLAY_NAME_CHARS_MAX} characters, none of them a control character"
    )]
    DisplayName,
}
