//! The only reader: what the gRPC calls answer with, from the view.

pub mod collisions;
pub mod explain;
pub mod past;
pub mod plan;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{Behind, Projected, WAIT_MAX};
use muster_runtime::request::Page;
use muster_runtime::revocation::Reason;
use muster_types::{DeviceId, Digest, GroupId, PolicyId, Positions, TenantId, Timestamp, WaiverId};
use tokio::sync::Mutex;

use crate::checkin::{Directive, Outcome, Why, minute, renewal_turn};
use crate::domain::assignment::Assigned;
use crate::domain::resolve::Effective;
use crate::domain::waiver;
use crate::history::{self, Revision};
use crate::projection::fleet::{CheckIns, Device, Gone, Management, PolicyRow, facts_mark};
use crate::projection::{Fleet, Past};

/// Where a page of policies ended: the name and id of its last.
pub type Mark = (String, PolicyId);
/// Where a page of waivers ended: when its last was granted, and its id.
pub type WaiverMark = (Timestamp, WaiverId);

/// What a device says it has.
#[derive(Debug, Clone, Copy)]
pub struct Has<'a> {
    /// Etag of the policy in force on it.
    pub etag: &'a [u8],
    /// Digest of the facts it last reported.
    pub facts_digest: &'a [u8],
    /// It needs its policy though the etag is right.
    pub again: bool,
    /// The moment now.
    pub now: Timestamp,
}

/// What a device is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it should have.
    pub outcome: Outcome,
    /// What it must do besides.
    pub directive: Directive,
    /// Its facts are not those that were reported last.
    pub facts_wanted: bool,
    /// Its place in bitmaps, once that is known.
    pub ordinal: Option<u32>,
}

/// The queries of this service.
pub struct Queries {
    fleet: Projected<Fleet>,
    past: Projected<Past>,
    log: SharedLog,
    /// When this process began.
    start: Timestamp,
    caught_up: AtomicBool,
    /// Held while a plan is made.
    planning: Mutex<()>,
}

impl Queries {
    /// Queries on the views, and on the log for what is kept nowhere else, by a process that began at `start`.
    #[must_use]
    pub fn new(fleet: Projected<Fleet>, past: Projected<Past>, log: SharedLog, start: Timestamp) -> Self {
        Self { fleet, past, log, start, caught_up: AtomicBool::new(false), planning: Mutex::default() }
    }

    /// Waits until the view has folded a position.
    ///
    /// # Errors
    /// [`Behind`] when it did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.fleet.wait_for(wanted).await
    }

    /// Answers a device: the hot path. No disk, no log, and nothing is copied when nothing changed. `None` for a device
    /// that is not in the view, or no longer there.
    #[must_use]
    pub fn check_in(&self, device: DeviceId, has: Has<'_>) -> Option<Answer> {
        let fleet = self.fleet.read();
        let row = fleet.device(device)?;
        let facts_wanted = row.told.facts.is_some_and(|known| facts_mark(has.facts_digest) != Some(known));
        let directive = directive(&fleet, row, has.now);
        let answer =
            |outcome, directive| Answer { outcome, directive, facts_wanted, ordinal: row.told.ordinal };
        if matches!(directive, Directive::Quarantine | Directive::Decommission { .. }) {
            return Some(answer(Outcome::NotModified, directive));
        }
        let (now, effective) = (minute(has.now), fleet.effective(row));
        let why = if has.etag != effective.etag {
            Some(Why::Changed)
        } else if has.again {
            Some(Why::Again)
        } else {
            let signed = row.last_signed().max(minute(self.start));
            renewal_turn(device, signed, has.now, fleet.check_in_settings().values.policy_life)
                .then_some(Why::Renewed)
        };
        let outcome = why.map_or(Outcome::NotModified, |why| {
            row.signed(now);
            Outcome::Policy { effective: effective.clone(), version: fleet.positions().sum(), why }
        });
        Some(answer(outcome, directive))
    }

    /// How devices check in.
    #[must_use]
    pub fn check_ins(&self) -> CheckIns {
        *self.fleet.read().check_in_settings()
    }

    /// A device's place in bitmaps, once that is known.
    #[must_use]
    pub fn ordinal(&self, device: DeviceId) -> Option<u32> {
        self.fleet.read().device(device)?.told.ordinal
    }

    /// What is resolved for a device.
    #[must_use]
    pub fn effective(&self, device: DeviceId) -> Option<Arc<Effective>> {
        let fleet = self.fleet.read();
        fleet.device(device).map(|device| fleet.effective(device).clone())
    }

    /// Why a device is no longer there.
    #[must_use]
    pub fn gone(&self, device: DeviceId) -> Option<Gone> {
        self.fleet.read().gone(device)
    }

    /// Whether a device has an order to leave that it should fetch at once.
    #[must_use]
    pub fn is_leaving(&self, device: DeviceId, now: Timestamp) -> bool {
        let fleet = self.fleet.read();
        let leaving = |row: &Device| matches!(directive(&fleet, row, now), Directive::Decommission { .. });
        fleet.device(device).is_some_and(leaving)
    }

    /// Etag of what is resolved for a device.
    #[must_use]
    pub fn etag(&self, device: DeviceId) -> Option<Digest> {
        let fleet = self.fleet.read();
        fleet.device(device).map(|device| fleet.effective(device).etag)
    }

    /// Waits until a device is in the view, at most [`WAIT_MAX`]: it may come with its new certificate before its
    /// onboarding is folded here.
    ///
    /// # Errors
    /// `VIEW_BEHIND` while the view has not caught up with the logs, `DEVICE_UNKNOWN` when the device does not come; for
    /// one that is gone, what its certificate is refused with.
    pub async fn known(&self, device: DeviceId) -> Result<(), Fault> {
        self.ready()?;
        let mut progress = self.fleet.watch();
        let comes = progress.wait_for(|_| self.fleet.read().device(device).is_some());
        let unknown = || match self.gone(device) {
            Some(gone) => ended(gone).fault(),
            None => Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {device}")),
        };
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

    /// Policies by name, if asked those that were deleted too, and what the next page starts after; none on the last page.
    #[must_use]
    pub fn policies(
        &self,
        page: Page<Mark>,
        show_deleted: bool,
    ) -> (Vec<(PolicyId, PolicyRow)>, Option<Mark>) {
        let fleet = self.fleet.read();
        let shown = |(_, row): &(PolicyId, &PolicyRow)| show_deleted || row.is_there();
        let mut rows = fleet.policies_after(page.mark).filter(shown);
        let taken: Vec<_> = rows.by_ref().take(page.rows).map(|(id, row)| (id, row.clone())).collect();
        let last = taken.last().map(|(id, row)| (row.display_name.clone(), *id));
        let next = last.filter(|_| rows.next().is_some());
        (taken, next)
    }

    /// The revisions of a policy, deleted or not, the oldest first.
    ///
    /// # Errors
    /// `POLICY_UNKNOWN`, and those of the log.
    pub async fn history(&self, tenant: TenantId, id: PolicyId) -> Result<Vec<Revision>, Fault> {
        history::read(&self.log, tenant, id).await
    }

    /// One waiver, active or not.
    #[must_use]
    pub fn waiver(&self, id: WaiverId) -> Option<waiver::Known> {
        self.fleet.read().waiver(id).cloned()
    }

    /// Waivers by the time they were granted, and what the next page starts after; none on the last page.
    #[must_use]
    pub fn waivers(
        &self,
        page: Page<WaiverMark>,
        active_only: bool,
    ) -> (Vec<(WaiverId, waiver::Known)>, Option<WaiverMark>) {
        let fleet = self.fleet.read();
        let shown = |(_, known): &(WaiverId, &waiver::Known)| !active_only || known.is_active();
        let rows = fleet.waivers_after(None).filter(shown);
        let mut rows: Vec<_> = rows.map(|(id, known)| ((known.origin.at, id), known)).collect();
        rows.sort_unstable_by_key(|(mark, _)| *mark);
        let after = page.mark.map_or(0, |after| rows.partition_point(|(mark, _)| *mark <= after));
        let taken: Vec<_> = rows[after..].iter().take(page.rows).collect();
        let next = taken.last().map(|(mark, _)| *mark).filter(|_| rows.len() > after + taken.len());
        (taken.into_iter().map(|((_, id), known)| (*id, (*known).clone())).collect(), next)
    }

    /// A policy's assignments; `None` when there is no such policy.
    #[must_use]
    pub fn assignments(&self, policy: PolicyId) -> Option<Vec<(GroupId, Assigned)>> {
        let fleet = self.fleet.read();
        fleet.policy(policy)?;
        Some(fleet.assignments(policy).map(|(group, assigned)| (group, assigned.clone())).collect())
    }
}

/// What a device must do besides: what keeps it apart goes before what makes it leave, and that before standing down.
fn directive(fleet: &Fleet, device: &Device, now: Timestamp) -> Directive {
    let told = &device.told;
    match (told.quarantined, told.offboarding.filter(|expire| *expire > now), told.management) {
        (true, _, _) => Directive::Quarantine,
        (false, Some(expire), _) => {
            Directive::Decommission { expire, kept: fleet.kept(device).map(ToString::to_string).collect() }
        }
        (false, None, Management::Elsewhere(code)) => Directive::StandDown(code),
        (false, None, Management::Here | Management::Undecided) => Directive::GoOn,
    }
}

/// Why the certificate of a device that is gone does not count.
const fn ended(gone: Gone) -> Reason {
    match gone {
        Gone::Offboarded => Reason::Offboarded,
        Gone::Deleted => Reason::Deleted,
        Gone::Merged => Reason::Merged,
    }
}
