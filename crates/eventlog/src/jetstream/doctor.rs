//! Refuses servers that would lose events.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{AccountErrorKind, Context};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{ConnectError, Options, PAUSE_FIRST, PAUSE_MAX, SERVER_VERSION_MIN, SyncCheck, probe};

/// How long one monitoring port may take to answer.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer of a monitoring port that is read, in bytes.
const MONITOR_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// What is read of a server's `/varz`.
#[derive(Debug, Deserialize)]
struct Varz {
    server_id: String,
    server_name: String,
    version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Debug, Deserialize)]
struct JetStreamConfig {
    /// Left out by a server that syncs in intervals.
    #[serde(default)]
    sync_always: bool,
}

/// Checks version, JetStream and syncing.
pub(super) async fn examine(
    client: &Client,
    context: &Context,
    options: &Options,
    deadline: Instant,
) -> Result<(), ConnectError> {
    let info = client.server_info();
    new_enough(&info.server_name, &info.version)?;
    jetstream_enabled(context, deadline).await?;
    match &options.sync {
        SyncCheck::Monitor(urls) => ask_monitors(urls, options.replicas).await,
        SyncCheck::MonitorOrMeasure(urls) => match ask_monitors(urls, options.replicas).await {
            Err(ConnectError::SyncUnverified { .. }) if options.replicas == 1 => {
                probe::syncs(context, &info.server_name).await
            }
            asked => asked,
        },
        SyncCheck::Trust => {
            tracing::warn!(
                server = info.server_name,
                "whether the nats-servers sync to disk before they acknowledge was not checked"
            );
            Ok(())
        }
    }
}

fn new_enough(server: &str, version: &str) -> Result<(), ConnectError> {
    let mut numbers = version.split(['.', '-', '+']).take(3).map(|number| number.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) >= SERVER_VERSION_MIN {
        return Ok(());
    }
    let (major, minor, patch) = SERVER_VERSION_MIN;
    Err(ConnectError::TooOld {
        server: server.to_owned(),
        found: version.to_owned(),
        wanted: format!("{major}.{minor}.{patch}"),
    })
}

/// Waits for a cluster that still elects its leader.
async fn jetstream_enabled(context: &Context, deadline: Instant) -> Result<(), ConnectError> {
    let mut pause = PAUSE_FIRST;
    loop {
        let Err(error) = context.query_account().await else { return Ok(()) };
        let disabled = match error.kind() {
            AccountErrorKind::JetStreamUnavailable => true,
            AccountErrorKind::JetStream(error) => matches!(error.error_code().0, 10_039 | 10_076),
            AccountErrorKind::TimedOut | AccountErrorKind::Other => false,
        };
        if Instant::now() + pause >= deadline {
            let reason = format!("JetStream does not answer: {error}");
            return Err(if disabled {
                ConnectError::Invalid { reason: format!("JetStream is not enabled: {error}") }
            } else {
                ConnectError::Unreachable { urls: "the nats-server".to_owned(), reason }
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn ask_monitors(urls: &[String], replicas: usize) -> Result<(), ConnectError> {
    let mut seen = BTreeSet::new();
    for url in urls {
        let varz = ask(url).await.map_err(|reason| ConnectError::SyncUnverified {
            reason: format!("the monitoring port {url} does not tell: {reason}"),
        })?;
        new_enough(&varz.server_name, &varz.version)?;
        let Some(config) = varz.jetstream.config else {
            return Err(ConnectError::Invalid {
                reason: format!("JetStream is not enabled on nats-server {}", varz.server_name),
            });
        };
        if !config.sync_always {
            return Err(ConnectError::LazySync { server: varz.server_name });
        }
        seen.insert(varz.server_id);
    }
    if seen.len() < replicas {
        return Err(ConnectError::SyncUnverified {
            reason: format!("{} of {replicas} servers were asked by their monitoring ports", seen.len()),
        });
    }
    Ok(())
}

async fn ask(url: &str) -> Result<Varz, String> {
    let address = url
        .strip_prefix("http://")
        .map(|address| address.trim_end_matches('/'))
        .filter(|address| !address.contains('/'))
        .ok_or("it is not of the form http://host:port")?;
    let body = tokio::time::timeout(MONITOR_TIMEOUT, get(address))
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

/// The body of `/varz`. HTTP/1.0, so that it ends with the connection and comes in one piece.
async fn get(address: &str) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET /varz HTTP/1.0\r\nHost: {address}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.take(MONITOR_BYTES_MAX).read_to_end(&mut answer).await?;
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
    match head {
        Some(end) if answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200") => {
            Ok(answer.split_off(end + 4))
        }
        _ => Err(std::io::Error::other("it does not answer as a monitoring port does")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for fine in ["2.15.1", "2.15.10", "2.16.0", "3.0.0", "2.15.1-RC.1"] {
            assert_eq!(new_enough("n", fine), Ok(()), "{fine}");
        }
        for old in ["2.9.10", "2.15.0", "1.99.99", "", "nonsense"] {
            assert!(
                new_enough("n", old).is_err_and(|error| error.code().as_str() == "NATS_TOO_OLD"),
                "{old}"
            );
        }
    }
}
