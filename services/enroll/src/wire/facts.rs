//! What a device says of itself ↔ the contract's message.

use muster_proto::enroll::v1 as pb;
use muster_types::Digest;

use crate::domain::facts::{DeviceFacts, Platform, SecurityProduct};

/// Facts that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableFacts {
    /// The platform is not said, or none this version knows.
    #[error("platform {0} is not one that can be managed")]
    Platform(i32),
    /// The hardware digest is no SHA-256.
    #[error("hardware_digest: expected 32 bytes, found {0}")]
    HardwareDigest(usize),
}

impl From<DeviceFacts> for pb::DeviceFacts {
    fn from(facts: DeviceFacts) -> Self {
        let DeviceFacts {
            platform,
            hostname,
            os_id,
            os_version,
            os_name,
            kernel_release,
            architecture,
            agent_version,
            hardware_digest,
            board_vendor,
            product_name,
            security_products,
        } = facts;
        Self {
            platform: pb::Platform::from(platform).into(),
            hostname,
            os_id,
            os_version,
            os_name,
            kernel_release,
            architecture,
            agent_version,
            hardware_digest: hardware_digest.to_vec(),
            board_vendor,
            product_name,
            security_products: security_products
                .into_iter()
                .map(|SecurityProduct { id, version }| pb::SecurityProduct { id, version })
                .collect(),
            ..Self::default()
        }
    }
}

impl TryFrom<pb::DeviceFacts> for DeviceFacts {
    type Error = UnreadableFacts;

    fn try_from(facts: pb::DeviceFacts) -> Result<Self, UnreadableFacts> {
        let pb::DeviceFacts {
            platform,
            hostname,
            os_id,
            os_version,
            os_name,
            kernel_release,
            architecture,
            agent_version,
            hardware_digest,
            board_vendor,
            product_name,
            security_products,
            ..
        } = facts;
        Ok(Self {
            platform: supported(platform).ok_or(UnreadableFacts::Platform(platform))?,
            hostname,
            os_id,
            os_version,
            os_name,
            kernel_release,
            architecture,
            agent_version,
            hardware_digest: Digest::try_from(&hardware_digest[..])
                .map_err(|_| UnreadableFacts::HardwareDigest(hardware_digest.len()))?,
            board_vendor,
            product_name,
            security_products: security_products
                .into_iter()
                .map(|pb::SecurityProduct { id, version }| SecurityProduct { id, version })
                .collect(),
        })
    }
}

impl From<Platform> for pb::Platform {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::Windows => Self::Windows,
            Platform::Linux => Self::Linux,
            Platform::Macos => Self::Macos,
        }
    }
}

fn supported(platform: i32) -> Option<Platform> {
    match pb::Platform::try_from(platform).ok()? {
        pb::Platform::Unspecified => None,
        pb::Platform::Windows => Some(Platform::Windows),
        pb::Platform::Linux => Some(Platform::Linux),
        pb::Platform::Macos => Some(Platform::Macos),
    }
}
