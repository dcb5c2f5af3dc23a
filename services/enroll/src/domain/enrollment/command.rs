//! What may be asked of an enrollment.

use muster_types::{DeviceId, Digest, RequestId, Timestamp, TokenId};

use super::event::TakenBack;
use crate::domain::facts::DeviceFacts;
use crate::domain::scope::Scope;
use crate::domain::trouble::Trouble;

/// What a decision about a device depends on beside the device itself.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The tenant's enforcement scope.
    pub scope: &'a Scope,
    /// Version of the tenant's settings that hold it; 0 when it is the default.
    pub scope_version: u64,
    /// Whether the tenant has a seat for the device.
    pub seat: Seat,
    /// The request that asks; stands in the envelope as the correlation id.
    pub request: RequestId,
}

/// Whether a tenant has a seat for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// There is one.
    Free,
    /// All are taken; a device that has one keeps it.
    Taken,
    /// More are taken than there are; this device gives up the one it has.
    Withdrawn,
}

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Take the device in.
    Onboard {
        /// The token it comes with.
        token: TokenId,
        /// Tags that the token gives, sorted.
        tags: Vec<Box<str>>,
        /// SHA-256 of its public key.
        key_digest: Digest,
        /// What its survey found.
        facts: DeviceFacts,
        /// What had kept it from getting through.
        troubles: Vec<Trouble>,
    },
    /// Note what the device says of itself.
    ReportFacts {
        /// What its survey found.
        facts: DeviceFacts,
        /// What had kept it from getting through; none when there is nothing new.
        troubles: Vec<Trouble>,
    },
    /// Note that trust is established.
    Succeed {
        /// SHA-256 of the public key that is trusted.
        key_digest: Digest,
        /// SPIFFE ID of its certificate.
        spiffe_id: Box<str>,
    },
    /// Decide anew.
    Redecide,
    /// Set tags and take tags off; both sorted.
    Tag {
        /// Tags to set.
        add: Vec<Box<str>>,
        /// Tags to take off.
        remove: Vec<Box<str>>,
    },
    /// Ask the device to take back what was enforced.
    RequestOffboarding {
        /// When the order expires.
        expire_time: Timestamp,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Note that the device took back what was enforced.
    ConfirmOffboarding(TakenBack),
    /// Delete the device.
    Delete,
    /// Note that the device is another one that is known already.
    Merge {
        /// The device that lives on.
        into: DeviceId,
    },
    /// Let a device that is gone onboard again.
    AllowReenrollment,
}
