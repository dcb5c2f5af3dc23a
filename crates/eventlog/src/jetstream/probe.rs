//! Measures whether a server syncs before it acknowledges, where it does not tell.
//!
//! The same messages go, one at a time and in turn, to a JetStream stream in memory and to one in files. Without a
//! sync both take the same time: the file is written to the page cache. With one, each acknowledgement from files waits
//! for the disk.

use std::future::IntoFuture as _;
use std::time::Duration;

use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{Config, StorageType};
use tokio::time::Instant;
use uuid::Uuid;

use super::ConnectError;

/// Messages to each of both.
const MESSAGES: usize = 48;
/// A server that syncs takes at least this many times as long. Measured: 0.9 to 1.2 without, 2.0 to 8 with syncing, on
/// disks whose sync takes 0.17 ms and more, beside idle and beside busy processors.
const RATIO_MIN: f64 = 1.5;

/// Refuses a server that does not sync, or that cannot be told from one.
pub(super) async fn syncs(context: &Context, server: &str) -> Result<(), ConnectError> {
    let unverified = |reason: String| ConnectError::SyncUnverified {
        reason: format!("no monitoring port answers, and measuring failed: {reason}"),
    };
    let name = format!("MUSTER_PROBE_{}", Uuid::new_v4().simple());
    let names = [format!("{name}_MEMORY"), format!("{name}_FILE")];
    let measured = measure(context, &names).await;
    for name in &names {
        // What is left behind is empty of meaning, small, and gone with the next restart of the probe's server.
        drop(context.delete_stream(name).await);
    }
    let [memory, file] = measured.map_err(unverified)?;
    let ratio = file.as_secs_f64() / memory.as_secs_f64();
    tracing::info!(
        server,
        ?memory,
        ?file,
        ratio,
        "measured whether the nats-server syncs before it acknowledges"
    );
    if ratio < RATIO_MIN {
        return Err(ConnectError::LazySync { server: server.to_owned() });
    }
    Ok(())
}

/// How long an acknowledgement from memory and one from files take when nothing else does: the lower eighth of the times.
/// Other work on the server's machine adds to some, and to the two unequally; nothing takes away from what a sync takes.
async fn measure(context: &Context, names: &[String; 2]) -> Result<[Duration; 2], String> {
    for (name, storage) in names.iter().zip([StorageType::Memory, StorageType::File]) {
        let config =
            Config { name: name.clone(), subjects: vec![name.clone()], storage, ..Config::default() };
        context.create_stream(config).await.map_err(|error| error.to_string())?;
    }
    let mut times = [Vec::with_capacity(MESSAGES), Vec::with_capacity(MESSAGES)];
    for _ in 0..MESSAGES {
        for (name, times) in names.iter().zip(&mut times) {
            let begun = Instant::now();
            let acknowledged =
                context.publish(name.clone(), "probe".into()).await.map_err(|error| error.to_string())?;
            acknowledged.into_future().await.map_err(|error| error.to_string())?;
            times.push(begun.elapsed());
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times[MESSAGES / 8]
    }))
}
