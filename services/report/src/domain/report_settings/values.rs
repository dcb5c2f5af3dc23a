//! What can be tuned, its defaults and its bounds.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Shortest silence after which a device may count as stale.
pub const STALE_AFTER_MIN: Duration = Duration::from_secs(2 * 60 * 60);
/// Longest.
pub const STALE_AFTER_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Most corrections that may be put up with.
pub const DRIFT_AFTER_MAX: u32 = 1_000;

/// When devices count as stale or drifting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values {
    /// A device that was not heard of for so long is stale: 2 hours to 365 days.
    pub stale_after: Duration,
    /// A setting that was put back so often is suspected to be worked against: 1 to [`DRIFT_AFTER_MAX`].
    pub drift_after: u32,
}

impl Default for Values {
    fn default() -> Self {
        Self { stale_after: 7 * DAY, drift_after: 3 }
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
        let Self { stale_after, drift_after } = *self;
        let checks = [
            (
                (STALE_AFTER_MIN..=STALE_AFTER_MAX).contains(&stale_after),
                OutOfBounds { field: "stale_after", bounds: "must be 2 hours to 365 days" },
            ),
            (
                (1..=DRIFT_AFTER_MAX).contains(&drift_after),
                OutOfBounds { field: "drift_after", bounds: "must be 1 to 1,000" },
            ),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem).collect()
    }
}
