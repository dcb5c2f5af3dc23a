//! The check-in: what a device is answered, and when it should ask again.

mod document;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, EnrollmentCode, Timestamp};

use crate::domain::check_in_settings::Values;
use crate::domain::resolve::Effective;

pub use document::{Documents, Order, ToSign, sign_order};

/// Share by which the pauses of a device's first check-ins are longer or shorter, by the device.
const SPREAD: f64 = 0.1;
/// Parts of a policy's life after which it is signed anew, though nothing changed.
const LIVES_PER_RENEWAL: u32 = 4;
/// A device checks in at least this often in a policy's life: the pause and the time to the renewal that it may miss by
/// it are less than half of the life.
const CHECK_INS_PER_LIFE: u32 = 5;
/// A device whose turn comes sooner than this part of the pause waits for the next.
const PAUSE_PART_MIN: u32 = 10;

/// A number from 0 to 1 that is a device's own: what is spread by it does not happen to all devices at once.
#[must_use]
pub fn share(device: DeviceId) -> f64 {
    let (high, low) = device.uuid().as_u64_pair();
    share_of(high ^ low)
}

/// A number from 0 to 1 that is a seed's own.
#[must_use]
pub fn share_of(seed: u64) -> f64 {
    // The generator of SplitMix64: seeds that differ in few bits come far apart.
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let [a, b, c, d, ..] = mixed.to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

/// A check-in, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The device.
    pub device: DeviceId,
    /// Counts its check-ins in its session.
    pub sequence: u64,
    /// It has a watch open, which tells it of changes.
    pub watched: bool,
    /// The moment now.
    pub now: Timestamp,
}

/// When a device should check in again: soon while it is new, then when its turn comes. Turns are a pause apart, and each
/// device has its own place between them, so that devices come evenly whenever they began.
#[must_use]
pub fn next_check_in(call: Call, settings: &Values) -> Duration {
    let Values { first_count, first_interval, second_count, second_interval, .. } = *settings;
    let Call { device, sequence, watched, now } = call;
    let second = u64::from(first_count) + u64::from(second_count);
    let close = if sequence <= u64::from(first_count) {
        Some(first_interval)
    } else {
        (sequence <= second).then_some(second_interval)
    };
    if let Some(pause) = close {
        return pause.mul_f64((2.0 * share(device) - 1.0).mul_add(SPREAD, 1.0));
    }
    let pause = if watched { settings.watched_interval } else { settings.interval };
    turn(device, now, pause.min(settings.policy_life / CHECK_INS_PER_LIFE))
}

/// How long until a device's turn.
fn turn(device: DeviceId, now: Timestamp, pause: Duration) -> Duration {
    let shifted = now.since(Timestamp::default()) + pause - pause.mul_f64(share(device));
    let gone = shifted.as_micros() % pause.as_micros().max(1);
    let left = pause.saturating_sub(Duration::from_micros(u64::try_from(gone).unwrap_or(u64::MAX)));
    if left < pause / PAUSE_PART_MIN { left + pause } else { left }
}

/// The minute of a moment: what is remembered of a device's last signature.
#[must_use]
pub fn minute(now: Timestamp) -> u32 {
    u32::try_from(now.since(Timestamp::default()).as_secs() / 60).unwrap_or(u32::MAX)
}

/// Whether a policy that lives this long, last signed in some minute, should be signed anew now though nothing changed:
/// it once happens in each quarter of its life, so that with the pause between check-ins none outlives half of it. Where a
/// quarter begins is the device's own.
///
/// The server remembers the minute of the last signature only in memory, and takes its own start for it: after a restart a
/// policy may be renewed a quarter later, well before it ends.
#[must_use]
pub fn renewal_turn(device: DeviceId, signed: u32, now: Timestamp, life: Duration) -> bool {
    let every = u64::from(minute(Timestamp::default().plus(life / LIVES_PER_RENEWAL))).max(1);
    let shift = minute(Timestamp::default().plus(life.mul_f64(share(device)) / LIVES_PER_RENEWAL));
    let period = |minute: u32| (u64::from(minute) + u64::from(shift)) / every;
    period(minute(now)) > period(signed)
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
        /// Why.
        why: Why,
    },
}

/// Why a device gets a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has another.
    Changed,
    /// The one it has would end.
    Renewed,
    /// The one it was given did not get there, or is gone again: its machine was put back to an earlier state.
    Again,
}

impl Why {
    /// Its name in numbers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Renewed => "renewed",
            Self::Again => "again",
        }
    }
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
