//! Registrations, directory devices and trust anchors, for admins.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_eventlog::command::Executed;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::registration_service_server::RegistrationService;
use muster_runtime::{caller, request};
use muster_types::{DeviceId, Positions, ResourceName, Service};
use tonic::{Request, Response, Status};

use super::{Grpc, convert, directory, trust_anchor};
use crate::commands::Order;
use crate::domain::registration::{Command, Registration, Removal};
use crate::error::{Unseen, status};
use crate::projection::registrations::Row;

#[tonic::async_trait]
impl RegistrationService for Grpc {
    async fn get_registration(
        &self,
        request: Request<pb::GetRegistrationRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetRegistrationRequest { name } = request.into_inner();
        let device = request::registration(self.tenant, "name", &name)?;
        Ok(Response::new(self.shown(device)?))
    }

    async fn list_registrations(
        &self,
        request: Request<pb::ListRegistrationsRequest>,
    ) -> Result<Response<pb::ListRegistrationsResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let request = request.into_inner();
        let (kind, which) = convert::which_registrations(&request);
        let pb::ListRegistrationsRequest { parent, page_size, page_token, kind: _, state: _ } = request;
        request::parent(self.tenant, &parent)?;
        let page = request::numbered_page(page_size, &page_token)?;
        let rows = self.queries.registrations(which, kind, &page);
        Ok(Response::new(convert::registrations(self.tenant, rows)))
    }

    async fn delete_registration(
        &self,
        request: Request<pb::DeleteRegistrationRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::DeleteRegistrationRequest { name, request_id, validate_only } = request.into_inner();
        let device = request::registration(self.tenant, "name", &name)?;
        let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
        self.change(device, &Command::Remove(Removal::Deleted), &order).await
    }

    async fn revoke_trust(
        &self,
        request: Request<pb::RevokeTrustRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::RevokeTrustRequest { name, reason, request_id, validate_only } = request.into_inner();
        let device = request::registration(self.tenant, "name", &name)?;
        let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
        self.change(device, &Command::Revoke { reason }, &order).await
    }

    async fn resolve_clone(
        &self,
        request: Request<pb::ResolveCloneRequest>,
    ) -> Result<Response<pb::Registration>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let request = request.into_inner();
        let resolution = request.resolution().try_into();
        let pb::ResolveCloneRequest { name, resolution: _, request_id, validate_only } = request;
        let device = request::registration(self.tenant, "name", &name)?;
        let resolution = resolution.map_err(|_| Fault::invalid_field("resolution", "must be set"))?;
        let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
        let command = Command::ResolveClone { resolution, now: self.commands.now() };
        self.change(device, &command, &order).await
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

impl Grpc {
    /// Runs a command on a device's registration and shows what came of it.
    pub(super) async fn change(
        &self,
        device: DeviceId,
        command: &Command,
        order: &Order,
    ) -> Result<Response<pb::Registration>, Status> {
        let done = self.commands.registration((self.tenant, device), command, order).await;
        let done =
            done.map_err(|error| status(convert::names_the_registration(self.tenant, device, error)))?;
        if done.position.is_some() {
            self.metrics.registration_changed(command);
        }
        self.changed(device, done).await
    }

    /// Answers with a registration that a command was run on.
    pub(super) async fn changed(
        &self,
        device: DeviceId,
        done: Executed<Registration>,
    ) -> Result<Response<pb::Registration>, Status> {
        // The view has what no aggregate keeps: ordinal and moments. The change is made whether it gets there or not.
        let position = self.commands.seen_at(done.position).await.map_err(status)?;
        let seen = self.queries.reach(&Positions::of(Service::Identity, position)).await;
        let Some((ordinal, row)) = self.queries.registration(device) else {
            seen.map_err(|behind| status(Unseen::from(behind)))?;
            return Err(self.nobody(device).into());
        };
        let registered = done.state.into_registered().unwrap_or_else(|| row.registered.clone());
        let shown = convert::registration(self.tenant, ordinal, &Row { registered, ..row });
        self.stamped(Response::new(shown), Some(position)).await
    }

    /// What is known of a device's registration.
    pub(super) fn shown(&self, device: DeviceId) -> Result<pb::Registration, Fault> {
        let (ordinal, row) = self.queries.registration(device).ok_or_else(|| self.nobody(device))?;
        Ok(convert::registration(self.tenant, ordinal, &row))
    }

    fn nobody(&self, device: DeviceId) -> Fault {
        let name = ResourceName::Registration(self.tenant, device);
        Fault::new(ErrorCode::DeviceUnknown, format!("no such registration: {name}"))
            .with("device", ResourceName::Device(self.tenant, device))
    }
}
