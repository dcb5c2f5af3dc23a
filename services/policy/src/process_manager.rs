//! What this service does because time passes: a waiver whose time is over ends, by an event. And what it does because
//! others did something: it tells what devices should have ([`telling`]).
//!
//! Level-based: the view says which waivers end next, and one timer waits for the first of them. What was missed while no
//! process ran is made up for at once. That it is done twice, here or by another process, is no second event.

pub mod telling;

use std::sync::Arc;
use std::time::Duration;

use muster_errors::Fault;
use muster_eventlog::project::Projected;
use muster_types::{Clock, Positions, Service, WaiverId};
use tokio_util::sync::CancellationToken;

use crate::commands::Commands;
use crate::projection::Fleet;

/// Longest sleep: clocks may be put forward while it lasts.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause before what failed, or is not in the view yet, is looked at again.
const PAUSE: Duration = Duration::from_secs(1);

/// What ends waivers.
pub struct ProcessManager {
    /// The only writer.
    pub commands: Arc<Commands>,
    /// Says which waivers end next.
    pub fleet: Projected<Fleet>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
}

impl ProcessManager {
    /// Ends waivers at their time until the process stops.
    pub async fn run(self, stopping: CancellationToken) {
        let mut progress = self.fleet.watch();
        loop {
            progress.mark_unchanged();
            self.end_due().await;
            let sleep = self.sleep();
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(sleep) => {}
                changed = progress.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Ends the waivers whose time is over. What fails is due the next time too.
    async fn end_due(&self) {
        for waiver in self.due() {
            if let Err(fault) = self.end(waiver).await {
                tracing::warn!(%waiver, %fault, "a waiver whose time is over is ended later");
            }
        }
    }

    fn due(&self) -> Vec<WaiverId> {
        let now = self.clock.now();
        let fleet = self.fleet.read();
        fleet.expiries().take_while(|(expire, _)| *expire <= now).map(|(_, waiver)| waiver).collect()
    }

    async fn end(&self, waiver: WaiverId) -> Result<(), Fault> {
        let done = self.commands.expire_waiver(waiver).await?;
        if let Some(position) = done.position {
            tracing::info!(%waiver, "a waiver's time is over");
            let written = Positions::of(Service::Policy, position);
            muster_runtime::position::settle(self.fleet.wait_for(&written)).await?;
        }
        Ok(())
    }

    /// How long nothing is due.
    fn sleep(&self) -> Duration {
        let next = self.fleet.read().expiries().next();
        next.map_or(SLEEP_MAX, |(expire, _)| expire.since(self.clock.now()).clamp(PAUSE, SLEEP_MAX))
    }
}
