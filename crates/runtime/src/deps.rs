//! What a service is given, and what it gives back.

use std::sync::Arc;

use muster_eventlog::as_of::{Index, Moments};
use muster_eventlog::kv::Kv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::{self, Projected, View, Views};
use muster_pki::LocalTrust;
use muster_types::{Clock, Service, TenantId};
use tonic::service::Routes;

use crate::{Metrics, Readiness, TaskGroup};

/// What a service is given.
#[derive(Clone)]
pub struct Deps {
    /// The event log.
    pub log: SharedLog,
    /// The service's own store for what can be rebuilt from the log.
    pub kv: Arc<dyn Kv>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where background work runs.
    pub tasks: TaskGroup,
    /// Where numbers are kept.
    pub metrics: Metrics,
    /// The tenant served.
    pub tenant: TenantId,
    /// Keys and certificates.
    pub trust: LocalTrust,
    /// What turns past moments into positions; one for all services of a process.
    pub moments: Moments,
    /// The views that the service follows, for those who verify them.
    pub views: Views,
}

/// Starts what turns past moments into positions, on a task group; with the store of the first service.
#[must_use]
pub fn moments(log: &SharedLog, kv: Arc<dyn Kv>, clock: Arc<dyn Clock>, tasks: &TaskGroup) -> Moments {
    let stopping = tasks.stopping().clone().cancelled_owned();
    let (moments, following) = Moments::start(log.clone(), kv, clock, stopping);
    tasks.spawn(Index::NAME, following);
    moments
}

impl Deps {
    /// Starts a view on the task group, until it stops; `fresh` makes the view empty (see [`project::start`]). Whoever
    /// verifies the service's views verifies this one too: see [`View::detach`].
    pub fn follow<V: View>(&self, fresh: impl Fn() -> V + Send + Sync + 'static) -> Projected<V> {
        let stopping = self.tasks.stopping().clone().cancelled_owned();
        let fresh = Arc::new(fresh);
        let again = fresh.clone();
        let (projected, folding) =
            project::start(self.log.clone(), self.kv.clone(), move || fresh(), stopping);
        self.tasks.spawn(V::NAME, folding);
        self.views.register(self.log.clone(), projected.clone(), move || again());
        projected
    }
}

/// What a service gives back: its part of a server.
pub struct ServiceParts {
    /// Which service.
    pub service: Service,
    /// Its gRPC services, and no others.
    pub routes: Routes,
    /// Whether it can answer.
    pub readiness: Readiness,
}
