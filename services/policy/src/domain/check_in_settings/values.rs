//! What can be tuned, its defaults and its bounds.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest pause between check-ins.
pub const INTERVAL_MAX: Duration = DAY;
/// Most check-ins of a device that are closer.
pub const COUNT_MAX: u32 = 1_000;
/// Most devices hinted a second.
pub const HINTS_PER_SECOND_MAX: u32 = 1_000_000;

/// How devices check in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values {
    /// Pause between check-ins: 5 minutes to 24 hours.
    pub interval: Duration,
    /// Pause while a device has a watch open: `interval` to 24 hours.
    pub watched_interval: Duration,
    /// The first check-ins of a device are closer: this many, at most [`COUNT_MAX`] …
    pub first_count: u32,
    /// … with this pause, 10 seconds to 24 hours.
    pub first_interval: Duration,
    /// Then this many, at most [`COUNT_MAX`] …
    pub second_count: u32,
    /// … with this pause, 10 seconds to 24 hours.
    pub second_interval: Duration,
    /// Devices hinted a second, at most: 1 to [`HINTS_PER_SECOND_MAX`].
    pub hints_per_second: u32,
    /// How long a signed policy is good: 1 to 90 days.
    pub policy_life: Duration,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            interval: 90 * MINUTE,
            watched_interval: 6 * HOUR,
            first_count: 5,
            first_interval: 3 * MINUTE,
            second_count: 8,
            second_interval: 15 * MINUTE,
            hints_per_second: 2_000,
            policy_life: 7 * DAY,
        }
    }
}

/// A value that is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfBounds {
    /// Which.
    pub field: &'static str,
    /// What it must be.
    pub bounds: &'static str,
}

impl Values {
    /// Every value that is out of bounds.
    #[must_use]
    pub fn problems(&self) -> Vec<OutOfBounds> {
        let Self {
            interval,
            watched_interval,
            first_count,
            first_interval,
            second_count,
            second_interval,
            hints_per_second,
            policy_life,
        } = *self;
        let close = 10 * Duration::from_secs(1)..=INTERVAL_MAX;
        let bounds = |field, bounds| OutOfBounds { field, bounds };
        let checks = [
            (
                (5 * MINUTE..=INTERVAL_MAX).contains(&interval),
                bounds("interval", "must be 5 minutes to 24 hours"),
            ),
            (
                (interval..=INTERVAL_MAX).contains(&watched_interval),
                bounds("watched_interval", "must be `interval` to 24 hours"),
            ),
            (first_count <= COUNT_MAX, bounds("first_count", "must be at most 1,000")),
            (close.contains(&first_interval), bounds("first_interval", "must be 10 seconds to 24 hours")),
            (second_count <= COUNT_MAX, bounds("second_count", "must be at most 1,000")),
            (close.contains(&second_interval), bounds("second_interval", "must be 10 seconds to 24 hours")),
            (
                (1..=HINTS_PER_SECOND_MAX).contains(&hints_per_second),
                bounds("hints_per_second", "must be 1 to 1,000,000"),
            ),
            ((DAY..=90 * DAY).contains(&policy_life), bounds("policy_life", "must be 1 to 90 days")),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem).collect()
    }
}
