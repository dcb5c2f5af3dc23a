//! Ids and value types, valid by construction: one private field, one validation, no way around it.
//!
//! Nothing here does I/O or reads a clock; see [`time::Clock`] for how time enters a program.

pub mod canonical;
pub mod enrollment;
pub mod hardware;
pub mod id;
pub mod name;
pub mod setting;
pub mod stream;
pub mod time;

pub use canonical::Canonical;
pub use enrollment::EnrollmentCode;
pub use hardware::{HardwareKey, HardwareKeyKind};
pub use id::{
    DeviceId, DirectoryDeviceId, EventId, GroupId, PolicyId, RequestId, TokenId, TrustAnchorId, WaiverId,
};
pub use name::{ResourceName, TenantId};
pub use setting::{SettingId, SettingValue, WithheldReason};
pub use stream::{Aggregate, Positions, Service, StreamId, Version};
pub use time::{Clock, FixedClock, SystemClock, Timestamp};

/// A SHA-256 digest.
pub type Digest = [u8; 32];
