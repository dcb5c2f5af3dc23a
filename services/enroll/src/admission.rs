//! The budget of onboarding: it makes keys, certificates and durable events, and must not starve the fleet that is in.
//!
//! So many at once, so many a second; what is over is refused before any work, with the time after which it may come
//! again. A second's worth may come in a burst.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use muster_errors::{ErrorCode, Fault};
use muster_types::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::EnrollMetrics;

const SECOND_MICROS: i64 = 1_000_000;

/// Lets onboardings in.
pub struct Admission {
    in_flight: Arc<Semaphore>,
    /// Pause between two at the full rate, in microseconds; 0 is without limit.
    pause_micros: i64,
    /// When the next is due at the full rate, in microseconds since 1970.
    due: AtomicI64,
    clock: Arc<dyn Clock>,
    metrics: EnrollMetrics,
}

/// An onboarding that was let in; it counts while this lives.
#[derive(Debug)]
pub struct Admitted(
    #[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit,
);

impl Admission {
    /// So many at once, and so many a second; 0 is without limit.
    #[must_use]
    pub fn new(in_flight_max: u32, rate_max: u32, clock: Arc<dyn Clock>, metrics: EnrollMetrics) -> Self {
        let permits = if in_flight_max == 0 { Semaphore::MAX_PERMITS } else { in_flight_max as usize };
        let pause_micros = if rate_max == 0 { 0 } else { SECOND_MICROS / i64::from(rate_max) };
        let in_flight = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { in_flight, pause_micros, due: AtomicI64::new(0), clock, metrics }
    }

    /// Lets one in.
    ///
    /// # Errors
    /// `OVERLOADED` with `retry_after_seconds` when the budget is used up.
    pub fn admit(&self) -> Result<Admitted, Fault> {
        let Ok(permit) = self.in_flight.clone().try_acquire_owned() else {
            return Err(self.overloaded("onboardings_in_flight", 1));
        };
        let now = self.clock.now().micros();
        let take = |due: i64| {
            // A clock that was set back does not close the door for longer than a burst lasts.
            let due = due.clamp(now, now + SECOND_MICROS + self.pause_micros);
            (due - now <= SECOND_MICROS - self.pause_micros.min(SECOND_MICROS))
                .then(|| due + self.pause_micros)
        };
        if self.pause_micros > 0 && self.due.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err()
        {
            return Err(self.overloaded("onboarding_rate", 1));
        }
        Ok(Admitted(permit))
    }

    fn overloaded(&self, limit: &'static str, retry_after_seconds: u32) -> Fault {
        self.metrics.onboarding_shed(limit);
        Fault::new(ErrorCode::Overloaded, "as many devices are being onboarded as this server takes")
            .with("limit", limit)
            .with("retry_after_seconds", retry_after_seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_types::{FixedClock, Timestamp};

    use super::*;

    fn admission(in_flight: u32, rate: u32) -> (Admission, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::at(Timestamp::from_micros(1_800_000_000_000_000)));
        (Admission::new(in_flight, rate, clock.clone(), EnrollMetrics::default()), clock)
    }

    #[test]
    fn only_so_many_are_in_at_once() {
        let (admission, _) = admission(2, 0);
        let (first, second) = (admission.admit().unwrap(), admission.admit().unwrap());
        let refused = admission.admit().unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded);
        assert_eq!(refused.metadata["retry_after_seconds"], "1");
        drop(first);
        drop(admission.admit().unwrap());
        drop(second);
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_the_rate_holds() {
        let (admission, clock) = admission(0, 10);
        let let_in = || (0..100).filter(|_| admission.admit().is_ok()).count();
        assert_eq!(let_in(), 10);
        clock.advance(Duration::from_millis(350));
        assert_eq!(let_in(), 3);
        clock.advance(Duration::from_secs(60));
        assert_eq!(let_in(), 10);
    }

    #[test]
    fn zero_is_without_limit() {
        let (admission, _) = admission(0, 0);
        let held: Vec<_> = (0..10_000).map(|_| admission.admit().unwrap()).collect();
        assert_eq!(held.len(), 10_000);
    }
}
