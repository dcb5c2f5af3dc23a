//! What the directory says of its devices, and promotion by it, for admins.
#![expect(clippy::unused_async, reason = "will wait for the log")]

use muster_proto::identity::v1 as pb;
use muster_runtime::caller;
use tonic::{Request, Response, Status};

use super::Grpc;

pub(super) async fn upsert(
    grpc: &Grpc,
    request: Request<pb::UpsertDirectoryDevicesRequest>,
) -> Result<Response<pb::UpsertDirectoryDevicesResponse>, Status> {
    let _ = grpc;
    caller::admin(&request)?;
    Err(Status::unimplemented("not yet"))
}

pub(super) async fn list(
    grpc: &Grpc,
    request: Request<pb::ListDirectoryDevicesRequest>,
) -> Result<Response<pb::ListDirectoryDevicesResponse>, Status> {
    let _ = grpc;
    caller::admin(&request)?;
    Err(Status::unimplemented("not yet"))
}

pub(super) async fn delete(
    grpc: &Grpc,
    request: Request<pb::DeleteDirectoryDeviceRequest>,
) -> Result<Response<pb::DirectoryDevice>, Status> {
    let _ = grpc;
    caller::admin(&request)?;
    Err(Status::unimplemented("not yet"))
}

pub(super) async fn promote(
    grpc: &Grpc,
    request: Request<pb::PromoteRegistrationRequest>,
) -> Result<Response<pb::Registration>, Status> {
    let _ = grpc;
    caller::admin(&request)?;
    Err(Status::unimplemented("not yet"))
}
