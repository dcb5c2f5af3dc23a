//! Whether and when a call is made again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use muster_errors::{Effect, ErrorCode, Retry};

/// How often a call is made at most.
pub(crate) const ATTEMPTS_MAX: u32 = 4;
/// The pause before the second attempt is at most this; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// And never more than this.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Whether a call that failed with `code` may be made again as it is. One that may have left a trace only when calling
/// it twice does no more than calling it once.
pub(crate) fn may_repeat(code: ErrorCode, reached: bool, idempotent: bool) -> bool {
    if code == ErrorCode::DeadlineExceeded {
        // The time for all attempts is over.
        return false;
    }
    let traceless = code.effect() == Effect::None && !reached;
    code.retry() == Retry::Same && (traceless || idempotent)
}

/// The pause after the attempt of that number (from 1): anything up to a bound that doubles, so that callers who
/// failed together do not come back together.
pub(crate) fn pause(attempt: u32) -> Duration {
    let bound = PAUSE_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(PAUSE_MAX);
    let bound_us = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random() % bound_us.saturating_add(1))
}

/// Random enough for jitter: the standard library seeds each state anew.
fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_left_no_trace_or_does_nothing_twice_is_repeated() {
        assert!(may_repeat(ErrorCode::ServerUnreachable, false, false));
        assert!(!may_repeat(ErrorCode::ServerUnreachable, true, false));
        assert!(may_repeat(ErrorCode::ServerUnreachable, true, true));
        assert!(!may_repeat(ErrorCode::LogUnavailable, false, false));
        assert!(may_repeat(ErrorCode::LogUnavailable, false, true));
        assert!(!may_repeat(ErrorCode::TokenExpired, false, true));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        for attempt in 1..40 {
            assert!(pause(attempt) <= PAUSE_MAX);
        }
        assert!(pause(1) <= PAUSE_FIRST);
        let first = pause(9);
        assert!((0..50).any(|_| pause(9) != first));
    }
}
