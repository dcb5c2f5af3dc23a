//! The rules of a device's status.

use std::collections::BTreeSet;

use muster_types::{Digest, SettingId, Timestamp};

use super::{Command, Error, Event, Statement, Status};

/// Most suspicions that one report gives rise to; the rest wait for the next.
pub const SUSPICIONS_PER_REPORT_MAX: usize = 100;

/// A device's status as its events tell it: only what the rules need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceStatus {
    /// Digest of what the device last said; none before it said anything.
    pub digest: Option<Digest>,
    /// Etag of the policy that the device last spoke of.
    policy_etag: Option<Digest>,
    /// Settings that are suspected to be worked against, under that policy.
    suspected: BTreeSet<SettingId>,
    /// When the device was last heard of before it went stale; none while it is not.
    stale_since: Option<Timestamp>,
}

impl DeviceStatus {
    /// Whether the device is stale.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.stale_since.is_some()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the report is out of bounds.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Report { said, drift_after } => self.report(said, *drift_after),
            Command::GoStale { last_seen } => Ok(self.go_stale(*last_seen).into_iter().collect()),
            Command::Return { seen } => Ok(self.come_back(*seen).into_iter().collect()),
        }
    }

    fn report(&self, said: &Statement, drift_after: u32) -> Result<Vec<Event>, Error> {
        said.status().check()?;
        let news = self.digest != Some(said.digest());
        let mut events: Vec<_> = news.then(|| Event::Reported { said: said.clone() }).into_iter().collect();
        events.extend(self.suspicions(said.status(), drift_after).take(SUSPICIONS_PER_REPORT_MAX));
        Ok(events)
    }

    /// Settings that are put back too often and were not suspected under this policy.
    fn suspicions(&self, status: &Status, drift_after: u32) -> impl Iterator<Item = Event> {
        let same_policy = self.policy_etag == Some(status.policy_etag);
        let policy_etag = status.policy_etag;
        let often = status.settings.iter().filter(move |setting| setting.corrections >= drift_after.max(1));
        often.filter(move |setting| !(same_policy && self.suspected.contains(&setting.id))).map(
            move |setting| Event::DriftSuspected {
                setting: setting.id.clone(),
                corrections: setting.corrections,
                policy_etag,
            },
        )
    }

    fn go_stale(&self, last_seen: Timestamp) -> Option<Event> {
        (!self.is_stale()).then_some(Event::WentStale { last_seen })
    }

    fn come_back(&self, seen: Timestamp) -> Option<Event> {
        self.stale_since.filter(|last_seen| *last_seen < seen).map(|_| Event::Returned { seen })
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::Reported { said } => {
                self.digest = Some(said.digest());
                self.under(said.status().policy_etag);
            }
            Event::DriftSuspected { setting, corrections: _, policy_etag } => {
                self.under(*policy_etag);
                self.suspected.insert(setting.clone());
            }
            Event::WentStale { last_seen } => self.stale_since = Some(*last_seen),
            Event::Returned { seen: _ } => self.stale_since = None,
        }
    }

    /// Another policy begins without suspicion.
    fn under(&mut self, policy_etag: Digest) {
        if self.policy_etag != Some(policy_etag) {
            self.policy_etag = Some(policy_etag);
            self.suspected.clear();
        }
    }
}
