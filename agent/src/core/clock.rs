//! The device's clock may be wrong, and may be set. The service's time comes with each check-in, over a connection that is
//! authentic: what has a beginning or an end is judged by that. When to do what is told by the device's clock, for pauses
//! need no calendar.

use std::time::Duration;

use muster_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::Core;
use super::wish::{Hint, Wish};

/// Clocks further apart than this are a trouble; and what was signed this far ahead is not of the future yet.
pub const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// How far the device's clock is from the service's: what is to be added to it, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Skew(i64);

impl Skew {
    /// The skew of a device whose clock shows `device` when it is `service`.
    #[must_use]
    pub const fn between(device: Timestamp, service: Timestamp) -> Self {
        Self(service.micros().saturating_sub(device.micros()))
    }

    /// The service's time when the device's clock shows `device`.
    #[must_use]
    pub const fn service(self, device: Timestamp) -> Timestamp {
        Timestamp::from_micros(device.micros().saturating_add(self.0))
    }

    /// What the device's clock shows at a moment of the service's time.
    #[must_use]
    pub const fn device(self, service: Timestamp) -> Timestamp {
        Timestamp::from_micros(service.micros().saturating_sub(self.0))
    }

    /// How far the clocks are apart.
    #[must_use]
    pub const fn apart(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    /// Whether they are too far apart.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        self.apart() > SKEW_MAX
    }

    /// Whether it differs from another by more than some time.
    #[must_use]
    pub fn differs(self, other: Self, by: Duration) -> bool {
        Self(self.0.saturating_sub(other.0)).apart() > by
    }

    /// In words, for example `the device's clock is 12 s ahead of the server's`.
    #[must_use]
    pub fn words(self) -> String {
        let side = if self.0 <= 0 { "ahead of" } else { "behind" };
        format!("this device's clock is {} s {side} the server's", self.apart().as_secs())
    }
}

impl Core {
    /// How far the device's clock is from the service's, as far as is known.
    #[must_use]
    pub const fn skew(&self) -> Skew {
        self.skew
    }

    /// A clock that was set back would put everything off: all wishes move with it.
    pub(super) fn look_at_clock(&mut self, now: Timestamp) {
        let back = Skew::between(now, self.seen);
        self.seen = now;
        if back.apart() == Duration::ZERO || back.service(now) <= now {
            return;
        }
        self.skew = Skew(self.skew.0.saturating_add(back.0));
        for wish in self.wishes_mut() {
            if let Some(at) = &mut wish.at {
                *at = back.device(*at);
            }
        }
        if let Some(Hint { at, .. }) = &mut self.hint {
            *at = back.device(*at);
        }
    }

    /// The service said what time it is.
    pub(super) fn told_time(&mut self, now: Timestamp, service: Timestamp) {
        let before = std::mem::replace(&mut self.skew, Skew::between(now, service));
        if self.skew.differs(before, SKEW_MAX)
            && self.renew.at.is_some()
            && self.renew.backoff.failures() == 0
        {
            self.plan_renewal(now);
        }
    }

    /// Whether a moment is past, by the device's clock and by what is known of the service's: the one may have been set
    /// right since the other was told.
    pub(super) fn is_surely_past(&self, now: Timestamp, moment: Timestamp) -> bool {
        moment <= now && moment <= self.skew.service(now)
    }

    fn wishes_mut(&mut self) -> [&mut Wish; 11] {
        [
            &mut self.onboard,
            &mut self.check_in,
            &mut self.apply,
            &mut self.report,
            &mut self.facts,
            &mut self.survey,
            &mut self.watch,
            &mut self.renew,
            &mut self.activate,
            &mut self.take_back,
            &mut self.confirm,
        ]
    }
}
