//! The admin port: plain HTTP for probes and Prometheus. Loopback unless told otherwise.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::server::Bound;
use crate::{Metrics, Readiness, TaskGroup};

#[derive(Clone)]
struct Shown {
    readiness: Readiness,
    metrics: Metrics,
    stopping: CancellationToken,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the group stops.
pub fn start(bound: Bound, readiness: Readiness, tasks: &TaskGroup, metrics: &Metrics) {
    let stopping = tasks.stopping().clone();
    let shown = Shown { readiness, metrics: metrics.clone(), stopping: stopping.clone() };
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(shown);
    info!(address = %bound.local_addr(), "answering probes");
    let listener = bound.into_listener();
    tasks.spawn("admin", async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
        if let Err(error) = served.await {
            error!(error = %error, "the admin port ended");
        }
    });
}

async fn livez() -> &'static str {
    "live\n"
}

async fn readyz(State(shown): State<Shown>) -> impl IntoResponse {
    let mut missing = shown.readiness.missing();
    if shown.stopping.is_cancelled() {
        missing.push(("process", "stopping".to_owned()));
    }
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines: String = missing.iter().map(|(name, reason)| format!("{name}: {reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{lines}"))
}

async fn metrics_text(State(shown): State<Shown>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.encode())
}
