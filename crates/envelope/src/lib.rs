//! Says whether a device may obey a signed policy, or an order to leave management.
//!
//! Pure: no I/O, no clock, no key but public ones. [`verify`] and [`verify_order`] take the envelope as it came, the
//! keys that are believed ([`Trust`]) and what the device knows of itself ([`Expected`]); whatever the bytes are, they
//! give what was signed, whole and checked, or a [`Refusal`] with its code. Who keeps an envelope and looks at it again
//! later uses the two halves: [`Document::open`] believes the signature and the content, [`Document::check`] asks whether
//! this device, now, may obey it.
//!
//! The envelope is DSSE (<https://github.com/secure-systems-lab/dsse>) with Ed25519 signatures.

mod document;
mod dsse;
mod order;
mod refusal;

#[cfg(test)]
mod tests;

use std::time::Duration;

use muster_proto::policy::v1::SignedPolicy;
use muster_types::{DeviceId, Digest, TenantId, Timestamp};

pub use document::{Document, SETTINGS_MAX};
pub use dsse::{ENVELOPE_BYTES_MAX, KEYS_MAX, SIGNATURES_MAX, Trust, decode, key_id, pae};
pub use order::Order;
pub use refusal::Refusal;

/// Type of the payload of a signed policy.
pub const POLICY_PAYLOAD_TYPE: &str = "application/vnd.muster.policy.v1+protobuf";
/// Type of the payload of a signed order to leave management.
pub const ORDER_PAYLOAD_TYPE: &str = "application/vnd.muster.offboarding.v1+protobuf";

/// What a device knows of itself when it is given an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its tenant.
    pub tenant: TenantId,
    /// Who it is.
    pub device: DeviceId,
    /// Version and etag of the last policy it obeyed: an older one is not obeyed any more.
    pub last: Option<(u64, Digest)>,
    /// The moment now.
    pub now: Timestamp,
    /// How far the clocks of signer and device may be apart: an envelope that was issued later than that is of the future.
    pub skew: Duration,
}

/// Verifies a signed policy for a device.
///
/// # Errors
/// [`Refusal`] with `POLICY_MALFORMED`, `POLICY_UNSIGNED`, `POLICY_WRONG_DEVICE`, `POLICY_NOT_YET_VALID`,
/// `POLICY_EXPIRED` or `POLICY_ROLLED_BACK`.
pub fn verify(envelope: &SignedPolicy, trust: &Trust, expected: &Expected) -> Result<Document, Refusal> {
    let document = Document::open(envelope, trust)?;
    document.check(expected)?;
    Ok(document)
}

/// Verifies a signed order to leave management for a device. `expected.last` says nothing here.
///
/// # Errors
/// [`Refusal`] with `ORDER_REFUSED`.
pub fn verify_order(envelope: &SignedPolicy, trust: &Trust, expected: &Expected) -> Result<Order, Refusal> {
    let order = Order::open(envelope, trust)?;
    order.check(expected)?;
    Ok(order)
}
