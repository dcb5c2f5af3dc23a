//! The log's gRPC service, for admins, ending its streams when the server stops.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use muster_eventlog::log::SharedLog;
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
    stopping: CancellationToken,
) -> LogServiceServer<impl LogService> {
    let admins = |extensions: &tonic::Extensions| caller::admin_in(extensions).map(drop);
    LogServiceServer::new(Draining { inner: TailService::new(log, served, admins), stopping })
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

    type VerifyViewsStream = S::VerifyViewsStream;

    async fn verify_views(
        &self,
        request: Request<pb::VerifyViewsRequest>,
    ) -> Result<Response<Self::VerifyViewsStream>, Status> {
        self.inner.verify_views(request).await
    }
}
