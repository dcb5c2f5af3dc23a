//! The only reader: what the gRPC calls answer with, from the view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::project::{Behind, Projected, WAIT_MAX};
use muster_runtime::request::Page;
use muster_types::{DeviceId, Digest, GroupId, PolicyId, Positions, Timestamp};

use crate::checkin::{Outcome, period};
use crate::domain::assignment::Assigned;
use crate::domain::resolve::Effective;
use crate::projection::Fleet;
use crate::projection::fleet::{Management, PolicyRow};

/// Where a page of policies ended: the name and id of its last.
pub type Mark = (String, PolicyId);

/// What a device says it has.
#[derive(Debug, Clone, Copy)]
pub struct Has<'a> {
    /// Etag of the policy in force on it.
    pub etag: &'a [u8],
    /// The moment now.
    pub now: Timestamp,
}

/// What a device is answered, and whether another authority manages it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it is answered.
    pub outcome: Outcome,
    /// Another authority manages it: it shall enforce nothing.
    pub stand_down: bool,
}

/// The queries of this service.
#[derive(Debug)]
pub struct Queries {
    fleet: Projected<Fleet>,
    /// When this process began.
    start: Timestamp,
    caught_up: AtomicBool,
}

impl Queries {
    /// Queries on the view, by a process that began at `start`.
    #[must_use]
    pub const fn new(fleet: Projected<Fleet>, start: Timestamp) -> Self {
        Self { fleet, start, caught_up: AtomicBool::new(false) }
    }

    /// Waits until the view has folded a position.
    ///
    /// # Errors
    /// [`Behind`] when it did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.fleet.wait_for(wanted).await
    }

    /// Answers a device: the hot path. No disk, no log, and nothing is copied when nothing changed. `None` for a device
    /// that is not in the view.
    #[must_use]
    pub fn check_in(&self, device: DeviceId, has: Has<'_>) -> Option<Answer> {
        let fleet = self.fleet.read();
        let row = fleet.device(device)?;
        let (period, start) = (period(device, has.now), period(device, self.start));
        let same = has.etag == row.effective.etag;
        let renewed = same && row.is_due(period, start);
        let outcome = if same && !renewed {
            Outcome::NotModified
        } else {
            row.signed(period);
            Outcome::Policy { effective: row.effective.clone(), version: fleet.positions().sum(), renewed }
        };
        Some(Answer { outcome, stand_down: row.management == Management::Elsewhere })
    }

    /// What is resolved for a device.
    #[must_use]
    pub fn effective(&self, device: DeviceId) -> Option<Arc<Effective>> {
        self.fleet.read().device(device).map(|device| device.effective.clone())
    }

    /// Etag of what is resolved for a device.
    #[must_use]
    pub fn etag(&self, device: DeviceId) -> Option<Digest> {
        self.fleet.read().device(device).map(|device| device.effective.etag)
    }

    /// Waits until a device is in the view, at most [`WAIT_MAX`]: it may come with its new certificate before its
    /// onboarding is folded here.
    ///
    /// # Errors
    /// `VIEW_BEHIND` while the view has not caught up with the logs, `DEVICE_UNKNOWN` when the device does not come.
    pub async fn known(&self, device: DeviceId) -> Result<(), Fault> {
        self.ready()?;
        let mut progress = self.fleet.watch();
        let comes = progress.wait_for(|_| self.fleet.read().device(device).is_some());
        let unknown = || Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {device}"));
        match tokio::time::timeout(WAIT_MAX, comes).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(unknown()),
        }
    }

    /// Whether devices may be answered: a view that is still catching up would answer from the past.
    ///
    /// # Errors
    /// `VIEW_BEHIND`.
    pub fn ready(&self) -> Result<(), Fault> {
        if self.caught_up.load(Ordering::Relaxed) {
            return Ok(());
        }
        let progress = self.fleet.progress();
        if !progress.caught_up {
            let message = format!("the view is catching up with the logs, at {}", progress.positions);
            return Err(Fault::new(ErrorCode::ViewBehind, message));
        }
        self.caught_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// One policy.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> Option<PolicyRow> {
        self.fleet.read().policy(id).cloned()
    }

    /// Policies by name, and what the next page starts after; none on the last page.
    #[must_use]
    pub fn policies(&self, page: Page<Mark>) -> (Vec<(PolicyId, PolicyRow)>, Option<Mark>) {
        let fleet = self.fleet.read();
        let mut rows = fleet.policies_after(page.mark);
        let taken: Vec<_> = rows.by_ref().take(page.rows).map(|(id, row)| (id, row.clone())).collect();
        let last = taken.last().map(|(id, row)| (row.display_name.clone(), *id));
        let next = last.filter(|_| rows.next().is_some());
        (taken, next)
    }

    /// A policy's assignments; `None` when there is no such policy.
    #[must_use]
    pub fn assignments(&self, policy: PolicyId) -> Option<Vec<(GroupId, Assigned)>> {
        let fleet = self.fleet.read();
        fleet.policy(policy)?;
        Some(fleet.assignments(policy).map(|(group, assigned)| (group, *assigned)).collect())
    }
}
