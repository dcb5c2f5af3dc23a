//! SPIFFE IDs: who a certificate speaks for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use muster_types::{DeviceId, Service, TenantId};

/// Longest name of a trust domain, in bytes.
pub const TRUST_DOMAIN_BYTES_MAX: usize = 128;

/// A trust domain: the authority under which SPIFFE IDs are unique. Lower-case letters, digits, `.`, `-`, `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The domain of an installation that names none.
    #[must_use]
    pub fn local() -> Self {
        Self(Arc::from("muster.local"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        if text.is_empty() || text.len() > TRUST_DOMAIN_BYTES_MAX || !text.bytes().all(sound) {
            return Err(InvalidSpiffeId::of(text));
        }
        Ok(Self(Arc::from(text)))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustDomain({self})")
    }
}

/// Who a certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SpiffeId {
    /// A device: `spiffe://<trust-domain>/tenant/<t>/device/<uuid>`.
    Device {
        /// Who vouches for it.
        domain: TrustDomain,
        /// The tenant it is in.
        tenant: TenantId,
        /// The device.
        device: DeviceId,
    },
    /// One of the four services: `spiffe://<trust-domain>/service/<name>`.
    Service {
        /// Who vouches for it.
        domain: TrustDomain,
        /// The service.
        service: Service,
    },
}

impl SpiffeId {
    /// The ID of a device.
    #[must_use]
    pub const fn device(domain: TrustDomain, tenant: TenantId, device: DeviceId) -> Self {
        Self::Device { domain, tenant, device }
    }

    /// The ID of a service.
    #[must_use]
    pub const fn service(domain: TrustDomain, service: Service) -> Self {
        Self::Service { domain, service }
    }

    /// Who vouches for it.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        match self {
            Self::Device { domain, .. } | Self::Service { domain, .. } => domain,
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device { domain, tenant, device } => {
                write!(f, "spiffe://{domain}/tenant/{tenant}/device/{device}")
            }
            Self::Service { domain, service } => write!(f, "spiffe://{domain}/service/{service}"),
        }
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        let parse = || {
            let mut parts = text.strip_prefix("spiffe://")?.split('/');
            let domain: TrustDomain = parts.next()?.parse().ok()?;
            let id = match parts.next()? {
                "tenant" => {
                    let tenant = parts.next()?.parse().ok()?;
                    (parts.next()? == "device").then_some(())?;
                    Self::Device { domain, tenant, device: parts.next()?.parse().ok()? }
                }
                "service" => Self::Service { domain, service: parts.next()?.parse().ok()? },
                _ => return None,
            };
            parts.next().is_none().then_some(id)
        };
        // Only the one spelling that `Display` makes: names that differ in text must not be one device.
        parse().filter(|id| id.to_string() == text).ok_or_else(|| InvalidSpiffeId::of(text))
    }
}

/// Text that is no SPIFFE ID of a device or service, or no trust domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a trust domain or a SPIFFE ID of a device or service: {found:?}")]
pub struct InvalidSpiffeId {
    /// What stood there, cut to 160 characters.
    pub found: String,
}

impl InvalidSpiffeId {
    fn of(text: &str) -> Self {
        Self { found: text.chars().take(160).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        let device = DeviceId::from_uuid(uuid::Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
        let id = SpiffeId::device(TrustDomain::local(), TenantId::DEFAULT, device);
        assert_eq!(
            id.to_string(),
            "spiffe://muster.local/tenant/default/device/01920000-0000-7000-8000-000000000001"
        );
        assert_eq!(id.to_string().parse(), Ok(id));
        for service in Service::ALL {
            let id = SpiffeId::service("example.org".parse().unwrap(), service);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn what_is_not_exactly_an_id_is_refused() {
        for text in [
            "",
            "spiffe://",
            "https://muster.local/service/policy",
            "spiffe://muster.local/service/policy/",
            "spiffe://muster.local/service/policies",
            "spiffe://Muster.local/service/policy",
            "spiffe://muster.local/service/policy?x=1",
            "spiffe://muster.local/tenant/default/device/01920000-0000-7000-8000-00000000000G",
            "spiffe://muster.local/tenant/default/device/01920000-0000-7000-8000-00000000000A",
            "spiffe://muster.local/tenant/default/user/01920000-0000-7000-8000-000000000001",
            "spiffe://muster.local/tenant//device/01920000-0000-7000-8000-000000000001",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
    }
}
