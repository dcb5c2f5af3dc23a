//! Views verified for a caller, who hears how far the work is.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_proto::log::v1 as pb;
use muster_types::Service;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;
use tracing::error;

use crate::project::{Registered, Verified, VerifyError};

/// Words on how far the work is that wait for the caller; later ones are left out.
const WAITING_MAX: usize = 16;

/// A verification under way: it goes on while it is read, and ends when it is dropped.
pub(super) type Verifying = Pin<Box<dyn Stream<Item = Result<pb::VerifyViewsResponse, Status>> + Send>>;

/// Verifies one view after the other.
pub(super) fn run(service: Service, views: Vec<Arc<Registered>>, permit: OwnedSemaphorePermit) -> Verifying {
    let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
    let work = async move {
        let _permit = permit;
        for view in views {
            let named = pb::VerifyViewsResponse { view: view.name().to_owned(), ..Default::default() };
            let progress = {
                let (sender, named) = (sender.clone(), named.clone());
                // Who does not read fast enough hears a later word.
                move |events| drop(sender.try_send(Ok(pb::VerifyViewsResponse { events, ..named.clone() })))
            };
            drop(sender.send(Ok(named)).await);
            let verified = view.verify(progress).await;
            let stop = verified.is_err();
            let told = match verified {
                Ok(verified) => Ok(answer(service, view.name(), verified)),
                Err(error) => Err(fault(service, view.name(), &error).into()),
            };
            drop(sender.send(told).await);
            if stop {
                return;
            }
        }
    };
    // The work is done where the answer is read: without a reader nothing is folded.
    let work = stream::once(work).filter_map(async |()| None);
    let told = stream::poll_fn(move |context| receiver.poll_recv(context));
    stream::select(told, work).boxed()
}

fn answer(service: Service, view: &str, verified: Verified) -> pb::VerifyViewsResponse {
    if !verified.holds() {
        let rows: Vec<_> = verified.named.iter().map(ToString::to_string).collect();
        error!(
            %service,
            view,
            position = %verified.positions,
            differing = verified.differing,
            rows = rows.join("; "),
            "the view holds other rows than the log gives"
        );
    }
    let Verified { positions, rows, live, rebuilt_rows, rebuilt, events, differing, named } = verified;
    let verified = pb::ViewVerified {
        position: positions.to_string(),
        rows,
        digest: live.to_bytes().to_vec(),
        rebuilt_rows,
        rebuilt_digest: rebuilt.to_bytes().to_vec(),
        differing_rows: differing,
        differing: named.iter().map(ToString::to_string).collect(),
    };
    pb::VerifyViewsResponse { view: view.to_owned(), events, verified: Some(verified) }
}

fn fault(service: Service, view: &str, error: &VerifyError) -> Fault {
    let code = match error {
        VerifyError::Read(error) => error.to_fault().code,
        VerifyError::Fold(_) | VerifyError::Short { .. } | VerifyError::Stopped { .. } => {
            ErrorCode::LogCorrupt
        }
        VerifyError::Rows(_) => ErrorCode::Internal,
    };
    error!(%service, view, %error, "the view cannot be verified");
    Fault::new(code, format!("view {view} of {service}: {error}")).with("service", service).with("view", view)
}
