//! Identities: 16 bytes in memory, in the log and on the wire; UUID text for people.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Text or bytes that are no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a UUID such as 0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f, found {found:?}")]
pub struct InvalidId {
    /// What stood there, cut to 64 characters.
    pub found: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID as it is.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id as a UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Reads the 16 bytes of the wire and the log.
            ///
            /// # Errors
            /// [`InvalidId`] when there are not exactly 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidId> {
                Uuid::from_slice(bytes)
                    .map(Self)
                    .map_err(|_| InvalidId { found: format!("{} bytes", bytes.len()) })
            }

            /// The 16 bytes of the wire and the log.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| InvalidId { found: text.chars().take(64).collect() })
            }
        }
    };
}

id!(
    /// An authority whose certificates prove full registrations.
    TrustAnchorId
);
id!(
    /// A device as a directory knows it; derived from the tenant and the directory's id.
    DirectoryDeviceId
);
id!(
    /// A device, for as long as it is managed; it survives a change of registration.
    DeviceId
);
id!(
    /// A group of devices.
    GroupId
);
id!(
    /// An endpoint security policy.
    PolicyId
);
id!(
    /// An onboarding token (its public part).
    TokenId
);
id!(
    /// An exemption of devices from a setting or a policy.
    WaiverId
);
id!(
    /// An event. Comes with the command, so that a retried command brings the same id.
    EventId
);
id!(
    /// A request: a repeat with the same id is the same request.
    RequestId
);

/// Name space under which ids are derived from others (UUIDv5).
const DERIVED: Uuid = Uuid::from_bytes([
    0x6d, 0x75, 0x73, 0x74, 0x65, 0x72, 0x5e, 0x01, 0x9a, 0x10, 0x64, 0x65, 0x72, 0x69, 0x76, 0x65,
]);

/// Derives an id from others and a purpose: the same inputs give the same id, for ever.
///
/// Used where redelivery must not make something twice: the event of a reaction, the stream of an assignment.
#[must_use]
pub fn derive(purpose: &str, sources: &[&[u8]]) -> Uuid {
    let mut bytes =
        Vec::with_capacity(purpose.len() + 1 + sources.iter().map(|s| s.len() + 4).sum::<usize>());
    bytes.extend_from_slice(purpose.as_bytes());
    bytes.push(0);
    for source in sources {
        bytes.extend_from_slice(&u32::try_from(source.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(source);
    }
    Uuid::new_v5(&DERIVED, &bytes)
}

impl DirectoryDeviceId {
    /// The id of the device that a tenant's directory knows by an id of its own. Directories do not tell their ids apart by
    /// case.
    #[must_use]
    pub fn of(tenant: crate::TenantId, directory_id: &str) -> Self {
        let id = directory_id.to_lowercase();
        Self(derive("directory-device", &[tenant.as_str().as_bytes(), id.as_bytes()]))
    }
}

impl EventId {
    /// The id of the `index`-th event that a request makes.
    #[must_use]
    pub fn of_request(request: RequestId, index: u32) -> Self {
        Self(derive("event-of-request", &[request.as_bytes(), &index.to_be_bytes()]))
    }

    /// The id of the event by which `reaction` answers `source`.
    #[must_use]
    pub fn of_reaction(source: EventId, reaction: &str) -> Self {
        Self(derive("event-of-reaction", &[source.as_bytes(), reaction.as_bytes()]))
    }
}

impl RequestId {
    /// A new id for a request that brought none.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let id = DeviceId::from_uuid(derive("x", &[b"y"]));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(DeviceId::from_slice(id.as_bytes()), Ok(id));
    }

    #[test]
    fn junk_is_refused_with_what_was_found() {
        assert_eq!("web-01".parse::<DeviceId>(), Err(InvalidId { found: "web-01".into() }));
        assert_eq!(DeviceId::from_slice(&[1, 2]), Err(InvalidId { found: "2 bytes".into() }));
    }

    #[test]
    fn ids_of_a_directory_are_not_told_apart_by_case() {
        let of = |id| DirectoryDeviceId::of(crate::TenantId::DEFAULT, id);
        assert_eq!(of("9F0E1D2C"), of("9f0e1d2c"));
        assert_ne!(of("9f0e1d2c"), of("9f0e1d2d"));
    }

    #[test]
    fn derived_ids_separate_their_parts() {
        assert_ne!(derive("p", &[b"ab", b"c"]), derive("p", &[b"a", b"bc"]));
        assert_ne!(derive("p", &[b"a"]), derive("q", &[b"a"]));
    }
}
