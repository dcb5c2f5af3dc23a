//! Streams: the ordered events of one aggregate, and which service owns which kind.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::TenantId;

/// One of the four services. Each appends only to its own part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Service {
    /// Front door: onboarding, survey, inventory.
    Enroll = 1,
    /// Directory and trust: registrations, certificates, groups.
    Identity = 2,
    /// Catalogue, authoring, assignment, resolving, check-in.
    Policy = 3,
    /// What devices say, and every number made of it.
    Report = 4,
}

impl Service {
    /// All four, in the order a device meets them.
    pub const ALL: [Self; 4] = [Self::Enroll, Self::Identity, Self::Policy, Self::Report];

    /// The name in subjects, resource names and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Identity => "identity",
            Self::Policy => "policy",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names none of what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: {found:?}")]
pub struct UnknownName {
    /// What kind of name was expected, with the choices.
    pub expected: &'static str,
    /// What stood there, cut to 64 characters.
    pub found: String,
}

impl FromStr for Service {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|service| service.as_str() == text).ok_or_else(|| UnknownName {
            expected: "a service (enroll, identity, policy, report)",
            found: text.chars().take(64).collect(),
        })
    }
}

/// A kind of aggregate. Each belongs to one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Aggregate {
    /// An onboarding token.
    OnboardingToken = 1,
    /// A device's enrollment; the id is the device's.
    Enrollment = 2,
    /// A device's registration; the id is the device's.
    Registration = 3,
    /// A group of devices.
    Group = 4,
    /// A policy with its revisions.
    Policy = 5,
    /// A policy's tie to a group; the id is derived from both.
    Assignment = 6,
    /// Requests that a device check in at once; the id is the device's.
    Sync = 7,
    /// What a device last said of its settings; the id is the device's.
    DeviceStatus = 8,
    /// A tenant's settings, the enforcement scope above all; a tenant has one.
    TenantSettings = 9,
    /// An authority whose certificates prove full registrations.
    TrustAnchor = 10,
    /// A device as a directory knows it; the id is derived from the directory's.
    DirectoryDevice = 11,
    /// Sessions of a device; the id is the device's.
    Session = 12,
    /// Which devices were seen when; a tenant has one.
    Presence = 13,
    /// An exemption of devices from a setting or a policy.
    Waiver = 14,
    /// How devices check in; a tenant has one.
    CheckInSettings = 15,
    /// What each device should have, as resolved; a tenant has one.
    Resolution = 16,
    /// Which policies went out to devices; a tenant has one.
    Delivery = 17,
    /// When devices count as stale or drifting; a tenant has one.
    ReportSettings = 18,
}

impl Aggregate {
    /// Every kind.
    pub const ALL: [Self; 18] = [
        Self::OnboardingToken,
        Self::Enrollment,
        Self::Registration,
        Self::Group,
        Self::Policy,
        Self::Assignment,
        Self::Sync,
        Self::DeviceStatus,
        Self::TenantSettings,
        Self::TrustAnchor,
        Self::DirectoryDevice,
        Self::Session,
        Self::Presence,
        Self::Waiver,
        Self::CheckInSettings,
        Self::Resolution,
        Self::Delivery,
        Self::ReportSettings,
    ];

    /// The name in subjects and envelopes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnboardingToken => "onboarding_token",
            Self::Enrollment => "enrollment",
            Self::Registration => "registration",
            Self::Group => "group",
            Self::Policy => "policy",
            Self::Assignment => "assignment",
            Self::Sync => "sync",
            Self::DeviceStatus => "device_status",
            Self::TenantSettings => "tenant_settings",
            Self::TrustAnchor => "trust_anchor",
            Self::DirectoryDevice => "directory_device",
            Self::Session => "session",
            Self::Presence => "presence",
            Self::Waiver => "waiver",
            Self::CheckInSettings => "check_in_settings",
            Self::Resolution => "resolution",
            Self::Delivery => "delivery",
            Self::ReportSettings => "report_settings",
        }
    }

    /// The service that owns this kind, the only one that appends to its streams.
    #[must_use]
    pub const fn service(self) -> Service {
        match self {
            Self::OnboardingToken | Self::Enrollment | Self::TenantSettings => Service::Enroll,
            Self::Registration | Self::Group | Self::TrustAnchor | Self::DirectoryDevice => Service::Identity,
            Self::Policy
            | Self::Assignment
            | Self::Sync
            | Self::Session
            | Self::Presence
            | Self::Waiver
            | Self::CheckInSettings
            | Self::Resolution
            | Self::Delivery => Service::Policy,
            Self::DeviceStatus | Self::ReportSettings => Service::Report,
        }
    }

    /// The kind with this discriminant, as stored in keys.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregate| *aggregate as u8 == byte)
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Aggregate {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|aggregate| aggregate.as_str() == text).ok_or_else(|| UnknownName {
            expected: "a kind of aggregate (onboarding_token, enrollment, registration, group, policy, assignment, sync, device_status, tenant_settings, trust_anchor, directory_device, session, presence, waiver, check_in_settings, resolution, delivery, report_settings)",
            found: text.chars().take(64).collect(),
        })
    }
}

/// How many events a stream has: 0 before the first, without a gap after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// Nothing there yet.
    pub const NONE: Self = Self(0);

    /// The version one event later.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far something has folded the four logs: the last position of each; 0 where nothing was read.
///
/// As text it is the position token that mutating replies carry and readers may pass: `enroll:3,policy:7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Positions([u64; 4]);

impl Positions {
    /// Nothing read.
    pub const ZERO: Self = Self([0; 4]);

    /// One service's position.
    #[must_use]
    pub const fn of(service: Service, position: u64) -> Self {
        let mut positions = Self::ZERO;
        positions.0[service as usize - 1] = position;
        positions
    }

    /// The position in a service's log.
    #[must_use]
    pub const fn get(&self, service: Service) -> u64 {
        self.0[service as usize - 1]
    }

    /// Moves a service's position forward; it never goes back.
    pub fn advance(&mut self, service: Service, position: u64) {
        let current = &mut self.0[service as usize - 1];
        *current = position.max(*current);
    }

    /// The further of both, service by service.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        for service in Service::ALL {
            self.advance(service, other.get(service));
        }
        self
    }

    /// Whether this is at least as far as `wanted` in every one of `services`; others do not count.
    #[must_use]
    pub fn reach(&self, wanted: &Self, services: &[Service]) -> bool {
        services.iter().all(|service| self.get(*service) >= wanted.get(*service))
    }

    /// All four added up: rises with every event folded, whatever its service.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for service in Service::ALL {
            if self.get(service) > 0 {
                write!(f, "{}{service}:{}", if first { "" } else { "," }, self.get(service))?;
                first = false;
            }
        }
        Ok(())
    }
}

impl FromStr for Positions {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let refused = || UnknownName {
            expected: "a position token (such as enroll:3,policy:7)",
            found: text.chars().take(128).collect(),
        };
        let mut positions = Self::ZERO;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (service, position) = part.split_once(':').ok_or_else(refused)?;
            let service: Service = service.parse().map_err(|_| refused())?;
            positions.advance(service, position.parse().map_err(|_| refused())?);
        }
        Ok(positions)
    }
}

/// Number of virtual partitions a service's log is spread over.
pub const PARTITIONS: u16 = 256;

/// A stream: the events of one aggregate. Its subject on NATS is
/// `muster.v1.<service>.<tenant>.<pp>.<aggregate>.<id>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The tenant.
    pub tenant: TenantId,
    /// The kind of aggregate, and by it the service.
    pub aggregate: Aggregate,
    /// The aggregate.
    pub id: Uuid,
}

impl StreamId {
    /// Names the stream of an aggregate.
    #[must_use]
    pub const fn new(tenant: TenantId, aggregate: Aggregate, id: Uuid) -> Self {
        Self { tenant, aggregate, id }
    }

    /// The service that owns the stream.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.aggregate.service()
    }

    /// The virtual partition, by a hash of the id (FNV-1a, 64 bits, folded) that must never change: subjects hold it.
    #[must_use]
    pub fn partition(&self) -> u8 {
        let hash = self.id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash.to_be_bytes().iter().fold(0, |folded, byte| folded ^ byte)
    }

    /// The literal subject on NATS.
    #[must_use]
    pub fn subject(&self) -> String {
        format!(
            "muster.v1.{}.{}.{:02x}.{}.{}",
            self.service(),
            self.tenant,
            self.partition(),
            self.aggregate,
            self.id.simple()
        )
    }

    /// Reads a subject back.
    ///
    /// # Errors
    /// [`UnknownName`] when it is not the subject of a stream: wrong form, partition or owner.
    pub fn from_subject(subject: &str) -> Result<Self, UnknownName> {
        let parse = || {
            let mut tokens = subject.split('.');
            if (tokens.next()?, tokens.next()?) != ("muster", "v1") {
                return None;
            }
            let service: Service = tokens.next()?.parse().ok()?;
            let tenant = tokens.next()?.parse().ok()?;
            let partition = u8::from_str_radix(tokens.next()?, 16).ok()?;
            let aggregate = tokens.next()?.parse().ok()?;
            let stream = Self::new(tenant, aggregate, Uuid::try_parse(tokens.next()?).ok()?);
            let sound =
                stream.service() == service && stream.partition() == partition && tokens.next().is_none();
            sound.then_some(stream)
        };
        parse().ok_or_else(|| UnknownName {
            expected: "the subject of a stream (muster.v1.<service>.<tenant>.<pp>.<aggregate>.<id>)",
            found: subject.chars().take(160).collect(),
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.aggregate, self.id)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_round_trip() {
        for aggregate in Aggregate::ALL {
            let stream =
                StreamId::new(TenantId::DEFAULT, aggregate, crate::id::derive("s", &[&[aggregate as u8]]));
            assert_eq!(StreamId::from_subject(&stream.subject()), Ok(stream));
        }
    }

    #[test]
    fn a_subject_under_the_wrong_owner_or_partition_is_refused() {
        let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Policy, Uuid::nil());
        let subject = stream.subject();
        assert!(StreamId::from_subject(&subject.replace(".policy.default", ".report.default")).is_err());
        let partition = format!(".{:02x}.", stream.partition());
        assert!(StreamId::from_subject(&subject.replace(&partition, ".zz.")).is_err());
    }

    #[test]
    fn position_tokens_round_trip_and_only_rise() {
        let token = Positions::of(Service::Policy, 7).join(Positions::of(Service::Enroll, 3));
        assert_eq!(token.to_string(), "enroll:3,policy:7");
        assert_eq!("enroll:3,policy:7".parse(), Ok(token));
        assert_eq!(token.join(Positions::of(Service::Policy, 2)), token);
        assert!("policy=7".parse::<Positions>().is_err());
    }

    #[test]
    fn the_partition_hash_stays_what_it_was() {
        let of =
            |id: u128| StreamId::new(TenantId::DEFAULT, Aggregate::Policy, Uuid::from_u128(id)).partition();
        assert_eq!([of(0), of(1), of(u128::MAX)], PARTITIONS_OF_0_1_MAX);
    }

    /// Recorded when the hash was chosen.
    const PARTITIONS_OF_0_1_MAX: [u8; 3] = [144, 64, 34];
}
