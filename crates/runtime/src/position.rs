//! Position tokens: replies say how far the log was when they were made, and readers may ask to see no less.

use std::future::Future;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::project::Behind;
use muster_types::{Positions, Service};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response};

/// Response metadata of a mutating call: where its events stand.
pub const POSITION: &str = "muster-position";
/// Request metadata of a reading call: what its answer must reflect at least.
pub const MIN_POSITION: &str = "muster-min-position";

/// The position a reader wants; [`Positions::ZERO`] when it does not say.
///
/// # Errors
/// `ARGUMENT_INVALID` when what it says is no position token.
pub fn wanted<T>(request: &Request<T>) -> Result<Positions, Fault> {
    let Some(value) = request.metadata().get(MIN_POSITION) else { return Ok(Positions::ZERO) };
    let token = value.to_str().ok().and_then(|text| text.parse().ok());
    token
        .ok_or_else(|| Fault::invalid_field(MIN_POSITION, "not a position token (such as enroll:3,policy:7)"))
}

/// Writes into a reply where the events of the call stand in its service's log; nothing when there are none.
pub fn stamp<T>(response: &mut Response<T>, service: Service, position: Option<u64>) {
    if let Some(position) = position {
        let text = Positions::of(service, position).to_string();
        let value = MetadataValue::try_from(text).expect("a position token is ASCII");
        response.metadata_mut().insert(POSITION, value);
    }
}

/// Waits for a view: `settle(view.wait_for(&wanted(&request)?)).await?`.
///
/// # Errors
/// `VIEW_BEHIND` when it did not get there in time.
pub async fn settle(wait: impl Future<Output = Result<(), Behind>>) -> Result<(), Fault> {
    wait.await.map_err(|behind| {
        Fault::new(ErrorCode::ViewBehind, behind.to_string())
            .with("has", behind.has)
            .with("wanted", behind.wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_can_be_asked_for() {
        let mut response = Response::new(());
        stamp(&mut response, Service::Policy, Some(7));
        let mut request = Request::new(());
        request.metadata_mut().insert(MIN_POSITION, response.metadata().get(POSITION).unwrap().clone());
        assert_eq!(wanted(&request), Ok(Positions::of(Service::Policy, 7)));
    }

    #[test]
    fn noise_is_refused_and_silence_wants_nothing() {
        let mut request = Request::new(());
        assert_eq!(wanted(&request), Ok(Positions::ZERO));
        request.metadata_mut().insert(MIN_POSITION, MetadataValue::from_static("seven"));
        assert_eq!(wanted(&request).unwrap_err().code, ErrorCode::ArgumentInvalid);
    }
}
