//! The order and the pace in which hints leave.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::Slot;
use crate::metrics::PolicyMetrics;

/// Hints a second that leave unless a tenant says otherwise.
pub(super) const RATE: u32 = 2_000;
/// Hints leave together this often, and their devices spread their check-ins over it.
const TICK: Duration = Duration::from_millis(10);
/// So many seconds of the rate may leave at once after a quiet time.
const BURST: f64 = 0.1;
/// Closed watches that may stand in the queue before it is tidied, however short it is.
const LEFT_MAX: usize = 64;

/// Watches with a hint that waits for its turn. Holds at most two entries for each open watch, and a few.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Arc<Slot>>,
    /// Of those waiting, watches that closed meanwhile.
    left: usize,
    rate: u32,
    /// Hints that may leave now.
    due: f64,
    counted: Instant,
}

impl Queue {
    pub(super) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), left: 0, rate: RATE, due: burst(RATE), counted: now }
    }

    pub(super) const fn rate(&self) -> u32 {
        self.rate
    }

    /// So many hints leave a second from now on.
    pub(super) fn cap(&mut self, rate: u32) {
        // What was saved up counts in time: a higher cap holds at once.
        self.due = self.due / burst(self.rate) * burst(rate.max(1));
        self.rate = rate.max(1);
    }

    pub(super) fn push(&mut self, slots: Vec<Arc<Slot>>, metrics: &PolicyMetrics) {
        self.waiting.extend(slots);
        self.tell(metrics);
    }

    /// A watch closed while its hint was waiting.
    pub(super) fn left(&mut self, metrics: &PolicyMetrics) {
        self.left += 1;
        if self.left > LEFT_MAX && 2 * self.left > self.waiting.len() {
            self.waiting.retain(|slot| !slot.is_closed());
            self.left = 0;
        }
        self.tell(metrics);
    }

    /// Lets hints leave that are due: who waits for them, and when to look again if some stay.
    pub(super) fn let_out(
        &mut self,
        now: Instant,
        metrics: &PolicyMetrics,
    ) -> (Vec<Waker>, Option<Duration>) {
        let rate = f64::from(self.rate);
        let grown = now.saturating_duration_since(self.counted).as_secs_f64() * rate;
        self.due = (self.due + grown).min(burst(self.rate));
        self.counted = now;
        let spread = if self.few() { Duration::ZERO } else { TICK };
        let mut readers = Vec::new();
        while self.due >= 1.0
            && let Some(slot) = self.waiting.pop_front()
        {
            match slot.free(spread) {
                Some(reader) => {
                    self.due -= 1.0;
                    metrics.hinted();
                    readers.extend(reader);
                }
                None => self.left = self.left.saturating_sub(1),
            }
        }
        self.tell(metrics);
        let pause = || TICK.max(Duration::from_secs_f64((1.0 - self.due).max(0.0) / rate));
        (readers, (!self.waiting.is_empty()).then(pause))
    }

    /// Whether the check-ins of those waiting may come at once.
    fn few(&self) -> bool {
        let tick = f64::from(self.rate) * TICK.as_secs_f64();
        u32::try_from(self.waiting.len()).is_ok_and(|waiting| f64::from(waiting) <= tick.max(1.0))
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn tell(&self, metrics: &PolicyMetrics) {
        metrics.hints_waiting(self.waiting.len().saturating_sub(self.left));
    }
}

fn burst(rate: u32) -> f64 {
    (f64::from(rate) * BURST).max(1.0)
}
