//! What happened to an enrollment.

use muster_types::{DeviceId, Digest, EnrollmentCode, RequestId, Timestamp, TokenId};

use crate::domain::facts::DeviceFacts;
use crate::domain::trouble::Trouble;

/// Who manages a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManagedBy {
    /// This channel.
    Muster,
    /// A mobile device management service.
    Mdm,
    /// Microsoft Configuration Manager.
    ConfigMgr,
    /// Nobody.
    Nobody,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device presented a good token and a key. Unless it is refused in the same breath, the token is used.
    Onboarded {
        /// The token it came with.
        token: TokenId,
        /// SHA-256 of its public key.
        key_digest: Digest,
        /// What its survey found.
        facts: DeviceFacts,
        /// The request that onboarded it; stands in the envelope as the correlation id.
        request: RequestId,
    },
    /// What the device says of itself changed.
    FactsChanged {
        /// What its survey found.
        facts: DeviceFacts,
    },
    /// The device was refused before trust was established, and may be enrolled now.
    Permitted {
        /// Version of the tenant's settings that this was decided by.
        scope_version: u64,
    },
    /// Trust is established, and the device is enrolled.
    Succeeded {
        /// SPIFFE ID of its certificate.
        spiffe_id: Box<str>,
        /// Who manages it from now on.
        managed_by: ManagedBy,
        /// `ENROLLED`, or a warning.
        code: EnrollmentCode,
        /// Version of the tenant's settings that this was decided by.
        scope_version: u64,
    },
    /// This channel may not manage the device. Its trust, if it has one, stays.
    Refused {
        /// Why.
        code: EnrollmentCode,
        /// The reason for people.
        message: Box<str>,
        /// Version of the tenant's settings that this was decided by.
        scope_version: u64,
        /// The request that led to it; stands in the envelope as the correlation id.
        request: RequestId,
    },
    /// Who manages the device changed.
    AuthorityChanged {
        /// Who managed it.
        from: ManagedBy,
        /// Who manages it from now on.
        to: ManagedBy,
        /// Why.
        code: EnrollmentCode,
    },
    /// Tags were set or taken off; both sorted.
    Tagged {
        /// Tags set.
        added: Vec<Box<str>>,
        /// Tags taken off.
        removed: Vec<Box<str>>,
    },
    /// The device told what had kept it from getting through.
    TroubleReported {
        /// What it was.
        troubles: Vec<Trouble>,
    },
    /// An admin asked for the device's offboarding.
    OffboardingRequested {
        /// When the order expires.
        expire_time: Timestamp,
    },
    /// The device confirmed its offboarding.
    Offboarded(TakenBack),
    /// The device was deleted.
    Deleted,
    /// The device turned out to be another one that is known already.
    Merged {
        /// The device that lives on.
        into: DeviceId,
    },
    /// An admin lets the device onboard again.
    ReenrollmentAllowed,
}

/// What an offboarded device did with the settings it had enforced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakenBack {
    /// Settings that were taken back.
    pub reverted: Vec<String>,
    /// Settings that stay.
    pub kept: Vec<String>,
    /// Settings that could not be taken back, with the reason.
    pub failed: Vec<String>,
}
