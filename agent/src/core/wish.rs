//! What the agent wants to do and when.

use muster_types::{Digest, Timestamp};

use super::backoff::Backoff;

/// A wish and when it is due; `None` when there is no such wish.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    pub(super) at: Option<Timestamp>,
    pub(super) backoff: Backoff,
}

impl Wish {
    pub(super) fn at(moment: Timestamp) -> Self {
        Self { at: Some(moment), ..Self::default() }
    }

    /// Not later than that.
    pub(super) fn by(&mut self, moment: Timestamp) {
        self.at = Some(self.at.map_or(moment, |at| at.min(moment)));
    }

    pub(super) fn due(&self, now: Timestamp) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

/// A check-in that the server says is worth it.
#[derive(Debug, Clone)]
pub(super) struct Hint {
    pub(super) etag: Option<Digest>,
    pub(super) at: Timestamp,
    pub(super) traceparent: String,
}
