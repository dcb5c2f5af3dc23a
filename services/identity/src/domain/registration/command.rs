//! What may be asked of a registration.

use muster_types::{Digest, Timestamp};

/// A wish. None is refused yet: whoever calls has proven that the device is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Register the device, if it is not, and note the certificate that is about to be handed out.
    Establish {
        /// SPIFFE ID in the certificate.
        spiffe_id: String,
        /// SHA-256 of the public key in it.
        key_digest: Digest,
        /// Its serial number, big-endian.
        certificate_serial: Vec<u8>,
        /// When it ends.
        not_after: Timestamp,
    },
}
