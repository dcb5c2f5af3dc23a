//! An agent in this process.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use muster_errors::ErrorCode;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::config::Config;
use crate::engine::Engine;
use crate::engines::mdatp::Mdatp;
use crate::error::Error;
use crate::shell::{Shell, Until};
use crate::snapshot::Snapshot;
use crate::state::StateDir;

/// An agent that holds its state folder and does not run yet.
pub struct Agent {
    config: Config,
    state: Arc<StateDir>,
    shown: watch::Sender<Snapshot>,
}

impl Agent {
    /// Opens the agent's state and checks that it has what it needs.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the device is not onboarded and server, authority or token are missing; `DEVICE_DELETED` when it
    /// was offboarded and there is no new token; `DATA_DIR_…` and `DISK_FULL` when the state folder cannot be used.
    pub fn new(config: Config) -> Result<Self, Error> {
        let state = StateDir::open(&config.state_dir)?;
        stays_offboarded(&state, &config)?;
        if state.identity()?.is_none() {
            let missing: Vec<_> = [
                ("--server", config.server.is_none()),
                ("--ca", config.ca.is_none()),
                ("--token", config.token.is_none()),
            ]
            .into_iter()
            .filter_map(|(flag, missing)| missing.then_some(flag))
            .collect();
            if !missing.is_empty() {
                let message =
                    format!("this device is not onboarded yet, and that needs {}", missing.join(", "));
                return Err(Error::new(ErrorCode::ConfigInvalid, message));
            }
        }
        Ok(Self { config, state: Arc::new(state), shown: watch::Sender::default() })
    }

    /// Where the agent stands, from now on.
    #[must_use]
    pub fn observe(&self) -> watch::Receiver<Snapshot> {
        self.shown.subscribe()
    }

    /// Keeps this device under policy until `shutdown`. Dropping the future ends it at once; whatever was begun is
    /// finished or repeated by the next run.
    ///
    /// # Errors
    /// [`Error`] when nothing can be done before something outside is mended.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        // Boxed, as below: the loop holds all that it knows.
        Box::pin(self.shell()?.run(Until::Stopped, shutdown)).await
    }

    /// Checks in once, applies and reports what comes of it, and ends.
    ///
    /// # Errors
    /// [`Error`] of the first thing that fails.
    pub async fn once(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        Box::pin(self.shell()?.run(Until::CheckedIn, shutdown)).await
    }

    fn shell(self) -> Result<Shell, Error> {
        let Self { config, state, shown } = self;
        let mdatp = Mdatp::new(&config.root, state.record("mdatp"));
        let engines: Vec<Box<dyn Engine>> = vec![Box::new(mdatp)];
        Shell::new(config, state, engines, shown)
    }
}

/// A device that has left comes back with a token it was not started with then, and otherwise not.
fn stays_offboarded(state: &StateDir, config: &Config) -> Result<(), Error> {
    let Some(offboarded) = state.offboarded()? else { return Ok(()) };
    let digest = config.token.as_ref().map(|token| Sha256::digest(token.as_bytes()).into());
    if digest.is_some() && digest != offboarded.token_digest {
        return Ok(());
    }
    let message = format!(
        "this device was offboarded at {}, and stays so: to onboard it again, have an admin allow it and start the agent \
         with a new --token",
        offboarded.at
    );
    Err(Error::new(ErrorCode::DeviceDeleted, message))
}

/// Whether the agent of that state folder has been onboarded.
#[must_use]
pub fn is_onboarded(state_dir: &Path) -> bool {
    StateDir::peek(state_dir).identity().is_ok_and(|identity| identity.is_some())
}
