//! What is done next, and when to wake for what comes after.

use std::sync::Arc;

use muster_types::Timestamp;

use super::Core;
use super::message::{Action, CheckIn, Standing, Work};
use super::wish::Wish;

impl Core {
    pub(super) fn go_on(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.stopped {
            self.look_at_expiry(now, actions);
        }
        if self.stopped {
            return;
        }
        if self.enrolled.is_some() && self.watch.due(now) && !self.leaves() {
            self.watch.at = None;
            actions.push(Action::OpenWatch { applied: self.applied.map(|(etag, ..)| etag) });
        }
        if self.work.is_none()
            && let Some((work, action)) = self.next_work(now)
        {
            self.work = Some(work);
            actions.push(action);
        }
        self.wake_up(now, actions);
    }

    pub(super) const fn leaves(&self) -> bool {
        matches!(self.standing, Standing::Offboarding(_))
    }

    pub(super) fn next_work(&mut self, now: Timestamp) -> Option<(Work, Action)> {
        if self.take_back.due(now) {
            return Some((Work::TakeBack, self.begin_take_back()));
        }
        if self.enrolled.is_none() {
            if self.onboard.due(now) {
                return Some((Work::Onboard, Action::Onboard));
            }
            return self.survey.due(now).then_some((Work::Survey, Action::Survey));
        }
        if self.leaves() {
            let action = self.confirm.due(now).then(|| self.begin_confirm()).flatten()?;
            return Some((Work::Confirm, action));
        }
        if self.activate.due(now) && self.next.is_some() {
            return Some((Work::Activate, Action::Activate));
        }
        if self.apply.due(now)
            && let Some(policy) = self.last_good.clone()
        {
            return Some((Work::Apply, Action::Apply { policy, traceparent: self.traceparent.clone() }));
        }
        if self.only_next_is_good(now) {
            return None;
        }
        self.next_call(now)
    }

    /// The next call with the present certificate.
    pub(super) fn next_call(&mut self, now: Timestamp) -> Option<(Work, Action)> {
        if self.report.due(now) {
            let status = Arc::clone(&self.status);
            self.reporting = Some(Arc::clone(&status));
            return Some((Work::Report, Action::Report { status, traceparent: self.traceparent.clone() }));
        }
        // Before a check-in, for they may change its answer.
        if self.facts.due(now) {
            return Some((Work::ReportFacts, Action::ReportFacts));
        }
        if self.check_in.due(now) || self.hint.as_ref().is_some_and(|hint| hint.at <= now) {
            if !self.surveyed {
                self.surveys_for_check_in = true;
                return Some((Work::Survey, Action::Survey));
            }
            return Some((Work::CheckIn, Action::CheckIn(self.begin_check_in())));
        }
        if self.renew.due(now) {
            return Some(self.begin_renewal());
        }
        self.survey.due(now).then_some((Work::Survey, Action::Survey))
    }

    pub(super) fn begin_check_in(&mut self) -> CheckIn {
        self.sequence += 1;
        self.surveyed = false;
        self.hint_in_flight = self.hint.take();
        CheckIn {
            sequence: self.sequence,
            applied: self.applied.map(|(etag, version, _)| (etag, version)),
            received: self.received,
            apply_state: self.apply_state,
            traceparent: self
                .hint_in_flight
                .as_ref()
                .map_or_else(String::new, |hint| hint.traceparent.clone()),
        }
    }

    pub(super) fn wake_up(&self, now: Timestamp, actions: &mut Vec<Action>) {
        let wishes: &[&Wish] = if self.enrolled.is_some() {
            &[
                &self.check_in,
                &self.apply,
                &self.report,
                &self.facts,
                &self.survey,
                &self.watch,
                &self.renew,
                &self.activate,
                &self.take_back,
                &self.confirm,
            ]
        } else {
            &[&self.onboard, &self.survey, &self.take_back]
        };
        let hint = self.hint.as_ref().map(|hint| hint.at).filter(|_| self.enrolled.is_some());
        // What is already due waits for the work under way, and needs no waking.
        let earliest = wishes.iter().filter_map(|wish| wish.at).chain(hint).filter(|at| *at > now).min();
        actions.extend(earliest.map(Action::WakeAt));
    }
}
