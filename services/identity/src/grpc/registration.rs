//! Registrations, directory devices and trust anchors, for admins.

use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::registration_service_server::RegistrationService;
use muster_runtime::caller;
use tonic::{Request, Response, Status};

use super::{Grpc, directory, trust_anchor};

#[tonic::async_trait]
impl RegistrationService for Grpc {
    async fn get_registration(
        &self,
        request: Request<pb::GetRegistrationRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        caller::admin(&request)?;
        Err(Status::unimplemented("not yet"))
    }

    async fn list_registrations(
        &self,
        request: Request<pb::ListRegistrationsRequest>,
    ) -> Result<Response<pb::ListRegistrationsResponse>, Status> {
        caller::admin(&request)?;
        Err(Status::unimplemented("not yet"))
    }

    async fn delete_registration(
        &self,
        request: Request<pb::DeleteRegistrationRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        caller::admin(&request)?;
        Err(Status::unimplemented("not yet"))
    }

    async fn revoke_trust(
        &self,
        request: Request<pb::RevokeTrustRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        caller::admin(&request)?;
        Err(Status::unimplemented("not yet"))
    }

    async fn resolve_clone(
        &self,
        request: Request<pb::ResolveCloneRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        caller::admin(&request)?;
        Err(Status::unimplemented("not yet"))
    }

    async fn upsert_directory_devices(
        &self,
        request: Request<pb::UpsertDirectoryDevicesRequest>,
    ) -> Result<Response<pb::UpsertDirectoryDevicesResponse>, Status> {
        directory::upsert(self, request).await
    }

    async fn list_directory_devices(
        &self,
        request: Request<pb::ListDirectoryDevicesRequest>,
    ) -> Result<Response<pb::ListDirectoryDevicesResponse>, Status> {
        directory::list(self, request).await
    }

    async fn delete_directory_device(
        &self,
        request: Request<pb::DeleteDirectoryDeviceRequest>,
    ) -> Result<Response<pb::DirectoryDevice>, Status> {
        directory::delete(self, request).await
    }

    async fn promote_registration(
        &self,
        request: Request<pb::PromoteRegistrationRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        directory::promote(self, request).await
    }

    async fn create_trust_anchor(
        &self,
        request: Request<pb::CreateTrustAnchorRequest>,
    ) -> Result<Response<pb::TrustAnchor>, Status> {
        trust_anchor::create(self, request).await
    }

    async fn list_trust_anchors(
        &self,
        request: Request<pb::ListTrustAnchorsRequest>,
    ) -> Result<Response<pb::ListTrustAnchorsResponse>, Status> {
        trust_anchor::list(self, request).await
    }

    async fn delete_trust_anchor(
        &self,
        request: Request<pb::DeleteTrustAnchorRequest>,
    ) -> Result<Response<pb::TrustAnchor>, Status> {
        trust_anchor::delete(self, request).await
    }
}
