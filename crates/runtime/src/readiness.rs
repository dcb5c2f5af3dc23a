//! Whether a server can answer: its views have caught up with the log and are still folding.

use std::sync::Arc;

use muster_eventlog::project::Progress;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

type Look = Arc<dyn Fn() -> Progress + Send + Sync>;

/// What must be so before a server takes calls, and stay so. Cheap to clone and to ask.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Check)>,
    views: Vec<(&'static str, Look)>,
}

impl Readiness {
    /// Nothing needs to be so: always ready.
    #[must_use]
    pub fn always() -> Self {
        Self::default()
    }

    /// Adds a check, which says what is not so.
    #[must_use]
    pub fn check(
        mut self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Arc::new(check)));
        self
    }

    /// Adds a view, by its progress: it must have caught up once and not have stopped.
    #[must_use]
    pub fn view(
        mut self,
        name: &'static str,
        progress: impl Fn() -> Progress + Send + Sync + 'static,
    ) -> Self {
        let progress: Look = Arc::new(progress);
        self.views.push((name, progress.clone()));
        self.check(name, move || {
            let progress = progress();
            match progress.stopped {
                Some(reason) => Err(format!("stopped: {reason}")),
                None if !progress.caught_up => Err(format!("catching up, at {}", progress.positions)),
                None => Ok(()),
            }
        })
    }

    /// Everything that both need.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.checks.extend(other.checks);
        self.views.extend(other.views);
        self
    }

    /// How far each view is, by name.
    pub fn views(&self) -> impl Iterator<Item = (&'static str, Progress)> + '_ {
        self.views.iter().map(|(name, look)| (*name, look()))
    }

    /// What is not so, by name; empty when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        self.checks.iter().filter_map(|(name, check)| Some((*name, check().err()?))).collect()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|(_, check)| check().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_missing_until_it_caught_up_and_once_it_stopped() {
        let progress = |caught_up, stopped: Option<&str>| {
            let stopped = stopped.map(str::to_owned);
            let progress = Progress { caught_up, stopped, ..Progress::default() };
            Readiness::always().view("devices", move || progress.clone())
        };
        assert!(progress(true, None).is_ready());
        assert_eq!(progress(false, None).missing()[0].0, "devices");
        assert_eq!(progress(true, Some("gap")).missing()[0].1, "stopped: gap");
        assert!(!progress(true, None).and(progress(false, None)).is_ready());
    }
}
