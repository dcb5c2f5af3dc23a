//! What this service does because time passes: a device that is not heard of for too long goes stale, and returns when it
//! is heard of again.
//!
//! Level-based: the view says who is silent for how long, and one timer waits for the longest silence. What was missed
//! while no process ran is made up for; since nobody could be heard of meanwhile, nobody goes stale before devices had time
//! to be heard of again. That it is done twice, here or by another process, is no second event.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use muster_eventlog::project::Projected;
use muster_types::{Clock, DeviceId, Positions, Service, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::commands::{ABSENCES_MAX, Absence, Commands};
use crate::metrics::ReportMetrics;
use crate::projection::Sightings;

/// Nobody goes stale for this long after the start, or half of the silence that is put up with if that is less.
const HEARING_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Longest sleep: clocks may be put forward while it lasts.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause between two batches, and before what failed is tried again: at most 5,000 devices a second.
const PAUSE: Duration = Duration::from_millis(200);

/// What is to be told now, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Devices that went stale or returned, at most [`ABSENCES_MAX`].
    pub absences: Vec<(DeviceId, Absence)>,
    /// When the next device goes stale if nothing is heard of it; none when there is none that could.
    pub next: Option<Timestamp>,
}

/// Plans what to tell, by a view that has caught up and the moment when listening began.
#[must_use]
pub fn plan(sightings: &Sightings, began: Timestamp, now: Timestamp) -> Plan {
    let stale_after = sightings.settings().values().stale_after;
    let heard_by = began.plus(HEARING_MAX.min(stale_after / 2));
    let returned =
        sightings.returning().map(|(device, minute)| (device, Absence::Over { seen: minute.begin() }));
    let mut absences: Vec<_> = returned.take(ABSENCES_MAX).collect();
    if heard_by <= now {
        let silent = sightings.silent(stale_after, now);
        let stale = silent.map(|(device, minute)| (device, Absence::Stale { last_seen: minute.begin() }));
        absences.extend(stale.take(ABSENCES_MAX - absences.len()));
    }
    let next = sightings.longest_silence().map(|minute| minute.end().plus(stale_after).max(heard_by));
    Plan { absences, next }
}

/// What tells of devices that go stale and return.
pub struct ProcessManager {
    commands: Arc<Commands>,
    sightings: Projected<Sightings>,
    clock: Arc<dyn Clock>,
    metrics: ReportMetrics,
    began: Timestamp,
}

impl ProcessManager {
    /// Listens from now on.
    #[must_use]
    pub fn new(
        commands: Arc<Commands>,
        sightings: Projected<Sightings>,
        clock: Arc<dyn Clock>,
        metrics: ReportMetrics,
    ) -> Self {
        let began = clock.now();
        Self { commands, sightings, clock, metrics, began }
    }

    /// Tells who goes stale and returns until the process stops.
    pub async fn run(self, stopping: CancellationToken) {
        let mut progress = self.sightings.watch();
        loop {
            progress.mark_unchanged();
            let next = self.tell().await;
            let sleep = next.map_or(SLEEP_MAX, |next| next.since(self.clock.now()).clamp(PAUSE, SLEEP_MAX));
            let rested = async {
                tokio::time::sleep(PAUSE).await;
                tokio::select! {
                    () = tokio::time::sleep(sleep - PAUSE) => true,
                    changed = progress.changed() => changed.is_ok(),
                }
            };
            tokio::select! {
                () = stopping.cancelled() => return,
                go_on = rested => if !go_on { return },
            }
        }
    }

    /// Tells of one batch; gives when to look again. What fails is told the next time.
    pub async fn tell(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        if !self.sightings.progress().is_ready() {
            return Some(now);
        }
        let Plan { absences, next } = plan(&self.sightings.read(), self.began, now);
        if absences.is_empty() {
            return next;
        }
        match self.commands.note_absences(&absences).await {
            Ok(Some(position)) => {
                self.count(&absences);
                let written = Positions::of(Service::Report, position);
                if self.sightings.wait_for(&written).await.is_err() {
                    tracing::debug!("the view is behind; what was told is planned again, and makes no event");
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, devices = absences.len(), "who went stale or returned is told later");
            }
        }
        Some(now)
    }

    fn count(&self, absences: &[(DeviceId, Absence)]) {
        let stale = absences.iter().filter(|(_, absence)| matches!(absence, Absence::Stale { .. })).count();
        self.metrics.absent("went_stale", stale);
        self.metrics.absent("returned", absences.len() - stale);
        tracing::info!(stale, returned = absences.len() - stale, "devices went stale or returned");
    }
}
