//! Proofs of registrations: certificate chains of authorities that a tenant registered, and signatures by which a device
//! shows that it holds a certificate's key.
//!
//! Certificates here are of any issuer, unlike those of [`crate::Authority`]: what they say is read with care, and
//! every way to be wrong has its name.

mod anchor;
mod chain;
mod possession;
#[cfg(test)]
mod tests;

pub use anchor::{AnchorCertificate, AnchorError};
pub use chain::{ChainError, DIRECTORY_TENANT_OID, Leaf, LeafKey, verify_chain};
pub use possession::{PossessionError, sign_possession, verify_possession};

#[cfg(feature = "tpm")]
pub(crate) use chain::{chain_error, check_issuers, read as read_chain, unix_time};

/// Most certificates of a chain, the device's own included.
pub const CHAIN_CERTIFICATES_MAX: usize = 5;
/// Largest certificate of a chain or an anchor, in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
