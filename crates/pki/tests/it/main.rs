//! What this crate makes, in the hands of others: openssl, a SPIFFE library, a JSON Web Key library, real TLS.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "a test")]

mod fixture;
mod policy_key;
mod profile;
mod rotation;
#[cfg(feature = "tpm")]
mod soft_tpm;
#[cfg(feature = "tpm")]
mod tpm;
