//! Whether a server can answer: its views have caught up with the log and are still folding.

use std::sync::Arc;

use muster_eventlog::project::Progress;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What must be so before a server takes calls, and stay so. Cheap to clone and to ask.
#[derive(Clone, Default)]
pub struct Readiness(Vec<(&'static str, Check)>);

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
        self.0.push((name, Arc::new(check)));
        self
    }

    /// Adds a view, by its progress: it must have caught up once and not have stopped.
    #[must_use]
    pub fn view(self, name: &'static str, progress: impl Fn() -> Progress + Send + Sync + 'static) -> Self {
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
        self.0.extend(other.0);
        self
    }

    /// What is not so, by name; empty when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        self.0.iter().filter_map(|(name, check)| Some((*name, check().err()?))).collect()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|(_, check)| check().is_ok())
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
