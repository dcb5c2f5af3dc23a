//! The check-in: what a device is answered, and the signature under it.

use std::sync::Arc;
use std::time::Duration;

use muster_envelope::{ORDER_PAYLOAD_TYPE, POLICY_PAYLOAD_TYPE};
use muster_pki::{PolicySignature, PolicySigner};
use muster_proto::convert::timestamp;
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, EnrollmentCode, TenantId, Timestamp};
use prost::Message as _;

use crate::domain::resolve::{Effective, InForce, Withheld};

/// How long a device may take a policy after it was signed.
pub const POLICY_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// A device gets its policy anew this often though nothing changed: before half of its life is over.
pub const RENEW_EVERY: Duration = Duration::from_secs(42 * 3600);

/// How often a device checks in normally.
const EVERY: Duration = Duration::from_secs(90 * 60);
/// Share by which a pause is longer or shorter, by the device.
const SPREAD: f64 = 0.1;
/// The first check-ins of a session, up to a sequence number, are closer.
const FIRST: [(u64, Duration); 2] = [(5, Duration::from_secs(3 * 60)), (5 + 8, Duration::from_secs(15 * 60))];

/// A number from 0 to 1 that is a device's own: what is spread by it does not happen to all devices at once.
#[must_use]
pub fn share(device: DeviceId) -> f64 {
    let (high, low) = device.uuid().as_u64_pair();
    // The generator of SplitMix64: ids that differ in few bits come far apart.
    let mut mixed = (high ^ low).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let [a, b, c, d, ..] = mixed.to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

/// When a device that checks in for the `sequence`-th time in its session should check in again.
#[must_use]
pub fn next_check_in(device: DeviceId, sequence: u64) -> Duration {
    let pause = FIRST.iter().find(|(last, _)| sequence <= *last).map_or(EVERY, |(_, pause)| *pause);
    pause.mul_f64((2.0 * share(device) - 1.0).mul_add(SPREAD, 1.0))
}

/// The period of [`RENEW_EVERY`] that a moment falls into for a device. A device gets its policy at least once a period,
/// so that none outlives half of its life plus one pause between check-ins; where a period begins is the device's own.
///
/// The server remembers per device only the period of the last signature, and only in memory: after a restart a
/// policy may be renewed a period later, well before it ends.
#[must_use]
pub fn period(device: DeviceId, now: Timestamp) -> u32 {
    let since_epoch = now.since(Timestamp::default()) + RENEW_EVERY.mul_f64(share(device));
    u32::try_from(since_epoch.as_secs() / RENEW_EVERY.as_secs()).unwrap_or(u32::MAX)
}

/// A policy to sign for one device.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// What is resolved for it.
    pub effective: &'a Effective,
    /// How far the logs were folded when it was resolved, all positions added up. Positions only grow: a restart folds the
    /// same logs again and serves no device before it has caught up, and a replica that is behind signs a lower
    /// version, which a device that is further refuses, keeping what it has. So what a device obeys never goes back.
    pub version: u64,
    /// The moment now.
    pub now: Timestamp,
}

/// Signs a policy.
#[must_use]
pub fn sign(signer: &PolicySigner, policy: ToSign<'_>) -> pb::SignedPolicy {
    let ToSign { tenant, device, effective, version, now } = policy;
    let payload = pb::PolicyDocument {
        tenant: tenant.to_string(),
        device_id: device.as_bytes().to_vec(),
        etag: effective.etag.to_vec(),
        version,
        issue_time: Some(timestamp(now)),
        expire_time: Some(timestamp(now.plus(POLICY_LIFE))),
        settings: effective.settings.iter().map(setting).collect(),
        withheld: effective.withheld.iter().filter_map(withheld).collect(),
    }
    .encode_to_vec();
    enveloped(signer, POLICY_PAYLOAD_TYPE, payload)
}

/// An order to leave management, to sign for one device.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// Until when it is good.
    pub expire: Timestamp,
    /// Ids of settings that stay.
    pub kept: &'a [String],
    /// The moment now.
    pub now: Timestamp,
}

/// Signs an order.
#[must_use]
pub fn sign_order(signer: &PolicySigner, order: Order<'_>) -> pb::SignedPolicy {
    let Order { tenant, device, expire, kept, now } = order;
    let payload = pb::OffboardingOrder {
        tenant: tenant.to_string(),
        device_id: device.as_bytes().to_vec(),
        issue_time: Some(timestamp(now)),
        expire_time: Some(timestamp(expire)),
        kept_settings: kept.to_vec(),
    }
    .encode_to_vec();
    enveloped(signer, ORDER_PAYLOAD_TYPE, payload)
}

fn enveloped(signer: &PolicySigner, payload_type: &str, payload: Vec<u8>) -> pb::SignedPolicy {
    let signatures = signer.sign(payload_type, &payload).into_iter().map(|by| {
        let PolicySignature { key_id, signature } = by;
        pb::Signature { key_id, signature }
    });
    pb::SignedPolicy {
        payload_type: payload_type.to_owned(),
        signatures: signatures.collect(),
        payload: payload.into(),
    }
}

fn setting(setting: &InForce) -> pb::Setting {
    let InForce { id, value, sources: _, losers: _, mode: _, tamper_guarded: _ } = setting;
    (id.clone(), value.clone()).into()
}

fn withheld(withheld: &Withheld) -> Option<pb::Withheld> {
    let Withheld { id, reason, candidates: _ } = withheld;
    let told = || pb::Withheld { id: id.to_string(), reason: pb::WithheldReason::from(*reason).into() };
    reason.is_told().then(told)
}

/// What a device is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has what it should have.
    NotModified,
    /// It should have this.
    Policy {
        /// What is resolved for it.
        effective: Arc<Effective>,
        /// Version to sign it with.
        version: u64,
        /// Nothing changed; the device's copy would end.
        renewed: bool,
    },
}

/// What a device must do besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Go on.
    GoOn,
    /// Another authority manages it, or nobody may; the code says why.
    StandDown(EnrollmentCode),
    /// Leave management.
    Decommission {
        /// Until when the order is good.
        expire: Timestamp,
        /// Ids of settings that stay.
        kept: Vec<String>,
    },
    /// Wait until an admin tells which of two machines it is.
    Quarantine,
}

impl Directive {
    /// The directive as the contract has it, and the enrollment code that led to it.
    #[must_use]
    pub const fn told(&self) -> (pb::Directive, Option<EnrollmentCode>) {
        match self {
            Self::GoOn => (pb::Directive::Unspecified, None),
            Self::StandDown(code) => (pb::Directive::StandDown, Some(*code)),
            Self::Decommission { .. } => (pb::Directive::Decommission, Some(EnrollmentCode::Offboarding)),
            Self::Quarantine => (pb::Directive::Quarantine, Some(EnrollmentCode::Quarantined)),
        }
    }
}

/// Whether a certificate should be renewed before the device does so by itself, at half its life: two thirds are over.
/// One that does not tell when it was issued is let be.
#[must_use]
pub fn renewal_due(issued: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    issued > Timestamp::default() && now.since(issued) > not_after.since(issued).mul_f64(2.0 / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u8) -> DeviceId {
        DeviceId::from_uuid(muster_types::id::derive("test", &[&[n]]))
    }

    #[test]
    fn new_devices_check_in_fast_at_first() {
        for n in 0..50 {
            let minutes = |sequence| next_check_in(device(n), sequence).as_secs_f64() / 60.0;
            for (sequence, pause) in [(1, 3.0), (5, 3.0), (6, 15.0), (13, 15.0), (14, 90.0), (9_999, 90.0)] {
                let found = minutes(sequence);
                assert!((pause * 0.89..pause * 1.11).contains(&found), "{sequence}: {found} minutes");
            }
        }
    }

    #[test]
    fn a_certificate_is_wanted_anew_after_two_thirds_of_its_life() {
        let at = |day: u64| Timestamp::from_micros(1).plus(Duration::from_secs(day * 24 * 3600));
        assert!(!renewal_due(at(0), at(9), at(6)));
        assert!(renewal_due(at(0), at(9), at(7)));
        assert!(renewal_due(at(0), at(9), at(10)));
        assert!(!renewal_due(Timestamp::default(), at(9), at(8)), "not told when it was issued");
    }

    #[test]
    fn devices_are_spread_evenly() {
        let low = (0..=255).filter(|n| share(device(*n)) < 0.5).count();
        assert!((90..166).contains(&low), "{low} of 256 in the lower half");
    }

    #[test]
    fn each_device_has_one_period_after_the_other() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        for n in 0..50 {
            assert_eq!(period(device(n), now) + 1, period(device(n), now.plus(RENEW_EVERY)));
            assert!(RENEW_EVERY + EVERY * 2 < POLICY_LIFE / 2);
        }
    }
}
