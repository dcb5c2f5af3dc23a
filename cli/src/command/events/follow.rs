//! Tails of several services as one stream, and what becomes of them when the server goes away.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, SelectAll, Stream, StreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_proto::log::v1::{Envelope, TailRequest};

use crate::command::events::tail_of;
use crate::connect::Api;
use crate::output::note;

/// Pauses between attempts to reach a server that went away.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

type Events = Pin<Box<dyn Stream<Item = Result<Envelope, Fault>> + Send>>;

/// Everything that is there: events of one service in log order, between services by time. Holds one event of each.
///
/// # Errors
/// The call's fault, or what `print` says.
pub(super) async fn once(
    api: &Api,
    requests: Vec<TailRequest>,
    mut print: impl FnMut(&Envelope) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut tails: Vec<(Option<Envelope>, Events)> = Vec::new();
    for request in requests {
        let mut tail: Events = Box::pin(tail_of(api, TailRequest { follow: false, ..request }).await?);
        tails.push((tail.next().await.transpose()?, tail));
    }
    loop {
        // Positions order one service's events; between services only time can. Requests are in the services' order,
        // and a cause comes from a service before or in time before.
        let earliest = tails.iter_mut().filter(|(head, _)| head.is_some()).min_by_key(|(head, _)| {
            head.as_ref().and_then(|event| event.time).map_or((0, 0), |time| (time.seconds, time.nanos))
        });
        let Some((head, tail)) = earliest else { return Ok(()) };
        let next = tail.next().await.transpose()?;
        if let Some(event) = std::mem::replace(head, next) {
            print(&event)?;
        }
    }
}

/// What comes, for ever. A server that goes away is waited for, and its log resumed after the last event seen.
///
/// # Errors
/// The first call's fault, one that no waiting mends, or what `print` says.
pub(super) async fn on(
    api: &Api,
    requests: Vec<TailRequest>,
    mut print: impl FnMut(&Envelope) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut tails = SelectAll::new();
    for request in requests {
        let request = TailRequest { follow: true, ..request };
        let tail: Events = Box::pin(tail_of(api, request.clone()).await?);
        tails.push(Box::pin(resumed(api, request, tail)));
    }
    while let Some(event) = tails.next().await {
        print(&event?)?;
    }
    Ok(())
}

/// A tail that takes itself up again.
fn resumed(
    api: &Api,
    request: TailRequest,
    tail: Events,
) -> impl Stream<Item = Result<Envelope, Fault>> + use<'_> {
    stream::unfold(Some((request, tail)), move |state| async move {
        let (mut request, mut tail) = state?;
        loop {
            match tail.next().await {
                Some(Ok(event)) => {
                    request.from_position = event.position + 1;
                    return Some((Ok(event), Some((request, tail))));
                }
                Some(Err(fault)) if !may_pass(&fault) => return Some((Err(fault), None)),
                // A server that stops ends its streams.
                Some(Err(_)) | None => match reached(api, &request).await {
                    Ok(again) => tail = again,
                    Err(fault) => return Some((Err(fault), None)),
                },
            }
        }
    })
}

async fn reached(api: &Api, request: &TailRequest) -> Result<Events, Fault> {
    note(&format!("The log of {} went away; waiting for the server.", request.service));
    let mut pause = PAUSE_FIRST;
    loop {
        tokio::time::sleep(pause).await;
        match tail_of(api, request.clone()).await {
            Ok(tail) => return Ok(Box::pin(tail)),
            Err(fault) if may_pass(&fault) => pause = (pause * 2).min(PAUSE_MAX),
            Err(fault) => return Err(fault),
        }
    }
}

/// Whether a server that comes back may answer otherwise.
fn may_pass(fault: &Fault) -> bool {
    matches!(
        fault.code,
        ErrorCode::LogUnavailable
            | ErrorCode::ServerUnreachable
            | ErrorCode::ShuttingDown
            | ErrorCode::Overloaded
            | ErrorCode::DeadlineExceeded
            | ErrorCode::Internal
    )
}
