//! What may be asked of a registration.

use muster_types::{DeviceId, HardwareKey, Timestamp};

use super::{Certificate, Proven, Removal, Resolution, Serial};

/// Longest reason for people, in characters.
pub const REASON_CHARS_MAX: usize = 256;

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Register the device, if it is not, and note the certificate that is about to be handed out. Whoever asks has made
    /// sure that the device is let in.
    Establish {
        /// What was proven of it; nothing makes or keeps what it has.
        proven: Option<Proven>,
        /// SPIFFE ID in the certificate.
        spiffe_id: String,
        /// The certificate.
        certificate: Certificate,
        /// By what its hardware is recognised.
        hardware_keys: Vec<HardwareKey>,
    },
    /// Note a certificate that is handed out over the present one.
    Renew {
        /// The certificate.
        certificate: Certificate,
        /// What the device has proven with the wish; nobody else has that registration.
        proven: Option<Proven>,
    },
    /// Note the first use of a certificate.
    Activate {
        /// Its serial number.
        serial: Serial,
    },
    /// End all certificates issued so far.
    Revoke {
        /// Why, for people.
        reason: String,
    },
    /// Give the device a full registration, which nobody else has.
    Promote(Proven),
    /// Remove the registration.
    Remove(Removal),
    /// Remove the registration of a device that showed to be another one, which gets a certificate in its place.
    MergeInto(DeviceId),
    /// Two live sessions use it.
    SuspectClone {
        /// Boot ids of the two.
        boot_ids: Vec<[u8; 16]>,
        /// When that was seen.
        observed: Timestamp,
    },
    /// Resolve a suspicion.
    ResolveClone {
        /// How.
        resolution: Resolution,
        /// The moment of the command; see [`Command::dated`].
        now: Timestamp,
    },
}

impl Command {
    /// The same command, at this moment.
    #[must_use]
    pub fn dated(mut self, at: Timestamp) -> Self {
        if let Self::ResolveClone { resolution: _, now } = &mut self {
            *now = at;
        }
        self
    }
}
