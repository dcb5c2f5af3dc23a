//! What a device says of itself ↔ the contract's message.

use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1 as identity;
use muster_types::{Digest, HardwareKey, HardwareKeyKind};

use crate::domain::facts::{
    ConfigMgr, DeviceFacts, DomainRole, LanguageMode, Mdm, MdmProvider, Platform, SecurityProduct,
    TamperProtection,
};

/// Facts that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableFacts {
    /// The platform is not said, or none this version knows.
    #[error("platform {0} is not one that can be managed")]
    Platform(i32),
    /// The hardware digest is no SHA-256.
    #[error("hardware_digest: expected 32 bytes, found {0}")]
    HardwareDigest(usize),
    /// A choice that this version does not know.
    #[error("{field}: {found} is none of its choices")]
    Choice {
        /// Which field.
        field: &'static str,
        /// What stood there.
        found: i32,
    },
    /// A hardware key that is no SHA-256, or of a kind that this version does not know.
    #[error("hardware_keys[{index}]: expected a kind and 32 bytes, found kind {kind} and {length} bytes")]
    HardwareKey {
        /// Which one.
        index: usize,
        /// Its kind.
        kind: i32,
        /// Its length.
        length: usize,
    },
}

impl UnreadableFacts {
    /// The field of the facts that cannot be understood.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Platform(_) => "platform",
            Self::HardwareDigest(_) => "hardware_digest",
            Self::Choice { field, .. } => field,
            Self::HardwareKey { .. } => "hardware_keys",
        }
    }
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
            edition,
            os_build,
            installed_updates,
            server_os,
            domain_role,
            server_core,
            app_compatibility,
            non_persistent_vdi,
            azure_virtual_desktop,
            language_mode,
            mdm,
            config_mgr,
            onboarded_through_cloud_defender,
            device_tags,
            unified_agent,
            hardware_keys,
            tamper_protection,
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
            edition,
            os_build,
            installed_updates,
            server_os,
            domain_role: domain_role.map_or(pb::DomainRole::Unspecified, Into::into).into(),
            server_core,
            app_compatibility,
            non_persistent_vdi,
            azure_virtual_desktop,
            powershell_language_mode: language_mode
                .map_or(pb::PowershellLanguageMode::Unspecified, Into::into)
                .into(),
            mdm: mdm.map(|Mdm { provider, name }| pb::MdmFacts {
                provider: provider.map_or(pb::MdmProvider::Unspecified, Into::into).into(),
                name,
            }),
            config_mgr: config_mgr.map(|ConfigMgr { present, manages_endpoint_protection }| {
                pb::ConfigMgrFacts { present, manages_endpoint_protection }
            }),
            onboarded_through_cloud_defender,
            device_tags,
            unified_agent,
            hardware_keys: hardware_keys.into_iter().map(hardware_key_message).collect(),
            tamper_protection: tamper_protection.map_or(pb::TamperProtection::Unspecified, Into::into).into(),
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
            edition,
            os_build,
            installed_updates,
            server_os,
            domain_role: role,
            server_core,
            app_compatibility,
            non_persistent_vdi,
            azure_virtual_desktop,
            powershell_language_mode: mode,
            mdm,
            config_mgr,
            onboarded_through_cloud_defender,
            device_tags,
            unified_agent,
            hardware_keys,
            tamper_protection: tamper,
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
            edition,
            os_build,
            installed_updates,
            server_os,
            domain_role: domain_role(role)
                .map_err(|found| UnreadableFacts::Choice { field: "domain_role", found })?,
            server_core,
            app_compatibility,
            non_persistent_vdi,
            azure_virtual_desktop,
            language_mode: language_mode(mode)
                .map_err(|found| UnreadableFacts::Choice { field: "powershell_language_mode", found })?,
            mdm: mdm
                .map(|pb::MdmFacts { provider, name }| Ok(Mdm { provider: mdm_provider(provider)?, name }))
                .transpose()
                .map_err(|found| UnreadableFacts::Choice { field: "mdm.provider", found })?,
            config_mgr: config_mgr.map(|pb::ConfigMgrFacts { present, manages_endpoint_protection }| {
                ConfigMgr { present, manages_endpoint_protection }
            }),
            onboarded_through_cloud_defender,
            device_tags,
            unified_agent,
            hardware_keys: hardware_keys
                .into_iter()
                .enumerate()
                .map(|(index, key)| hardware_key(index, &key))
                .collect::<Result<_, _>>()?,
            tamper_protection: tamper_protection(tamper)
                .map_err(|found| UnreadableFacts::Choice { field: "tamper_protection", found })?,
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

impl From<DomainRole> for pb::DomainRole {
    fn from(role: DomainRole) -> Self {
        match role {
            DomainRole::Workgroup => Self::Workgroup,
            DomainRole::DomainJoined => Self::DomainJoined,
            DomainRole::DomainController => Self::DomainController,
        }
    }
}

fn domain_role(role: i32) -> Result<Option<DomainRole>, i32> {
    Ok(match pb::DomainRole::try_from(role).map_err(|_| role)? {
        pb::DomainRole::Unspecified => None,
        pb::DomainRole::Workgroup => Some(DomainRole::Workgroup),
        pb::DomainRole::DomainJoined => Some(DomainRole::DomainJoined),
        pb::DomainRole::DomainController => Some(DomainRole::DomainController),
    })
}

impl From<TamperProtection> for pb::TamperProtection {
    fn from(tamper: TamperProtection) -> Self {
        match tamper {
            TamperProtection::Off => Self::Off,
            TamperProtection::On => Self::On,
            TamperProtection::OnWithExclusions => Self::OnWithExclusions,
            TamperProtection::NotApplicable => Self::NotApplicable,
        }
    }
}

fn tamper_protection(tamper: i32) -> Result<Option<TamperProtection>, i32> {
    Ok(match pb::TamperProtection::try_from(tamper).map_err(|_| tamper)? {
        pb::TamperProtection::Unspecified => None,
        pb::TamperProtection::Off => Some(TamperProtection::Off),
        pb::TamperProtection::On => Some(TamperProtection::On),
        pb::TamperProtection::OnWithExclusions => Some(TamperProtection::OnWithExclusions),
        pb::TamperProtection::NotApplicable => Some(TamperProtection::NotApplicable),
    })
}

impl From<LanguageMode> for pb::PowershellLanguageMode {
    fn from(mode: LanguageMode) -> Self {
        match mode {
            LanguageMode::Full => Self::Full,
            LanguageMode::Constrained => Self::Constrained,
        }
    }
}

fn language_mode(mode: i32) -> Result<Option<LanguageMode>, i32> {
    Ok(match pb::PowershellLanguageMode::try_from(mode).map_err(|_| mode)? {
        pb::PowershellLanguageMode::Unspecified => None,
        pb::PowershellLanguageMode::Full => Some(LanguageMode::Full),
        pb::PowershellLanguageMode::Constrained => Some(LanguageMode::Constrained),
    })
}

impl From<MdmProvider> for pb::MdmProvider {
    fn from(provider: MdmProvider) -> Self {
        match provider {
            MdmProvider::None => Self::None,
            MdmProvider::Intune => Self::Intune,
            MdmProvider::Other => Self::Other,
        }
    }
}

fn mdm_provider(provider: i32) -> Result<Option<MdmProvider>, i32> {
    Ok(match pb::MdmProvider::try_from(provider).map_err(|_| provider)? {
        pb::MdmProvider::Unspecified => None,
        pb::MdmProvider::None => Some(MdmProvider::None),
        pb::MdmProvider::Intune => Some(MdmProvider::Intune),
        pb::MdmProvider::Other => Some(MdmProvider::Other),
    })
}

fn hardware_key_message(HardwareKey { kind, digest }: HardwareKey) -> identity::HardwareKey {
    let kind = match kind {
        HardwareKeyKind::TpmEk => identity::HardwareKeyKind::TpmEk,
        HardwareKeyKind::SmbiosUuid => identity::HardwareKeyKind::SmbiosUuid,
        HardwareKeyKind::Serial => identity::HardwareKeyKind::Serial,
        HardwareKeyKind::MachineId => identity::HardwareKeyKind::MachineId,
    };
    identity::HardwareKey { kind: kind.into(), digest: digest.to_vec() }
}

fn hardware_key(index: usize, key: &identity::HardwareKey) -> Result<HardwareKey, UnreadableFacts> {
    let identity::HardwareKey { kind, digest } = key;
    let unreadable = || UnreadableFacts::HardwareKey { index, kind: *kind, length: digest.len() };
    let kind = match identity::HardwareKeyKind::try_from(*kind).map_err(|_| unreadable())? {
        identity::HardwareKeyKind::Unspecified => return Err(unreadable()),
        identity::HardwareKeyKind::TpmEk => HardwareKeyKind::TpmEk,
        identity::HardwareKeyKind::SmbiosUuid => HardwareKeyKind::SmbiosUuid,
        identity::HardwareKeyKind::Serial => HardwareKeyKind::Serial,
        identity::HardwareKeyKind::MachineId => HardwareKeyKind::MachineId,
    };
    Ok(HardwareKey { kind, digest: Digest::try_from(&digest[..]).map_err(|_| unreadable())? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::domain::facts::tests::{a_linux_device, a_mac, a_windows_client, everything};
    use crate::domain::scope::Scope;
    use crate::domain::verdict::{Traits, assess};

    #[test]
    fn facts_round_trip() {
        for facts in [a_linux_device(), a_windows_client(), a_mac(), everything()] {
            assert_eq!(DeviceFacts::try_from(pb::DeviceFacts::from(facts.clone())), Ok(facts));
        }
    }

    #[test]
    fn what_was_not_collected_stays_so() {
        let bare = DeviceFacts::bare(Platform::Windows, [1; 32]);
        assert_eq!(DeviceFacts::try_from(pb::DeviceFacts::from(bare.clone())), Ok(bare));
    }

    proptest! {
        /// What fuzzing does, in small: any bytes, and good facts with some bytes changed.
        #[test]
        fn any_bytes_are_refused_or_decided(
            junk in prop::collection::vec(any::<u8>(), 0..64),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut changed = pb::DeviceFacts::from(everything()).encode_to_vec();
            for (at, byte) in changes {
                let at = at.index(changed.len());
                changed[at] = byte;
            }
            for bytes in [junk, changed] {
                let Ok(message) = pb::DeviceFacts::decode(&bytes[..]) else { continue };
                let Ok(facts) = DeviceFacts::try_from(message) else { continue };
                let verdict = assess(&Traits::of(&facts), &[], &Scope::default());
                prop_assert!(!verdict.message.is_empty());
                let again = DeviceFacts::try_from(pb::DeviceFacts::from(facts.clone()));
                prop_assert_eq!(again.map(|facts| facts.digest()), Ok(facts.digest()));
                if facts.check().is_ok() {
                    prop_assert!(verdict.message.len() <= 1_024, "{}", verdict.message);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_the_field() {
        type Change = fn(&mut pb::DeviceFacts);
        let changes: [(&str, Change); 9] = [
            ("platform", |f| f.platform = 0),
            ("platform", |f| f.platform = 9),
            ("hardware_digest", |f| f.hardware_digest.clear()),
            ("domain_role", |f| f.domain_role = -1),
            ("tamper_protection", |f| f.tamper_protection = -1),
            ("powershell_language_mode", |f| f.powershell_language_mode = 7),
            ("mdm.provider", |f| f.mdm = Some(pb::MdmFacts { provider: 4, name: String::new() })),
            ("hardware_keys", |f| f.hardware_keys[0].kind = 0),
            ("hardware_keys", |f| f.hardware_keys[1].digest.push(0)),
        ];
        for (field, change) in changes {
            let mut message = pb::DeviceFacts::from(everything());
            change(&mut message);
            assert_eq!(DeviceFacts::try_from(message).map_err(|e| e.field()), Err(field));
        }
    }
}
