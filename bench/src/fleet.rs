//! The control plane in this process, on the embedded log.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use muster_cli::serve::{self, Options};
use muster_runtime::TaskGroup;
use muster_runtime::assemble::Running;
use muster_runtime::config::ServerConfig;

const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Starts it on free ports and waits until it is ready.
pub(crate) async fn start(data_dir: &Path, tasks: &TaskGroup) -> anyhow::Result<Running> {
    let server = ServerConfig::local(data_dir.to_owned());
    let running = serve::start(Options::on(server), tasks)
        .await
        .map_err(|failure| anyhow::anyhow!("{}: {}", failure.code, failure.message()))?;
    let ready = async {
        while !running.readiness.is_ready() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, ready).await.context("the control plane does not get ready")?;
    Ok(running)
}
