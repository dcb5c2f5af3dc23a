//! Hints, and the watch they come by.

use std::time::Duration;

use muster_types::{Digest, Timestamp};

use super::Core;
use super::backoff::{Class, class};
use super::message::{ApplyState, Closed, Work};
use super::wish::{Hint, Wish};

/// A watch that ended in peace is opened again within this time, unless the server says when.
const WATCH_REOPEN: Duration = Duration::from_secs(1);
/// And within this time, whatever the server says.
const WATCH_REOPEN_MAX: Duration = Duration::from_secs(60 * 60);

impl Core {
    pub(super) fn hinted(
        &mut self,
        now: Timestamp,
        etag: Option<Digest>,
        spread: Duration,
        traceparent: String,
    ) {
        let at = now.plus(self.jitter.within(spread));
        let at = self.hint.as_ref().map_or(at, |earlier| earlier.at.min(at));
        self.hint = Some(Hint { etag, at, traceparent });
    }

    /// A hint at what the answer to a check-in under way brought asks for nothing more, unless that was refused. One at what
    /// the device had before is meant otherwise: a sync, or something that it must do besides.
    pub(super) fn drop_hint_if_satisfied(&mut self, received_before: Option<Digest>) {
        let etag = self.hint.as_ref().and_then(|hint| hint.etag);
        let brought = etag.is_some() && etag == self.received && etag != received_before;
        if brought && self.apply_state != ApplyState::Refused {
            self.hint = None;
        }
    }

    pub(super) fn watch_opened(&mut self, now: Timestamp) {
        self.watch = Wish::default();
        if self.check_in.backoff.failures() > 0 {
            self.check_in.by(now);
        }
    }

    pub(super) fn watch_closed(&mut self, now: Timestamp, how: Closed) {
        let pause = match how {
            Closed::Ended { reconnect_within } => {
                self.watch.backoff.reset();
                self.jitter.within(reconnect_within.unwrap_or(WATCH_REOPEN).min(WATCH_REOPEN_MAX))
            }
            Closed::Failed(code) => {
                let class = class(Work::CheckIn, code);
                if class == Class::Revoked {
                    // Whether it is so, and what to do then, the check-in tells.
                    self.check_in.by(now);
                }
                self.watch.backoff.pause(&mut self.jitter, class != Class::Retry)
            }
        };
        self.watch.at = Some(now.plus(pause));
    }
}
