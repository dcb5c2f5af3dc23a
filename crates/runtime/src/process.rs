//! A process from its start to its exit code.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_telemetry::{TelemetryConfig, TelemetryError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use crate::TaskGroup;

/// How long calls and tasks may take to end once the process was asked to stop.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Threads that run tasks. More than this machine may have cores: on two, four answered nearly twice the calls.
const WORKERS_MIN: usize = 4;

/// Why a process ends with an exit code other than 0.
#[derive(Debug)]
pub struct Failure {
    /// Its stable code.
    pub code: ErrorCode,
    /// What went wrong, with its sources.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A failure of a known code.
    pub fn new(code: ErrorCode, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, error: error.into() }
    }

    /// What failed and why, on one line.
    #[must_use]
    pub fn message(&self) -> String {
        chain(self.error.as_ref())
    }
}

/// Takes the code from the first [`Fault`] among an error and its sources; `INTERNAL` when there is none.
impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let code = sources(&error).find_map(|error| error.downcast_ref::<Fault>()).map(|fault| fault.code);
        Self { code: code.unwrap_or(ErrorCode::Internal), error: Box::new(error) }
    }
}

/// Runs a process: telemetry, signals, drain, exit code. The future ends by itself, or soon after the group stops (on
/// SIGINT, SIGTERM, or a panic in a task). A failure is told once on stderr, with its code and page.
pub fn run<F>(telemetry: TelemetryConfig, main: impl FnOnce(TaskGroup) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Failure>>,
{
    let workers = std::thread::available_parallelism().map_or(1, usize::from).max(WORKERS_MIN);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(supervised(telemetry, main)),
        Err(error) => Err(Failure::from(error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn supervised<F>(telemetry: TelemetryConfig, main: impl FnOnce(TaskGroup) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let _telemetry = muster_telemetry::init(telemetry)
        .map_err(|error: TelemetryError| Failure::new(ErrorCode::ConfigInvalid, error))?;
    let tasks = TaskGroup::new();
    stop_on_signals(&tasks)?;
    let ended = main(tasks.clone()).await;
    if let Err(late) = tasks.shutdown(DRAIN_MAX).await {
        error!(error = %late, "the process ends without waiting longer");
    }
    match (ended, tasks.failure()) {
        (Ok(()), Some(panic)) => Err(Failure::new(ErrorCode::Internal, panic.clone())),
        (ended, _) => ended,
    }
}

fn stop_on_signals(tasks: &TaskGroup) -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let group = tasks.clone();
    tasks.spawn("signals", async move {
        tokio::select! {
            () = received(&mut interrupt) => info!("interrupted; draining"),
            () = received(&mut terminate) => info!("asked to terminate; draining"),
            () = group.stopping().cancelled() => return,
        }
        group.stop();
    });
    Ok(())
}

async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Says on stderr why the process fails, where to read on, and what is wrong field by field.
#[expect(clippy::print_stderr, reason = "the last word of a process, also when logging is filtered away")]
pub fn tell(failure: &Failure) {
    let Failure { code, error } = failure;
    let message = chain(error.as_ref());
    let message = message.strip_prefix(&format!("{code}: ")).unwrap_or(&message);
    eprintln!("error[{code}]: {message}\n  see docs/errors/{code}.md");
}

/// An error and its sources on one line.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] Fault);

    #[test]
    fn a_failure_has_the_code_of_the_fault_inside_and_tells_the_whole_chain() {
        let failure = Failure::from(Outer(Fault::new(ErrorCode::PortInUse, "taken")));
        assert_eq!(failure.code, ErrorCode::PortInUse);
        assert_eq!(failure.message(), "cannot start: PORT_IN_USE: taken");
        assert_eq!(Failure::from(std::fmt::Error).code, ErrorCode::Internal);
    }
}
