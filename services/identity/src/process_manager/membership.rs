//! Who is in which group, kept in step with what is known of devices.
//!
//! The view marks what has to be asked again; this asks, and writes the differences. What it wrote is asked of the log
//! itself, never remembered: after a crash it asks everything once, and what was written before makes no event again.

use std::sync::Arc;
use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::project::{Behind, View as _, WAIT_MAX};
use muster_types::{GroupId, Positions, TenantId, Timestamp};
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::commands::{Answer, Commands};
use crate::domain::group::Verdict;
use crate::domain::membership::Marks;
use crate::metrics::IdentityMetrics;
use crate::projection::membership::{Marked, Membership};
use crate::queries::Queries;

/// Pause before what failed is tried again; doubled each time, at most [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Most answers about single devices that are given between two other things of the process.
const ANSWERS_INLINE_MAX: u64 = 4_096;

/// How far groups follow what is known of devices. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ages {
    groups: Arc<RwLock<FxHashMap<GroupId, Age>>>,
    settled: watch::Sender<Positions>,
}

/// How far a group follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Age {
    /// When its rule was last asked.
    pub evaluate_time: Timestamp,
    /// Devices of which it could not say whether they are in.
    pub unknown: RoaringBitmap,
}

impl Default for Ages {
    fn default() -> Self {
        Self { groups: Arc::default(), settled: watch::Sender::new(Positions::ZERO) }
    }
}

impl Ages {
    /// How far a group follows, once its rule was asked.
    #[must_use]
    pub fn of(&self, group: GroupId) -> Option<Age> {
        self.groups.read().get(&group).cloned()
    }

    /// Up to where all groups follow.
    #[must_use]
    pub fn settled(&self) -> Positions {
        *self.settled.borrow()
    }

    /// Waits until all groups follow up to a position, at most [`WAIT_MAX`].
    ///
    /// # Errors
    /// [`Behind`] when the time is over.
    pub async fn wait_for(&self, wanted: &Positions) -> Result<(), Behind> {
        let mut settled = self.settled.subscribe();
        let reached = settled.wait_for(|settled| settled.reach(wanted, Membership::SOURCES));
        match tokio::time::timeout(WAIT_MAX, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Behind { has: self.settled(), wanted: *wanted }),
        }
    }

    fn asked(&self, group: GroupId, verdict: &Verdict, now: Timestamp) {
        let Verdict { within, inside: _, unknown } = verdict;
        let mut groups = self.groups.write();
        let age =
            groups.entry(group).or_insert_with(|| Age { evaluate_time: now, unknown: RoaringBitmap::new() });
        age.evaluate_time = now;
        match within {
            None => age.unknown.clone_from(unknown),
            Some(within) => {
                age.unknown -= within;
                age.unknown |= unknown;
            }
        }
    }

    fn left(&self, gone: &RoaringBitmap) {
        self.groups.write().values_mut().for_each(|age| age.unknown -= gone);
    }

    fn keep(&self, still: impl Fn(GroupId) -> bool) {
        self.groups.write().retain(|group, _| still(*group));
    }
}

/// What keeps groups in step.
pub struct Following {
    /// The tenant whose groups they are.
    pub tenant: TenantId,
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// What has to be asked again.
    pub marked: Arc<Marked>,
    /// How far groups follow.
    pub ages: Ages,
    /// Numbers.
    pub metrics: IdentityMetrics,
}

impl Following {
    /// Keeps groups in step until the process stops.
    pub async fn run(self, stopping: CancellationToken) {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(self) {
        let mut progress = self.queries.membership_progress();
        if progress.wait_for(|progress| progress.caught_up).await.is_err() {
            return;
        }
        let mut pause = PAUSE_FIRST;
        let mut marks = self.begin();
        loop {
            match self.settle(&mut marks).await {
                Ok(()) => {
                    pause = PAUSE_FIRST;
                    self.marked.folded().await;
                }
                Err(error) => {
                    warn!(%error, "groups cannot follow now; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Lets changes be marked from now on, and gives the marks that ask everything.
    fn begin(&self) -> Marks {
        let membership = self.queries.membership();
        self.marked.follow();
        let fleet = membership.fleet();
        let mut gone = RoaringBitmap::new();
        gone.insert_range(0..fleet.index().count());
        gone -= fleet.index().present();
        Marks { groups: fleet.rules().iter().map(|(group, _)| group).collect(), gone, ..Marks::default() }
    }

    /// Asks what is marked, and writes what comes of it. What did not go through stays in `marks`, to be asked again.
    async fn settle(&self, marks: &mut Marks) -> Result<(), Fault> {
        let (positions, answers) = self.ask(marks).await?;
        let mut written = 0;
        if !marks.gone.is_empty() {
            let left =
                self.commands.leave_groups(self.tenant, &positions, &marks.gone, &self.queries).await?;
            (0..left.groups).for_each(|_| self.metrics.membership_changed());
            self.ages.left(&marks.gone);
            written = left.position;
        }
        self.reach(written).await?;
        let differing = answers.iter().filter(|answer| self.queries.differs(answer.group, &answer.verdict));
        let resolved =
            self.commands.resolve_groups(self.tenant, &positions, differing.cloned().collect()).await?;
        (0..resolved.groups).for_each(|_| self.metrics.membership_changed());
        // The next comparison is with what was written now, and whoever reads after this sees it.
        self.reach(resolved.position).await?;
        let now = self.commands.now();
        answers.iter().for_each(|answer| self.ages.asked(answer.group, &answer.verdict, now));
        let all = !marks.groups.is_empty();
        if all {
            let membership = self.queries.membership();
            self.ages.keep(|group| membership.fleet().rules().get(group).is_some());
        }
        *marks = Marks::default();
        self.ages.settled.send_replace(positions);
        Ok(())
    }

    async fn reach(&self, position: u64) -> Result<(), Fault> {
        let behind = |error: Behind| Fault::new(ErrorCode::ViewBehind, error.to_string());
        self.queries.groups_reach(position).await.map_err(behind)
    }

    /// Takes what is marked by now, and asks. Marks and positions are of one moment.
    async fn ask(&self, marks: &mut Marks) -> Result<(Positions, Vec<Answer>), Fault> {
        let few = {
            let membership = self.queries.membership();
            marks.merge(self.marked.take());
            if is_quick(marks) {
                return Ok((membership.positions(), answers(&membership, marks)));
            }
            marks.clone()
        };
        let (queries, marked) = (self.queries.clone(), self.marked.clone());
        let asked = spawn_blocking(move || {
            let mut marks = few;
            let membership = queries.membership();
            marks.merge(marked.take());
            let answers = answers(&membership, &marks);
            (membership.positions(), answers, marks)
        });
        let (positions, answers, all) = asked
            .await
            .map_err(|error| Fault::new(ErrorCode::Internal, format!("asking rules failed: {error}")))?;
        *marks = all;
        Ok((positions, answers))
    }
}

fn is_quick(marks: &Marks) -> bool {
    marks.groups.is_empty()
        && marks.devices.values().map(RoaringBitmap::len).sum::<u64>() <= ANSWERS_INLINE_MAX
}

/// What rules say of what is marked. A group that was deleted has none.
fn answers(membership: &Membership, marks: &Marks) -> Vec<Answer> {
    let Marks { groups, devices, gone: _ } = marks;
    let fleet = membership.fleet();
    let about_all = groups.iter().filter_map(|group| {
        let rule = fleet.rules().get(*group)?;
        Some(Answer { group: *group, rule: rule.text().into(), verdict: fleet.index().verdict(rule) })
    });
    let about_some = devices.iter().filter(|(group, _)| !groups.contains(group)).filter_map(|(group, of)| {
        let rule = fleet.rules().get(*group)?;
        Some(Answer { group: *group, rule: rule.text().into(), verdict: fleet.index().verdict_of(rule, of) })
    });
    about_all.chain(about_some).collect()
}
