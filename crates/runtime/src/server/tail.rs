//! The log's gRPC service, for admins, ending its streams when the server stops.

use std::pin::Pin;

use futures::FutureExt as _;
use futures::stream::{self, Stream, StreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Views;
use muster_eventlog::tail::TailService;
use muster_proto::log::v1 as pb;
use muster_proto::log::v1::log_service_server::{LogService, LogServiceServer};
use muster_types::Service;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::caller;

/// A [`LogService`] whose streams end when the server stops.
pub(super) struct Draining<S> {
    inner: S,
    stopping: CancellationToken,
}

pub(super) fn service(
    log: SharedLog,
    served: Vec<Service>,
    views: Vec<(Service, Views)>,
    stopping: CancellationToken,
) -> LogServiceServer<impl LogService> {
    let admins = |extensions: &tonic::Extensions| caller::admin_in(extensions).map(drop);
    LogServiceServer::new(Draining {
        inner: TailService::new(log, served, admins).with_views(views),
        stopping,
    })
}

#[tonic::async_trait]
impl<S: LogService> LogService for Draining<S> {
    type TailStream = Pin<Box<dyn Stream<Item = Result<pb::TailResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<pb::TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let stopping = self.stopping.clone();
        let answer = self.inner.tail(request).await?;
        Ok(answer
            .map(|stream| -> Self::TailStream { Box::pin(stream.take_until(stopping.cancelled_owned())) }))
    }

    async fn get_head(
        &self,
        request: Request<pb::GetHeadRequest>,
    ) -> Result<Response<pb::GetHeadResponse>, Status> {
        self.inner.get_head(request).await
    }

    type VerifyViewsStream = Pin<Box<dyn Stream<Item = Result<pb::VerifyViewsResponse, Status>> + Send>>;

    async fn verify_views(
        &self,
        request: Request<pb::VerifyViewsRequest>,
    ) -> Result<Response<Self::VerifyViewsStream>, Status> {
        let stopping = self.stopping.clone();
        let answer = self.inner.verify_views(request).await?;
        // An end without a word would look like views that are all well.
        let stopped = stopping.cancelled_owned().map(|()| {
            let message = "the process stops; the views were not all verified";
            Some(Err(Fault::new(ErrorCode::ShuttingDown, message).into()))
        });
        let views = answer.into_inner().map(Some).chain(stream::once(async { None }));
        let parts = stream::select(views, stopped.into_stream());
        Ok(Response::new(Box::pin(parts.scan(false, |over, part| {
            let ended = std::mem::replace(over, matches!(part, Some(Err(_))));
            std::future::ready(if ended { None } else { part })
        }))))
    }
}
