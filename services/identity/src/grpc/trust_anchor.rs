//! Authorities whose certificates prove full registrations, for admins.
#![expect(clippy::unused_async, reason = "will wait for the log")]

use muster_proto::identity::v1 as pb;
use muster_runtime::caller;
use tonic::{Request, Response, Status};

use super::Grpc;

pub(super) async fn create(
    grpc: &Grpc,
    request: Request<pb::CreateTrustAnchorRequest>,
) -> Result<Response<pb::TrustAnchor>, Status> {
    let _ = grpc;
    caller::admin(&request)?;
    Err(Status::unimplemented("not yet"))
}

pub(super) async fn list(
    grpc: &Grpc,
    request: Request<pb::ListTrustAnchorsRequest>,
) -> Result<Response<pb::ListTrustAnchorsResponse>, Status> {
    let _ = grpc;
    caller::admin(&request)?;
    Err(Status::unimplemented("not yet"))
}

pub(super) async fn delete(
    grpc: &Grpc,
    request: Request<pb::DeleteTrustAnchorRequest>,
) -> Result<Response<pb::TrustAnchor>, Status> {
    let _ = grpc;
    caller::admin(&request)?;
    Err(Status::unimplemented("not yet"))
}
