//! A device as the view keeps it, and as it is shown.

use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::RegistrationKind;
use muster_types::{DeviceId, Digest, EnrollmentCode, TenantId, Timestamp};

use super::index::{FACETS, Facet};
use crate::domain::trouble::Trouble;
use crate::domain::verdict::DeviceClass;

/// A device of the inventory, put together.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// Its id.
    pub id: DeviceId,
    /// What it last said of itself.
    pub facts: pb::DeviceFacts,
    /// Digest of that.
    pub facts_digest: Digest,
    /// Outcome of its enrollment.
    pub status: pb::EnrollmentStatus,
    /// Enrollment code.
    pub code: EnrollmentCode,
    /// What a refusal said; empty when the code says all.
    pub message: Box<str>,
    /// Who manages it.
    pub managed_by: pb::ManagedBy,
    /// Since when.
    pub authority_change_time: Timestamp,
    /// SPIFFE ID of its certificate; empty before it is enrolled.
    pub spiffe_id: Box<str>,
    /// When it was first onboarded.
    pub onboard_time: Timestamp,
    /// When its facts last changed.
    pub facts_change_time: Timestamp,
    /// What kind of device it is.
    pub device_type: pb::DeviceType,
    /// When it was last seen, in seconds since 1970: its last onboarding, facts or check-in.
    pub last_seen: u32,
    /// Tags set by admins and tokens, sorted.
    pub tags: Box<[Box<str>]>,
    /// What identity knows of it.
    pub trust: Trust,
    /// What is known of few.
    pub rare: Rare,
}

/// What identity knows of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// Its number among all that were ever trusted; none before it was.
    pub ordinal: Option<u32>,
    /// What its registration rests on; unspecified when it has none.
    pub kind: RegistrationKind,
    /// Join type as its directory calls it; empty when there is none.
    pub join_type: Box<str>,
}

/// What is known of few devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rare {
    /// When its offboarding order expires, while it is being offboarded.
    pub offboarding_expire_time: Option<Timestamp>,
    /// What last kept it from getting through.
    pub troubles: Box<[Trouble]>,
    /// The device it was merged into.
    pub merged_into: Option<DeviceId>,
}

/// A device as it is kept. What is shared stands elsewhere, under the numbers here.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: DeviceId,
    pub(super) facts_digest: Digest,
    /// See [`super::said`].
    pub(super) own: Box<[u8]>,
    pub(super) onboard_time: Timestamp,
    pub(super) facts_change_time: Timestamp,
    pub(super) authority_change_time: Timestamp,
    /// When it last onboarded or told other facts, in seconds.
    pub(super) heard: u32,
    /// [`NO_ORDINAL`] before it was trusted.
    pub(super) ordinal: u32,
    pub(super) tenant: u32,
    pub(super) common: u32,
    pub(super) class: u32,
    pub(super) tags: u32,
    pub(super) message: u32,
    pub(super) spiffe_id: u32,
    pub(super) join_type: u32,
    pub(super) code: EnrollmentCode,
    pub(super) status: pb::EnrollmentStatus,
    pub(super) managed_by: pb::ManagedBy,
    pub(super) device_type: pb::DeviceType,
    pub(super) platform: pb::Platform,
    pub(super) kind: RegistrationKind,
}

/// Of a device that was never trusted.
pub(super) const NO_ORDINAL: u32 = u32::MAX;

impl Row {
    pub(super) fn facets(&self) -> [Facet; FACETS] {
        [
            Facet::Tenant(self.tenant),
            Facet::Status(self.status),
            Facet::Code(self.code),
            Facet::ManagedBy(self.managed_by),
            Facet::DeviceType(self.device_type),
            Facet::Platform(self.platform),
            Facet::Registration(self.kind),
        ]
    }
}

/// What kind of device it is, in the contract's words.
pub(super) const fn device_type(class: DeviceClass) -> pb::DeviceType {
    match class {
        DeviceClass::UnknownWindows => pb::DeviceType::Unspecified,
        DeviceClass::WindowsClient => pb::DeviceType::Windows,
        DeviceClass::WindowsServer => pb::DeviceType::WindowsServer,
        DeviceClass::DomainController => pb::DeviceType::DomainController,
        DeviceClass::Linux => pb::DeviceType::Linux,
        DeviceClass::Macos => pb::DeviceType::Macos,
    }
}
