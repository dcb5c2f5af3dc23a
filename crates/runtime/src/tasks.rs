//! Background work of a process: it is waited for at shutdown, and a panic in it stops the process.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, error, info_span};

/// The tasks of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TaskGroup {
    tracker: TaskTracker,
    stopping: CancellationToken,
    failure: Arc<OnceLock<TaskPanic>>,
}

/// A task panicked: the process stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {task} panicked: {message}")]
pub struct TaskPanic {
    /// Name of the task.
    pub task: &'static str,
    /// What it said.
    pub message: String,
}

/// Tasks that did not end in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{running} tasks still ran after {deadline:?}")]
pub struct DrainTimeout {
    /// How many.
    pub running: usize,
    /// How long was waited.
    pub deadline: Duration,
}

impl TaskGroup {
    /// A group without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a future in the background. It should end soon after [`TaskGroup::stopping`] is cancelled.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let group = self.clone();
        let span = info_span!(parent: None, "task", task = name);
        let watched = async move {
            if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
                group.fail(TaskPanic { task: name, message: message(panic.as_ref()) });
            }
        };
        self.tracker.spawn(watched.instrument(span));
    }

    /// Is cancelled when the process begins to stop. Long streams and loops select on it.
    #[must_use]
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Begins to stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// The panic that made the process stop, if one did.
    #[must_use]
    pub fn failure(&self) -> Option<&TaskPanic> {
        self.failure.get()
    }

    /// Begins to stop and waits for all tasks.
    ///
    /// # Errors
    /// [`DrainTimeout`] when some still run after `deadline`; they end with the runtime.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), DrainTimeout> {
        self.stop();
        self.tracker.close();
        let ended = tokio::time::timeout(deadline, self.tracker.wait()).await;
        ended.map_err(|_| DrainTimeout { running: self.tracker.len(), deadline })
    }

    fn fail(&self, panic: TaskPanic) {
        error!(task = panic.task, message = %panic.message, "a task panicked; the process stops");
        // The first panic is the cause; later ones are told by the log line above.
        if self.failure.set(panic).is_ok() {
            self.stop();
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_stops_the_group_and_is_kept() {
        let tasks = TaskGroup::new();
        tasks.spawn("bad", async { panic!("it went wrong") });
        tasks.stopping().cancelled().await;
        let panic = TaskPanic { task: "bad", message: "it went wrong".to_owned() };
        assert_eq!(tasks.failure(), Some(&panic));
        assert_eq!(tasks.shutdown(Duration::from_secs(1)).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_tasks_and_gives_up_at_its_deadline() {
        let tasks = TaskGroup::new();
        let stopping = tasks.stopping().clone();
        tasks.spawn("good", async move { stopping.cancelled().await });
        tasks.spawn("stuck", std::future::pending());
        let late = tasks.shutdown(Duration::from_secs(3)).await;
        assert_eq!(late, Err(DrainTimeout { running: 1, deadline: Duration::from_secs(3) }));
    }
}
