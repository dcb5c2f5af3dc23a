//! The log over gRPC: for consumers outside, and for people who look.

pub mod convert;
mod filter;
mod verify;

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_proto::log::v1 as pb;
use muster_proto::log::v1::log_service_server::LogService;
use muster_types::Service;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Extensions, Request, Response, Status};

use self::filter::Filter;
pub use self::filter::{FILTER_BYTES_MAX, FILTERS_MAX};
use crate::log::SharedLog;
use crate::project::Views;
use crate::{Delivery, Subscription};

/// Most tails at a time.
pub const TAILS_MAX: usize = 256;

/// Serves the log of this process. `allowed` looks at what the server knows of the caller and refuses whoever may not
/// read it.
pub struct TailService<A> {
    log: SharedLog,
    served: Vec<Service>,
    allowed: A,
    free: Arc<Semaphore>,
    views: Vec<(Service, Views)>,
    /// Verifying takes the memory of a view: one at a time.
    verifying: Arc<Semaphore>,
}

impl<A> TailService<A>
where
    A: Fn(&Extensions) -> Result<(), Fault> + Send + Sync + 'static,
{
    /// Serves the parts of the `served` services, to whom `allowed` lets in.
    pub fn new(log: SharedLog, served: impl Into<Vec<Service>>, allowed: A) -> Self {
        let (free, verifying) = (Arc::new(Semaphore::new(TAILS_MAX)), Arc::new(Semaphore::new(1)));
        Self { log, served: served.into(), allowed, free, views: Vec::new(), verifying }
    }

    /// Verifies these views of the served services, when it is asked to.
    #[must_use]
    pub fn with_views(self, views: Vec<(Service, Views)>) -> Self {
        Self { views, ..self }
    }

    fn service(&self, name: &str) -> Result<Service, Fault> {
        let service: Service = name.parse().map_err(|error: muster_types::stream::UnknownName| {
            Fault::invalid_field("service", error.to_string())
        })?;
        if self.served.contains(&service) {
            return Ok(service);
        }
        let served = self.served.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Err(Fault::invalid_field(
            "service",
            format!("the log of {service} is not served here, only {served}"),
        ))
    }

    async fn follow(&self, request: &pb::TailRequest) -> Result<Tail, Fault> {
        let service = self.service(&request.service)?;
        let filter = Filter::new(service, request)?;
        let permit = self.free.clone().try_acquire_owned().map_err(|_| {
            Fault::new(ErrorCode::Overloaded, format!("{TAILS_MAX} tails are open, the limit"))
                .with("limit", TAILS_MAX)
        })?;
        let head = self.log.head(service).await?;
        let until = if request.follow { u64::MAX } else { head };
        let after = request.from_position.saturating_sub(1);
        // A reader may wait for positions that the log has not reached; the log itself takes that for a sign of loss.
        let subscription =
            if after < until { Some(self.log.subscribe(service, after.min(head)).await?) } else { None };
        Ok(Tail { subscription, filter, after, until, _permit: permit })
    }
}

/// A tail under way.
struct Tail {
    /// Gone when the tail is over.
    subscription: Option<Subscription>,
    filter: Filter,
    /// Last position not wanted.
    after: u64,
    /// Last position wanted.
    until: u64,
    _permit: OwnedSemaphorePermit,
}

impl Tail {
    /// The next events wanted; `None` at the end. A log that fails or closes ends the stream with an error: whoever
    /// reads resumes from the position after the last one seen.
    async fn next(&mut self) -> Option<Vec<Result<pb::TailResponse, Status>>> {
        match self.subscription.as_mut()?.next().await {
            Ok(Some(Delivery::Events(events))) => {
                if events.last().is_some_and(|last| last.position >= self.until) {
                    self.subscription = None;
                }
                let here = self.after + 1..=self.until;
                let wanted = events.iter().filter(|e| here.contains(&e.position) && self.filter.wants(e));
                Some(wanted.map(|event| Ok(pb::TailResponse { envelope: Some(event.into()) })).collect())
            }
            Ok(Some(Delivery::CaughtUp(position))) => {
                if position >= self.until {
                    self.subscription = None;
                }
                Some(Vec::new())
            }
            Ok(None) => {
                self.subscription = None;
                let fault =
                    Fault::new(ErrorCode::LogUnavailable, "the log was closed; resume where it ended");
                Some(vec![Err(fault.into())])
            }
            Err(error) => {
                self.subscription = None;
                Some(vec![Err(Fault::from(error).into())])
            }
        }
    }
}

#[tonic::async_trait]
impl<A> LogService for TailService<A>
where
    A: Fn(&Extensions) -> Result<(), Fault> + Send + Sync + 'static,
{
    type TailStream = Pin<Box<dyn Stream<Item = Result<pb::TailResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<pb::TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        (self.allowed)(request.extensions())?;
        let tail = self.follow(&request.into_inner()).await?;
        let parts = stream::unfold(tail, |mut tail| async { Some((tail.next().await?, tail)) });
        Ok(Response::new(parts.flat_map(stream::iter).boxed()))
    }

    async fn get_head(
        &self,
        request: Request<pb::GetHeadRequest>,
    ) -> Result<Response<pb::GetHeadResponse>, Status> {
        (self.allowed)(request.extensions())?;
        let pb::GetHeadRequest { service } = request.into_inner();
        let position = self.log.head(self.service(&service)?).await.map_err(Fault::from)?;
        Ok(Response::new(pb::GetHeadResponse { position }))
    }

    type VerifyViewsStream = verify::Verifying;

    async fn verify_views(
        &self,
        request: Request<pb::VerifyViewsRequest>,
    ) -> Result<Response<Self::VerifyViewsStream>, Status> {
        (self.allowed)(request.extensions())?;
        let pb::VerifyViewsRequest { service } = request.into_inner();
        let service = self.service(&service)?;
        let permit = self.verifying.clone().try_acquire_owned().map_err(|_| {
            Fault::new(ErrorCode::VerifyBusy, "views are being verified here already; try again later")
        })?;
        let of_it = self.views.iter().filter(|(of, _)| *of == service);
        let views = of_it.flat_map(|(_, views)| views.all()).collect();
        Ok(Response::new(verify::run(service, views, permit)))
    }
}
