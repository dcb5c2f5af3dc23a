//! What happens to every call before a service sees it: who calls, which trace it belongs to, counting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use muster_errors::{ErrorCode, Fault};
use muster_pki::AdminToken;
use muster_telemetry::context::TRACEPARENT;
use muster_telemetry::propagate;
use muster_types::Clock;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, info_span};

use super::accept::{Connection, Known, Peer};
use super::calls::Calls;
use crate::caller::NotAccepted;
use crate::{Caller, Revocations};

/// The name under which holders of the admin token stand in events.
const ADMIN_NAME: &str = "admin";

struct Shared {
    calls: Calls,
    token: Option<AdminToken>,
    admin: Caller,
    clock: Arc<dyn Clock>,
    revocations: Option<Revocations>,
}

/// Wraps the routes of a server.
#[derive(Clone)]
pub(super) struct CallLayer(Arc<Shared>);

impl CallLayer {
    pub(super) fn new(
        calls: Calls,
        token: Option<AdminToken>,
        clock: Arc<dyn Clock>,
        revocations: Option<Revocations>,
    ) -> Self {
        let admin = Caller::Admin { name: Arc::from(ADMIN_NAME) };
        Self(Arc::new(Shared { calls, token, admin, clock, revocations }))
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, shared: self.0.clone() }
    }
}

/// A server's routes with what every call needs.
#[derive(Clone)]
pub(super) struct CallService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let began = Instant::now();
        if let Err(fault) = self.shared.identify(&mut request) {
            let response = Status::from(fault).into_http();
            self.shared.calls.count(request.uri().path(), code(response.headers()), began.elapsed());
            return Box::pin(async move { Ok(response) });
        }
        let span = span(&request);
        let uri = request.uri().clone();
        let answer = self.inner.call(request).instrument(span);
        let shared = self.shared.clone();
        Box::pin(async move {
            let response = own_words(answer.await?);
            shared.calls.count(uri.path(), code(response.headers()), began.elapsed());
            Ok(response)
        })
    }
}

/// What a call is traced by. A device that brings no trace begins none: its check-ins are many and mostly change nothing.
fn span(request: &Request<Body>) -> Span {
    let is_device = matches!(request.extensions().get(), Some(Caller::Device { .. }));
    if is_device && !request.headers().contains_key(TRACEPARENT) {
        return Span::none();
    }
    let span = info_span!("call", method = request.uri().path());
    propagate::extract_headers(&span, request.headers());
    span
}

impl Shared {
    /// Says in the request's extensions who calls. The admin token, where it is right, goes before the certificate.
    ///
    /// # Errors
    /// The certificate of the connection was ended, or whether it was is not known yet.
    fn identify(&self, request: &mut Request<Body>) -> Result<(), Fault> {
        let connection = request.extensions().get::<Connection>().cloned();
        let (caller, problem) = if self.is_admin(request.headers()) {
            (self.admin.clone(), None)
        } else {
            connection.map_or(Ok((Caller::Anonymous, None)), |connection| self.caller(connection.peer()))?
        };
        request.extensions_mut().insert(caller);
        if let Some(problem) = problem {
            request.extensions_mut().insert(NotAccepted(problem));
        }
        Ok(())
    }

    fn caller(&self, peer: &Peer) -> Result<(Caller, Option<&'static str>), Fault> {
        Ok(match peer {
            Peer::Unknown => (Caller::Anonymous, None),
            Peer::Refused(reason) => (Caller::Anonymous, Some(reason)),
            Peer::Known(known) if known.certificate.not_after < self.clock.now() => {
                (Caller::Anonymous, Some("has expired"))
            }
            Peer::Known(Known { caller, certificate: _, link }) => {
                if let (Some(revocations), Some(link)) = (&self.revocations, link) {
                    revocations.check(link)?;
                }
                (caller.clone(), None)
            }
        })
    }

    fn is_admin(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| self.token.as_ref().is_some_and(|token| token.matches(shown)))
    }
}

/// The code of an answer: errors carry it in their headers, and what begins without one begins well.
fn code(headers: &HeaderMap) -> Code {
    headers.get(Status::GRPC_STATUS).map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

/// tonic refuses messages over the limit in words of its own; callers get ours, with their code.
fn own_words(response: Response<Body>) -> Response<Body> {
    if code(response.headers()) != Code::OutOfRange {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.details().is_empty() => {
            let fault = Fault::new(ErrorCode::MessageTooLarge, status.message().to_lowercase());
            Status::from(fault).into_http()
        }
        _ => response,
    }
}
