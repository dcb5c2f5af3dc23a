//! The log over gRPC: for consumers outside, and for people who look.

pub mod convert;
mod verify;

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_proto::log::v1 as pb;
use muster_proto::log::v1::log_service_server::LogService;
use muster_types::{Aggregate, Service};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Extensions, Request, Response, Status};
use uuid::Uuid;

use crate::log::SharedLog;
use crate::project::Views;
use crate::{Delivery, Envelope, Subscription};

/// Most types or kinds of aggregate that one tail may name.
pub const FILTERS_MAX: usize = 64;
/// Most tails at a time.
pub const TAILS_MAX: usize = 256;
/// Longest name in a filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 256;

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

    async fn follow(&self, request: pb::TailRequest) -> Result<Tail, Fault> {
        let pb::TailRequest {
            service,
            from_position,
            follow,
            types,
            aggregates,
            aggregate_id,
            tenant: _,
            device_id: _,
            device_ordinal: _,
        } = request;
        let service = self.service(&service)?;
        let filter = Filter::new(service, types, &aggregates, &aggregate_id)?;
        let permit = self.free.clone().try_acquire_owned().map_err(|_| {
            Fault::new(ErrorCode::Overloaded, format!("{TAILS_MAX} tails are open, the limit"))
                .with("limit", TAILS_MAX)
        })?;
        let until = if follow { u64::MAX } else { self.log.head(service).await? };
        let after = from_position.saturating_sub(1);
        let subscription = if after < until { Some(self.log.subscribe(service, after).await?) } else { None };
        Ok(Tail { subscription, filter, until, _permit: permit })
    }
}

/// What of the log is wanted.
struct Filter {
    types: HashSet<String>,
    aggregates: Vec<Aggregate>,
    aggregate_id: Option<Uuid>,
}

impl Filter {
    fn new(
        service: Service,
        types: Vec<String>,
        aggregates: &[String],
        aggregate_id: &[u8],
    ) -> Result<Self, Fault> {
        for (field, names) in [("types", &types[..]), ("aggregates", aggregates)] {
            if names.len() > FILTERS_MAX {
                let found = names.len();
                return Err(Fault::invalid_field(
                    field,
                    format!("names {found}, the limit is {FILTERS_MAX}"),
                ));
            }
            if names.iter().any(|name| name.len() > FILTER_BYTES_MAX) {
                let problem = format!("a name is longer than {FILTER_BYTES_MAX} bytes");
                return Err(Fault::invalid_field(field, problem));
            }
        }
        let aggregates = aggregates
            .iter()
            .enumerate()
            .map(|(i, name)| aggregate(service, name).map_err(|problem| (i, problem)))
            .collect::<Result<_, _>>()
            .map_err(|(i, problem)| Fault::invalid_field(format!("aggregates[{i}]"), problem))?;
        let aggregate_id = match aggregate_id {
            [] => None,
            bytes => Some(Uuid::from_slice(bytes).map_err(|_| {
                Fault::invalid_field("aggregate_id", format!("must be 16 bytes, is {}", bytes.len()))
            })?),
        };
        Ok(Self { types: types.into_iter().collect(), aggregates, aggregate_id })
    }

    fn wants(&self, event: &Envelope) -> bool {
        (self.types.is_empty() || self.types.contains(event.kind.as_str()))
            && (self.aggregates.is_empty() || self.aggregates.contains(&event.stream.aggregate))
            && self.aggregate_id.is_none_or(|id| id == event.stream.id)
    }
}

fn aggregate(service: Service, name: &str) -> Result<Aggregate, String> {
    let aggregate: Aggregate =
        name.parse().map_err(|error: muster_types::stream::UnknownName| error.to_string())?;
    if aggregate.service() == service {
        Ok(aggregate)
    } else {
        Err(format!("{aggregate} is in the log of {}, not of {service}", aggregate.service()))
    }
}

/// A tail under way.
struct Tail {
    /// Gone when the tail is over.
    subscription: Option<Subscription>,
    filter: Filter,
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
                let wanted = events.iter().filter(|e| e.position <= self.until && self.filter.wants(e));
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
        let tail = self.follow(request.into_inner()).await?;
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
