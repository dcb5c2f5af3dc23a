//! Keys, certificate requests, certificates, SPIFFE IDs and trust bundles; the TLS settings made of them; and the
//! signatures of policies.
//!
//! `ring` does the arithmetic. Nothing here reads a clock: times come with the call.

pub mod attestation;
pub mod authority;
pub mod bundle;
mod certificate;
pub mod csr;
mod files;
pub mod identity;
pub mod local;
pub mod peer;
pub mod proof;
pub mod serial;
pub mod signing;
pub mod spiffe;
pub mod tls;
#[cfg(feature = "tpm")]
pub mod tpm;

pub use authority::{Authority, AuthorityError, DEVICE_VALIDITY, IssueError, Issued};
pub use bundle::{BundleError, TrustBundle};
pub use csr::{Csr, CsrError};
pub use identity::Identity;
pub use local::{AdminToken, AuthorityFiles, InitOptions, LocalTrust, TrustError};
pub use signing::{PolicySignature, PolicySigner};
pub use spiffe::{SpiffeId, TrustDomain};
