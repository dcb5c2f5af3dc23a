//! `grpc.health.v1`: of a gRPC service by its full name, and of the whole server by the empty name.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use muster_types::Service;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::{Readiness, ServiceParts};

/// How often a watched health is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// The health of a server's parts.
#[derive(Clone)]
pub(super) struct PartsHealth {
    parts: Vec<(Service, Readiness)>,
    stopping: CancellationToken,
}

pub(super) fn service(parts: &[ServiceParts], stopping: CancellationToken) -> HealthServer<PartsHealth> {
    let parts = parts.iter().map(|part| (part.service, part.readiness.clone())).collect();
    HealthServer::new(PartsHealth { parts, stopping })
}

impl PartsHealth {
    fn status(&self, name: &str) -> Option<ServingStatus> {
        let ready = if name.is_empty() {
            self.parts.iter().all(|(_, readiness)| readiness.is_ready())
        } else {
            self.parts.iter().find(|(service, _)| is_of(name, *service))?.1.is_ready()
        };
        let serving = ready && !self.stopping.is_cancelled();
        Some(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
    }
}

/// Whether a gRPC service's full name is one of a service's package.
fn is_of(name: &str, service: Service) -> bool {
    name.strip_prefix("muster.").and_then(|rest| rest.split('.').next()) == Some(service.as_str())
}

const fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for PartsHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        let status = self.status(&service).ok_or_else(|| Status::not_found("no such service"))?;
        Ok(Response::new(answer(status)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let HealthCheckRequest { service } = request.into_inner();
        let (this, stopping) = (self.clone(), self.stopping.clone());
        let looks = stream::unfold(tokio::time::interval(WATCH_INTERVAL), |mut interval| async move {
            interval.tick().await;
            Some(((), interval))
        });
        let mut last = None;
        let changes = looks.filter_map(move |()| {
            let status = this.status(&service).unwrap_or(ServingStatus::ServiceUnknown);
            let changed = last.replace(status) != Some(status);
            std::future::ready(changed.then(|| Ok(answer(status))))
        });
        Ok(Response::new(Box::pin(changes.take_until(stopping.cancelled_owned()))))
    }
}
