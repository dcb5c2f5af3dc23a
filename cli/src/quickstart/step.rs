//! Steps: what was done and how long it took, a line each on stderr.

use std::time::{Duration, Instant};

use muster_errors::{ErrorCode, Fault};
use muster_runtime::Readiness;
use parking_lot::Mutex;

use crate::output::note;

/// Longest wait for any one step.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often readiness, which has no signal, is asked.
const READINESS_EVERY: Duration = Duration::from_millis(2);

/// The steps of a run.
#[derive(Debug)]
pub(super) struct Steps {
    last: Mutex<Instant>,
}

impl Steps {
    /// Begins counting.
    #[must_use]
    pub(super) fn begin() -> Self {
        Self { last: Mutex::new(Instant::now()) }
    }

    /// Ends a step, says so, and tells how long it took in milliseconds.
    pub(super) fn done(&self, what: &str, detail: &str) -> f64 {
        let mut last = self.last.lock();
        let took = last.elapsed().as_secs_f64() * 1e3;
        *last = Instant::now();
        note(&format!("{took:>9.1} ms  {what}: {detail}"));
        took
    }
}

/// Waits until a server can answer.
///
/// # Errors
/// `VIEW_BEHIND` with what is missing after [`WAIT_MAX`].
pub(super) async fn ready(readiness: &Readiness) -> Result<(), Fault> {
    let poll = async {
        while !readiness.is_ready() {
            tokio::time::sleep(READINESS_EVERY).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, poll).await.map_err(|_| {
        let missing = readiness.missing();
        let what: Vec<_> = missing.iter().map(|(name, reason)| format!("{name} ({reason})")).collect();
        Fault::new(ErrorCode::ViewBehind, format!("the server does not get ready: {}", what.join(", ")))
    })
}
