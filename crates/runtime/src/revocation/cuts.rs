//! The table: per device the moment before which certificates do not count, and why.

use std::fmt;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_pki::serial;
use muster_proto::identity::v1 as pb;
use muster_types::{DeviceId, Service, Timestamp};
use prometheus_client::metrics::counter::Counter;
use prost::Message;

use super::links::Links;

const TRUST_REVOKED: &str = "muster.identity.v1.TrustRevoked";
const REGISTRATION_REMOVED: &str = "muster.identity.v1.RegistrationRemoved";
const CLONE_RESOLVED: &str = "muster.identity.v1.CloneResolved";
const CERTIFICATE_ACTIVATED: &str = "muster.identity.v1.CertificateActivated";

/// Parts of the table, by the first bits of the device's id. Each is a sorted list: with a million devices of some 250
/// entries, where to insert moves 3 KB, and no room is lost to hashing.
const PARTS: usize = 1 << PARTS_BITS;
const PARTS_BITS: u32 = 12;

/// Why a certificate was ended, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The device used a newer certificate.
    Superseded = 1,
    /// An admin resolved a suspected clone by having both onboard again.
    CloneResolved = 2,
    /// An admin ended all certificates of the device.
    Revoked = 3,
    /// The device turned out to be another one.
    Merged = 4,
    /// The device confirmed its offboarding.
    Offboarded = 5,
    /// The device was deleted.
    Deleted = 6,
}

impl Reason {
    /// All of them, weakest first.
    pub const ALL: [Self; 6] =
        [Self::Superseded, Self::CloneResolved, Self::Revoked, Self::Merged, Self::Offboarded, Self::Deleted];

    /// The name in the metadata of errors (`reason`) and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::CloneResolved => "clone_resolved",
            Self::Revoked => "revoked",
            Self::Merged => "merged",
            Self::Offboarded => "offboarded",
            Self::Deleted => "deleted",
        }
    }

    /// What a caller is told: `DEVICE_DELETED` for a deleted device, `CERTIFICATE_REVOKED` otherwise.
    #[must_use]
    pub fn fault(self) -> Fault {
        let (code, message) = match self {
            Self::Superseded => (
                ErrorCode::CertificateRevoked,
                "the certificate ended: the device has used a newer one since",
            ),
            Self::CloneResolved => (
                ErrorCode::CertificateRevoked,
                "the certificate ended: the identity was copied, and each holder must onboard again",
            ),
            Self::Revoked => {
                (ErrorCode::CertificateRevoked, "the certificate was revoked: the device must onboard again")
            }
            Self::Merged => {
                (ErrorCode::CertificateRevoked, "the certificate ended: the device was merged into another")
            }
            Self::Offboarded => {
                (ErrorCode::CertificateRevoked, "the certificate ended: the device is offboarded")
            }
            Self::Deleted => {
                (ErrorCode::DeviceDeleted, "the device was deleted; an admin must allow it to onboard again")
            }
        };
        Fault::new(code, message).with("reason", self.as_str())
    }

    fn from_bits(bits: u64) -> Self {
        Self::ALL.into_iter().find(|reason| *reason as u64 == bits).unwrap_or(Self::Revoked)
    }
}

/// A moment before which certificates of a device do not count, and why: in one number, so that the later of two cuts,
/// and the stronger reason of two at one moment, is the larger number, in whatever order they come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut(u64);

const REASON_BITS: u32 = 3;

impl Cut {
    /// Ends what was issued before a moment.
    fn before(moment: Timestamp, reason: Reason) -> Self {
        let micros = u64::try_from(moment.micros()).unwrap_or(0);
        Self(micros << REASON_BITS | reason as u64)
    }

    /// Ends what was issued at a moment or before.
    fn until(moment: Timestamp, reason: Reason) -> Self {
        Self::before(Timestamp::from_micros(moment.micros().saturating_add(1)), reason)
    }

    /// Whether it ends a certificate that was issued at this moment.
    #[must_use]
    pub fn ends(self, issued: Timestamp) -> bool {
        u64::try_from(issued.micros()).unwrap_or(0) < self.0 >> REASON_BITS
    }

    /// Why.
    #[must_use]
    pub fn reason(self) -> Reason {
        Reason::from_bits(self.0 & ((1 << REASON_BITS) - 1))
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cut({} µs, {})", self.0 >> REASON_BITS, self.reason().as_str())
    }
}

/// The view: a cut per device that has one. With a million devices of which each has renewed, some 28 bytes a device.
#[derive(Debug)]
pub struct Cuts {
    parts: Vec<Vec<(DeviceId, Cut)>>,
    links: Links,
    closed: Counter,
}

impl Cuts {
    pub(super) fn new(links: Links, closed: Counter) -> Self {
        Self { parts: vec![Vec::new(); PARTS], links, closed }
    }

    /// The cut of a device.
    #[must_use]
    pub fn cut(&self, device: DeviceId) -> Option<Cut> {
        let part = &self.parts[part_of(device)];
        let at = part.binary_search_by_key(&device, |(device, _)| *device).ok()?;
        Some(part[at].1)
    }

    /// Bytes that the table takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rows: usize = self.parts.iter().map(Vec::capacity).sum();
        rows * size_of::<(DeviceId, Cut)>() + PARTS * size_of::<Vec<(DeviceId, Cut)>>()
    }

    fn raise(&mut self, device: DeviceId, cut: Cut) {
        let part = &mut self.parts[part_of(device)];
        match part.binary_search_by_key(&device, |(device, _)| *device) {
            Ok(at) => part[at].1 = part[at].1.max(cut),
            Err(at) => {
                // Growing by half or doubling would cost more room than the rest of the table.
                if part.len() == part.capacity() {
                    part.reserve_exact(part.len() / 8 + 2);
                }
                part.insert(at, (device, cut));
            }
        }
    }
}

fn part_of(device: DeviceId) -> usize {
    let [high, low, ..] = *device.as_bytes();
    usize::from(u16::from_be_bytes([high, low]) >> (u16::BITS - PARTS_BITS))
}

/// What an event ends; nothing for most.
fn cut_of(event: &Envelope) -> Result<Option<Cut>, String> {
    let time = event.context.time;
    Ok(match event.kind.as_str() {
        TRUST_REVOKED => Some(Cut::until(time, Reason::Revoked)),
        REGISTRATION_REMOVED => {
            let removed: pb::RegistrationRemoved = decoded(event)?;
            let reason = match removed.reason() {
                pb::RemovalReason::Unspecified | pb::RemovalReason::Deleted => Reason::Deleted,
                pb::RemovalReason::Offboarded => Reason::Offboarded,
                pb::RemovalReason::Merged => Reason::Merged,
            };
            Some(Cut::until(time, reason))
        }
        CLONE_RESOLVED => {
            let resolved: pb::CloneResolved = decoded(event)?;
            match resolved.resolution() {
                pb::CloneResolution::Reissue => Some(Cut::until(time, Reason::CloneResolved)),
                pb::CloneResolution::Unspecified | pb::CloneResolution::Dismiss => None,
            }
        }
        CERTIFICATE_ACTIVATED => {
            let pb::CertificateActivated { certificate_serial } = decoded(event)?;
            serial::issued_at(&certificate_serial).map(|issued| Cut::before(issued, Reason::Superseded))
        }
        _ => None,
    })
}

fn decoded<M: Message + Default>(event: &Envelope) -> Result<M, String> {
    M::decode(&event.payload[..]).map_err(|error| error.to_string())
}

impl View for Cuts {
    const NAME: &'static str = "revocations";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let cut = cut_of(event).map_err(|reason| FoldError::new(event, reason))?;
        if let Some(cut) = cut {
            let device = DeviceId::from_uuid(event.stream.id);
            self.raise(device, cut);
            self.closed.inc_by(self.links.cut(device, cut));
            dirty.mark(*device.as_bytes());
        }
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.parts.iter().flatten().for_each(|(device, _)| row(device.as_bytes()));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let cut = self.cut(DeviceId::from_slice(key).ok()?)?;
        Some(cut.0.to_be_bytes().to_vec())
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let device = DeviceId::from_slice(key).map_err(|error| error.to_string())?;
        let cut = value.try_into().map_err(|_| "a cut has 8 bytes".to_owned())?;
        self.raise(device, Cut(u64::from_be_bytes(cut)));
        Ok(())
    }

    fn detach(&mut self) {
        (self.links, self.closed) = (Links::default(), Counter::default());
    }
}

#[cfg(test)]
mod tests;
