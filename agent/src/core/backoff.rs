//! How long to wait before trying again.

use std::time::Duration;

use muster_errors::{ErrorCode, Retry};

use super::message::Work;

/// Longest pause before the first retry.
const RETRY_BASE: Duration = Duration::from_millis(500);
/// Longest pause before any retry.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Longest pause before the first retry of what needs time.
const SLOW_BASE: Duration = Duration::from_secs(60);
/// Longest pause before any retry of what needs time.
const SLOW_PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// What an error means for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Try again soon.
    Retry,
    /// Try again when there was time to mend it.
    Slow,
    /// The device is not known: onboard again, once it is sure.
    ReEnrol,
    /// The device's trust was ended: onboard again.
    Revoked,
    /// Trying again is of no use.
    Stop,
}

/// Sorts an error by what failed.
///
/// A device that cannot come in stops and tells; one that is in never gives up, for nobody may be near to start it
/// again.
#[must_use]
pub fn class(work: Work, code: ErrorCode) -> Class {
    match (work, code, code.retry()) {
        (_, ErrorCode::Overloaded | ErrorCode::DiskFull, _) => Class::Slow,
        (_, ErrorCode::DataDirReadOnly | ErrorCode::DataDirTooNew | ErrorCode::ConfigInvalid, _) => {
            Class::Stop
        }
        (_, _, Retry::Same | Retry::AfterReading) => Class::Retry,
        (Work::Onboard, _, Retry::Never) => Class::Stop,
        (Work::Apply | Work::Survey | Work::TakeBack, _, Retry::Never) => Class::Slow,
        (_, ErrorCode::CertificateRevoked | ErrorCode::DeviceDeleted, Retry::Never) => Class::Revoked,
        (
            _,
            ErrorCode::DeviceUnknown | ErrorCode::CertificateInvalid | ErrorCode::CertificateRequired,
            Retry::Never,
        ) => Class::ReEnrol,
        (_, _, Retry::Never) => Class::Slow,
    }
}

/// A pseudo-random sequence from a seed (SplitMix64): the same seed, the same pauses.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// Begins at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A moment within `longest`, evenly spread.
    pub fn within(&mut self, longest: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(if longest == 0 { 0 } else { z % longest })
    }
}

/// Counts failures in a row and says how long to wait: full jitter under a doubling, bounded limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Failures in a row.
    #[must_use]
    pub const fn failures(self) -> u32 {
        self.failures
    }

    /// Counts a failure and says how long to wait.
    pub fn pause(&mut self, jitter: &mut Jitter, slow: bool) -> Duration {
        let (base, longest) = if slow { (SLOW_BASE, SLOW_PAUSE_MAX) } else { (RETRY_BASE, RETRY_PAUSE_MAX) };
        let limit = base.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        jitter.within(limit)
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_pauses_within_the_limit() {
        let pauses = |seed| {
            let (mut jitter, mut backoff) = (Jitter::new(seed), Backoff::default());
            (0..40).map(|_| backoff.pause(&mut jitter, false)).collect::<Vec<_>>()
        };
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
        assert!(pauses(7).iter().all(|pause| *pause < RETRY_PAUSE_MAX));
        assert!(pauses(7)[0] < RETRY_BASE);
    }

    #[test]
    fn every_error_has_a_class() {
        let cases = [
            (Work::CheckIn, ErrorCode::ServerUnreachable, Class::Retry),
            (Work::CheckIn, ErrorCode::Overloaded, Class::Slow),
            (Work::CheckIn, ErrorCode::ServerUntrusted, Class::Slow),
            (Work::CheckIn, ErrorCode::DeviceUnknown, Class::ReEnrol),
            (Work::Report, ErrorCode::CertificateInvalid, Class::ReEnrol),
            (Work::Report, ErrorCode::ReportInvalid, Class::Slow),
            (Work::Onboard, ErrorCode::ServerUnreachable, Class::Retry),
            (Work::Onboard, ErrorCode::ServerUntrusted, Class::Stop),
            (Work::Onboard, ErrorCode::TokenExpired, Class::Stop),
            (Work::Onboard, ErrorCode::TokenUsedUp, Class::Stop),
            (Work::Apply, ErrorCode::DataDirReadOnly, Class::Stop),
            (Work::Apply, ErrorCode::DiskFull, Class::Slow),
            (Work::CheckIn, ErrorCode::DeviceDeleted, Class::Revoked),
            (Work::Onboard, ErrorCode::DeviceDeleted, Class::Stop),
            (Work::CheckIn, ErrorCode::CertificateRevoked, Class::Revoked),
            (Work::Renew, ErrorCode::DeviceQuarantined, Class::Slow),
            (Work::Onboard, ErrorCode::ProofInvalid, Class::Stop),
        ];
        for (work, code, class) in cases {
            assert_eq!(super::class(work, code), class, "{work:?} {code}");
        }
    }
}
