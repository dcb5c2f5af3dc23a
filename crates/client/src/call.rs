//! What happens to every call on its way out and back.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use muster_errors::{ErrorCode, Fault};
use muster_telemetry::propagate;
use muster_types::Positions;
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use crate::connect::{self, ConnectError, ConnectOptions};
use crate::{Bearer, method, retry};

/// Metadata of a reply: where its events stand.
const POSITION: &str = "muster-position";
/// Metadata of a request: what the answer must reflect.
const MIN_POSITION: &str = "muster-min-position";
/// Metadata of a request: how long its caller waits.
const TIMEOUT: &str = "grpc-timeout";

/// Marks a request, by its extensions, as one that may be made twice: it names itself by a request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotent;

/// What the generated clients call through.
#[derive(Clone)]
pub struct Transport {
    channel: Channel,
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: String,
    bearer: Option<Bearer>,
    call_timeout: Duration,
    positions: Mutex<Positions>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("endpoint", &self.shared.endpoint).finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(options: ConnectOptions) -> Result<Self, Fault> {
        let channel = connect::channel(&options)?;
        let ConnectOptions { endpoint, bearer, call_timeout, .. } = options;
        let bearer = bearer.map(|token| header(token.secret())).transpose()?;
        let positions = Mutex::new(Positions::ZERO);
        Ok(Self { channel, shared: Arc::new(Shared { endpoint, bearer, call_timeout, positions }) })
    }

    pub(crate) fn positions(&self) -> Positions {
        *self.shared.positions.lock()
    }

    pub(crate) fn see(&self, positions: &Positions) {
        self.shared.see(positions);
    }

    async fn call_once(&self, request: Request<Body>) -> Result<Response<Body>, Failed> {
        let answer = self.channel.clone().oneshot(request).await;
        answer.map_err(|error| Failed::of(&error, &self.shared.endpoint))
    }

    /// Calls until there is an answer that is final. The body was read into memory to be sent again.
    async fn call_again(&self, head: http::request::Parts, body: Bytes, idempotent: bool) -> Response<Body> {
        let mut attempt = 1;
        loop {
            let request = Request::from_parts(head.clone(), Body::new(Full::new(body.clone())));
            let (answer, reached) = match self.call_once(request).await {
                Ok(response) => (response, false),
                Err(failed) => (Status::from(failed.fault).into_http(), failed.reached),
            };
            let failed = fault(answer.headers()).map(|fault| fault.code);
            let again = failed.is_some_and(|code| retry::may_repeat(code, reached, idempotent));
            if !again || attempt == retry::ATTEMPTS_MAX {
                return answer;
            }
            tokio::time::sleep(retry::pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn call_unary(&self, request: Request<Body>, idempotent: bool) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        let idempotent = idempotent || head.extensions.get::<Idempotent>().is_some();
        let limit = limit(&head.headers).unwrap_or(self.shared.call_timeout);
        head.headers.insert(TIMEOUT, timeout_value(limit));
        // The body of a unary request is one message in memory already.
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(status) => return status.into_http(),
        };
        match tokio::time::timeout(limit, self.call_again(head, body, idempotent)).await {
            Ok(answer) => answer,
            Err(_) => {
                let message = format!("{} did not answer within {limit:?}", self.shared.endpoint);
                Status::from(Fault::new(ErrorCode::DeadlineExceeded, message)).into_http()
            }
        }
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let this = self.clone();
        this.shared.prepare(request.headers_mut());
        Box::pin(async move {
            let method = method::at(request.uri().path());
            let answer = if method.streams {
                let answer = this.call_once(request).await;
                answer.unwrap_or_else(|failed| Status::from(failed.fault).into_http())
            } else {
                this.call_unary(request, method.idempotent).await
            };
            this.shared.see_reply(answer.headers());
            Ok(answer)
        })
    }
}

impl Shared {
    /// Adds who calls, in which trace, and what the answer must reflect.
    fn prepare(&self, headers: &mut HeaderMap) {
        if let Some(bearer) = &self.bearer {
            headers.insert(AUTHORIZATION, (**bearer).clone());
        }
        let positions = *self.positions.lock();
        if positions != Positions::ZERO && !headers.contains_key(MIN_POSITION) {
            let token = HeaderValue::try_from(positions.to_string());
            headers.insert(MIN_POSITION, token.expect("a position token is ASCII"));
        }
        propagate::inject_headers(headers);
    }

    fn see_reply(&self, headers: &HeaderMap) {
        let token = headers.get(POSITION).and_then(|value| value.to_str().ok());
        if let Some(positions) = token.and_then(|token| token.parse().ok()) {
            self.see(&positions);
        }
    }

    fn see(&self, positions: &Positions) {
        let mut seen = self.positions.lock();
        *seen = seen.join(*positions);
    }
}

/// A call that got no answer.
struct Failed {
    fault: Fault,
    /// Whether the request may have reached the server.
    reached: bool,
}

impl Failed {
    fn of(error: &(dyn StdError + 'static), endpoint: &str) -> Self {
        let (code, reached, reason) =
            match sources(error).find_map(|error| error.downcast_ref::<ConnectError>()) {
                Some(refused) => {
                    let source = refused.source().map(|source| format!(": {source}")).unwrap_or_default();
                    (refused.code(), false, format!("{refused}{source}"))
                }
                None => {
                    let reasons: Vec<_> = sources(error).map(ToString::to_string).collect();
                    let late = sources(error).any(|error| error.is::<tonic::TimeoutExpired>());
                    let code = if late { ErrorCode::DeadlineExceeded } else { ErrorCode::ServerUnreachable };
                    (code, true, reasons.join(": "))
                }
            };
        let fault = Fault::new(code, format!("{endpoint}: {reason}")).with("endpoint", endpoint);
        Self { fault, reached }
    }
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// The fault an answer tells in its headers, as errors of unary calls do.
fn fault(headers: &HeaderMap) -> Option<Fault> {
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)?;
    Some(Fault::from_status(&status))
}

fn header(token: &str) -> Result<Bearer, Fault> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        Fault::new(ErrorCode::ConfigInvalid, "the admin token has characters no header may have")
    })?;
    value.set_sensitive(true);
    Ok(Arc::new(value))
}

/// How long the caller waits, if it says.
fn limit(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count.checked_mul(3_600)?)),
        "M" => Some(Duration::from_secs(count.checked_mul(60)?)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// At most 8 digits are allowed: milliseconds do for a day.
fn timeout_value(limit: Duration) -> HeaderValue {
    let limit_ms = limit.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{limit_ms}m")).expect("digits and a letter are ASCII")
}
