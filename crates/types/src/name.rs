//! Names: the tenant, and resource names in the AIP-122 form `tenants/{tenant}/devices/{device}`.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::{DeviceId, DirectoryDeviceId, GroupId, PolicyId, TokenId, TrustAnchorId, WaiverId};

/// Longest tenant id, in bytes.
pub const TENANT_BYTES_MAX: usize = 32;

/// A tenant: 1 to 32 lower-case letters, digits and hyphens, beginning with a letter. Copied freely.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId {
    len: u8,
    bytes: [u8; TENANT_BYTES_MAX],
}

/// Text that is no tenant id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tenant id: expected 1 to 32 of a-z, 0-9 and '-', beginning with a letter, found {found:?}")]
pub struct InvalidTenant {
    /// What stood there, cut to 64 characters.
    pub found: String,
}

impl TenantId {
    /// The tenant of an installation that has one: `default`.
    pub const DEFAULT: Self = {
        let mut bytes = [0; TENANT_BYTES_MAX];
        let name = b"default";
        let mut i = 0;
        while i < name.len() {
            bytes[i] = name[i];
            i += 1;
        }
        Self { len: 7, bytes }
    };

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenant;

    fn from_str(text: &str) -> Result<Self, InvalidTenant> {
        let refused = || InvalidTenant { found: text.chars().take(64).collect() };
        let raw = text.as_bytes();
        let well_formed = raw.first().is_some_and(u8::is_ascii_lowercase)
            && raw.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        let len = u8::try_from(raw.len()).map_err(|_| refused())?;
        if !well_formed || raw.len() > TENANT_BYTES_MAX {
            return Err(refused());
        }
        let mut bytes = [0; TENANT_BYTES_MAX];
        bytes[..raw.len()].copy_from_slice(raw);
        Ok(Self { len, bytes })
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.as_str())
    }
}

/// A resource name of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceName {
    /// `tenants/{tenant}`
    Tenant(TenantId),
    /// `tenants/{tenant}/devices/{device}`
    Device(TenantId, DeviceId),
    /// `tenants/{tenant}/groups/{group}`
    Group(TenantId, GroupId),
    /// `tenants/{tenant}/policies/{policy}`
    Policy(TenantId, PolicyId),
    /// `tenants/{tenant}/onboardingTokens/{token}`
    OnboardingToken(TenantId, TokenId),
    /// `tenants/{tenant}/policies/{policy}/assignments/{group}`
    Assignment(TenantId, PolicyId, GroupId),
    /// `tenants/{tenant}/registrations/{device}`
    Registration(TenantId, DeviceId),
    /// `tenants/{tenant}/trustAnchors/{anchor}`
    TrustAnchor(TenantId, TrustAnchorId),
    /// `tenants/{tenant}/directoryDevices/{id}`
    DirectoryDevice(TenantId, DirectoryDeviceId),
    /// `tenants/{tenant}/enforcementScope`
    EnforcementScope(TenantId),
    /// `tenants/{tenant}/waivers/{waiver}`
    Waiver(TenantId, WaiverId),
    /// `tenants/{tenant}/checkInSettings`
    CheckInSettings(TenantId),
    /// `tenants/{tenant}/reportSettings`
    ReportSettings(TenantId),
}

/// Text that is no resource name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a resource name: expected a form such as tenants/default/devices/{{uuid}}, found {found:?}")]
pub struct InvalidResourceName {
    /// What stood there, cut to 128 characters.
    pub found: String,
}

impl ResourceName {
    /// The tenant in the name.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        match *self {
            Self::Tenant(tenant)
            | Self::Device(tenant, _)
            | Self::Group(tenant, _)
            | Self::Policy(tenant, _)
            | Self::OnboardingToken(tenant, _)
            | Self::Assignment(tenant, _, _)
            | Self::Registration(tenant, _)
            | Self::TrustAnchor(tenant, _)
            | Self::DirectoryDevice(tenant, _)
            | Self::EnforcementScope(tenant)
            | Self::Waiver(tenant, _)
            | Self::CheckInSettings(tenant)
            | Self::ReportSettings(tenant) => tenant,
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(t) => write!(f, "tenants/{t}"),
            Self::Device(t, id) => write!(f, "tenants/{t}/devices/{id}"),
            Self::Group(t, id) => write!(f, "tenants/{t}/groups/{id}"),
            Self::Policy(t, id) => write!(f, "tenants/{t}/policies/{id}"),
            Self::OnboardingToken(t, id) => write!(f, "tenants/{t}/onboardingTokens/{id}"),
            Self::Assignment(t, policy, group) => {
                write!(f, "tenants/{t}/policies/{policy}/assignments/{group}")
            }
            Self::Registration(t, id) => write!(f, "tenants/{t}/registrations/{id}"),
            Self::TrustAnchor(t, id) => write!(f, "tenants/{t}/trustAnchors/{id}"),
            Self::DirectoryDevice(t, id) => write!(f, "tenants/{t}/directoryDevices/{id}"),
            Self::EnforcementScope(t) => write!(f, "tenants/{t}/enforcementScope"),
            Self::Waiver(t, id) => write!(f, "tenants/{t}/waivers/{id}"),
            Self::CheckInSettings(t) => write!(f, "tenants/{t}/checkInSettings"),
            Self::ReportSettings(t) => write!(f, "tenants/{t}/reportSettings"),
        }
    }
}

impl FromStr for ResourceName {
    type Err = InvalidResourceName;

    fn from_str(text: &str) -> Result<Self, InvalidResourceName> {
        parse(text).ok_or_else(|| InvalidResourceName { found: text.chars().take(128).collect() })
    }
}

fn parse(text: &str) -> Option<ResourceName> {
    let mut segments = text.split('/');
    if segments.next()? != "tenants" {
        return None;
    }
    let tenant: TenantId = segments.next()?.parse().ok()?;
    let Some(collection) = segments.next() else { return Some(ResourceName::Tenant(tenant)) };
    let Some(id) = segments.next() else {
        return match collection {
            "enforcementScope" => Some(ResourceName::EnforcementScope(tenant)),
            "checkInSettings" => Some(ResourceName::CheckInSettings(tenant)),
            "reportSettings" => Some(ResourceName::ReportSettings(tenant)),
            _ => None,
        };
    };
    let id = uuid(id)?;
    let rest = (segments.next(), segments.next(), segments.next());
    match (collection, rest) {
        ("devices", (None, ..)) => Some(ResourceName::Device(tenant, DeviceId::from_uuid(id))),
        ("groups", (None, ..)) => Some(ResourceName::Group(tenant, GroupId::from_uuid(id))),
        ("policies", (None, ..)) => Some(ResourceName::Policy(tenant, PolicyId::from_uuid(id))),
        ("registrations", (None, ..)) => Some(ResourceName::Registration(tenant, DeviceId::from_uuid(id))),
        ("trustAnchors", (None, ..)) => Some(ResourceName::TrustAnchor(tenant, TrustAnchorId::from_uuid(id))),
        ("waivers", (None, ..)) => Some(ResourceName::Waiver(tenant, WaiverId::from_uuid(id))),
        ("directoryDevices", (None, ..)) => {
            Some(ResourceName::DirectoryDevice(tenant, DirectoryDeviceId::from_uuid(id)))
        }
        ("onboardingTokens", (None, ..)) => {
            Some(ResourceName::OnboardingToken(tenant, TokenId::from_uuid(id)))
        }
        ("policies", (Some("assignments"), Some(group), None)) => {
            Some(ResourceName::Assignment(tenant, PolicyId::from_uuid(id), GroupId::from_uuid(uuid(group)?)))
        }
        _ => None,
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_short_lower_case_slugs() {
        assert_eq!("default".parse(), Ok(TenantId::DEFAULT));
        for bad in ["", "Default", "1a", "a_b", "a.b", &"a".repeat(33)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn names_round_trip() {
        let id = crate::id::derive("test", &[b"n"]);
        let t = TenantId::DEFAULT;
        for name in [
            ResourceName::Tenant(t),
            ResourceName::Device(t, DeviceId::from_uuid(id)),
            ResourceName::Group(t, GroupId::from_uuid(id)),
            ResourceName::Policy(t, PolicyId::from_uuid(id)),
            ResourceName::OnboardingToken(t, TokenId::from_uuid(id)),
            ResourceName::Assignment(t, PolicyId::from_uuid(id), GroupId::from_uuid(id)),
            ResourceName::Registration(t, DeviceId::from_uuid(id)),
            ResourceName::TrustAnchor(t, TrustAnchorId::from_uuid(id)),
            ResourceName::DirectoryDevice(t, DirectoryDeviceId::from_uuid(id)),
            ResourceName::EnforcementScope(t),
            ResourceName::Waiver(t, WaiverId::from_uuid(id)),
            ResourceName::CheckInSettings(t),
            ResourceName::ReportSettings(t),
        ] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [
            "",
            "tenants",
            "tenants/default/devices",
            "tenants/default/devices/x",
            "devices/x",
            "tenants/default/devices/0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f/x",
        ] {
            assert!(bad.parse::<ResourceName>().is_err(), "{bad:?} passed");
        }
    }
}
