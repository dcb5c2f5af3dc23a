//! Completes enrollments that the onboarding call left unfinished: identity's `TrustEstablished` →
//! `EnrollmentSucceeded`.
//!
//! The call says so itself once it has the certificate; when its process dies in between, this does. Both say it in
//! the same way, and saying it twice changes nothing. What is to be done is read off a view of both logs, so that there
//! is no checkpoint to keep, and a start finds what an earlier process left.

use std::sync::Arc;
use std::time::Duration;

use muster_eventlog::project::Projected;
use tracing::{info, warn};

use crate::commands::Commands;
use crate::projection::Devices;
use crate::projection::devices::{Trust, Unfinished};

/// Enrollments completed in one go.
const BATCH_MAX: usize = 256;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What is to be done.
#[must_use]
pub fn react(devices: &Devices) -> Vec<Unfinished> {
    devices.unfinished(BATCH_MAX)
}

/// Does it, whenever the view moves. Never ends; may be dropped at any time.
pub async fn run(commands: Arc<Commands>, devices: Projected<Devices>) {
    let mut progress = devices.watch();
    while progress.wait_for(|progress| progress.is_ready()).await.is_ok() {
        progress.mark_unchanged();
        let unfinished = react(&devices.read());
        if complete(&commands, unfinished).await {
            if progress.changed().await.is_err() {
                return;
            }
        } else {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Whether all went well.
async fn complete(commands: &Commands, unfinished: Vec<Unfinished>) -> bool {
    let mut well = true;
    for Unfinished { tenant, device, trust: Trust { key_digest, spiffe_id } } in unfinished {
        match commands.succeed((tenant, device), key_digest, &spiffe_id).await {
            Ok(executed) if executed.position.is_some() => {
                info!(%device, "completed an enrollment that was left unfinished");
            }
            Ok(_) => {}
            Err(error) => {
                warn!(%device, error = &error as &dyn std::error::Error, "cannot complete an enrollment");
                well = false;
            }
        }
    }
    well
}
