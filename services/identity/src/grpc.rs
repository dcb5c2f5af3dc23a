//! The gRPC services: decode, one call, encode.

mod attestation;
mod bundle;
mod convert;
mod device;
mod directory;
mod explain;
mod group;
mod membership;
mod registration;
mod trust;
mod trust_anchor;

use std::sync::Arc;

use muster_errors::Fault;
use muster_eventlog::as_of::Moments;
use muster_eventlog::log::SharedLog;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::attestation_service_server::AttestationServiceServer;
use muster_proto::identity::v1::device_trust_service_server::DeviceTrustServiceServer;
use muster_proto::identity::v1::group_service_server::GroupServiceServer;
use muster_proto::identity::v1::membership_service_server::MembershipServiceServer;
use muster_proto::identity::v1::registration_service_server::RegistrationServiceServer;
use muster_proto::identity::v1::trust_bundle_service_server::TrustBundleServiceServer;
use muster_proto::identity::v1::trust_service_server::TrustServiceServer;
use muster_runtime::position;
use muster_types::{GroupId, Service, TenantId};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::admission::Renewals;
use crate::attestation::Attestations;
use crate::commands::Commands;
use crate::domain::group::Group;
use crate::error::status;
use crate::issuing::Issuing;
use crate::metrics::IdentityMetrics;
use crate::process_manager::membership::Ages;
use crate::projection::groups::GroupRow;
use crate::proof::Proofs;
use crate::queries::Queries;

/// What answers calls.
pub struct Grpc {
    /// The tenant served.
    pub tenant: TenantId,
    /// The log, for what only it knows of the past.
    pub log: SharedLog,
    /// What turns past moments into positions.
    pub moments: Moments,
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// What issues certificates.
    pub issuing: Issuing,
    /// What proofs of registrations are verified by.
    pub proofs: Proofs,
    /// What takes attestations, if this build does.
    pub attestations: Option<Arc<Attestations>>,
    /// How far groups follow what is known of devices.
    pub ages: Ages,
    /// How many renewals are let in.
    pub renewals: Renewals,
    /// Numbers.
    pub metrics: IdentityMetrics,
}

impl Grpc {
    /// The services, for a server.
    #[must_use]
    pub fn routes(self) -> Routes {
        let this = Arc::new(self);
        Routes::new(TrustServiceServer::from_arc(this.clone()))
            .add_service(DeviceTrustServiceServer::from_arc(this.clone()))
            .add_service(TrustBundleServiceServer::from_arc(this.clone()))
            .add_service(AttestationServiceServer::from_arc(this.clone()))
            .add_service(MembershipServiceServer::from_arc(this.clone()))
            .add_service(RegistrationServiceServer::from_arc(this.clone()))
            .add_service(GroupServiceServer::from_arc(this))
    }

    /// Tells the caller what a reader must have seen to see this.
    async fn stamped<T>(
        &self,
        mut response: Response<T>,
        written: Option<u64>,
    ) -> Result<Response<T>, Status> {
        let position = self.commands.seen_at(written).await.map_err(status)?;
        position::stamp(&mut response, Service::Identity, Some(position));
        Ok(response)
    }

    /// Waits until the views show what the caller wants to see.
    async fn settled<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = position::wanted(request)?;
        Ok(position::settle(self.queries.reach(&wanted)).await?)
    }

    fn known(&self, id: GroupId) -> Result<GroupRow, Fault> {
        self.queries.group(self.tenant, id).ok_or_else(|| crate::domain::group::Error::Unknown.into())
    }

    fn group(&self, id: GroupId, group: &Group) -> Result<pb::Group, Fault> {
        let defined = group.ever_defined().ok_or(crate::domain::group::Error::Unknown)?;
        Ok(convert::group(self.tenant, id, defined))
    }
}
