//! Trust in devices, for enroll.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::trust_service_server::TrustService;
use muster_runtime::{caller, position};
use muster_types::id::derive;
use muster_types::{DeviceId, HardwareKey, RequestId, ResourceName, Service};
use tokio::sync::MutexGuard;
use tonic::{Request, Response, Status};

use super::convert::TrustWish;
use super::{Grpc, convert};
use crate::commands::Order;
use crate::domain::registration::{Command, Kind, Proven, Registered};
use crate::error::status;
use crate::metrics::Cause;

/// A full registration that is about to be given to a device, and the turn to do so.
struct Claim<'a> {
    proven: Option<Proven>,
    _turn: Option<MutexGuard<'a, ()>>,
}

#[tonic::async_trait]
impl TrustService for Grpc {
    async fn identify_device(
        &self,
        request: Request<pb::IdentifyDeviceRequest>,
    ) -> Result<Response<pb::IdentifyDeviceResponse>, Status> {
        caller::service(&request, &[Service::Enroll])?;
        let pb::IdentifyDeviceRequest { tenant, proof, csr_digest } = request.into_inner();
        convert::is_served(self.tenant, &tenant)?;
        let proof = proof.ok_or_else(|| Fault::invalid_field("proof", "must be set"))?;
        let digest = convert::digest(&csr_digest, "csr_digest")?;
        let proven = self.verified(&proof, &digest).await.map_err(status)?;
        let device = self.queries.holder(&proven.registration);
        Ok(Response::new(pb::IdentifyDeviceResponse {
            registration: proven.registration.into(),
            device_id: device.map(|device| device.as_bytes().to_vec()).unwrap_or_default(),
        }))
    }

    async fn establish_trust(
        &self,
        request: Request<pb::EstablishTrustRequest>,
    ) -> Result<Response<pb::EstablishTrustResponse>, Status> {
        caller::service(&request, &[Service::Enroll])?;
        let wish = convert::establish_trust(self.tenant, request.into_inner())?;
        let claim = self.claim(&wish).await?;
        let at = (self.tenant, wish.device);
        let issued = self.issuing.issue(at, &wish.csr, self.commands.now()).map_err(status)?;
        let request =
            derive("establish-trust", &[wish.device.as_bytes(), issued.certificate.serial.as_bytes()]);
        let order = Order {
            correlation_id: wish.correlation_id,
            causation_id: Some(wish.causation_id),
            ..Order::of(Actor::service(Service::Enroll), RequestId::from_uuid(request))
        };
        let not_after = issued.certificate.not_after;
        let command = Command::Establish {
            proven: claim.proven.clone(),
            spiffe_id: issued.spiffe_id.clone(),
            certificate: issued.certificate,
            hardware_keys: wish.hardware_keys,
        };
        // A certificate that the log does not know must not leave.
        let done = self.commands.registration(at, &command, &order).await.map_err(status)?;
        self.metrics.certificate_issued(Cause::Established);
        let kind = done.state.registered().map_or(Kind::Synthetic, Registered::kind);
        let mut response = Response::new(pb::EstablishTrustResponse {
            spiffe_id: issued.spiffe_id,
            certificate_chain_der: issued.chain_der,
            trust_bundle_der: self.issuing.bundle().to_der(),
            kind: pb::RegistrationKind::from(kind).into(),
            not_after: Some(timestamp(not_after)),
        });
        position::stamp(&mut response, Service::Identity, done.position);
        Ok(response)
    }
}

impl Grpc {
    /// What a proof shows, as of now: an authority may have been registered, or a device got this registration, a moment
    /// ago.
    pub(super) async fn verified(
        &self,
        proof: &pb::RegistrationProof,
        csr_digest: &muster_types::Digest,
    ) -> Result<Proven, Fault> {
        self.queries.catch_up(self.commands.log()).await?;
        let proven = self.proofs.verify(self.tenant, proof, csr_digest, self.commands.now());
        self.metrics.proof_seen(proven.as_ref().map(|_| ()).map_err(|fault| fault.code));
        proven
    }

    /// The full registration that a device has shown or that the directory has for its hardware. Most devices have none,
    /// and wait for nobody.
    async fn claim(&self, wish: &TrustWish) -> Result<Claim<'_>, Status> {
        if let Some(proof) = &wish.proof {
            let proven = self.verified(proof, &wish.csr_digest).await.map_err(status)?;
            let turn = self.commands.registering(&self.queries).await.map_err(status)?;
            return match self.queries.holder(&proven.registration) {
                Some(holder) if holder != wish.device => Err(self.taken(&proven, holder).into()),
                _ => Ok(Claim { proven: Some(proven), _turn: Some(turn) }),
            };
        }
        if self.known_to_directory(wish.device, &wish.hardware_keys).is_none() {
            return Ok(Claim { proven: None, _turn: None });
        }
        let turn = self.commands.registering(&self.queries).await.map_err(status)?;
        let proven = self.known_to_directory(wish.device, &wish.hardware_keys);
        Ok(Claim { proven, _turn: Some(turn) })
    }

    fn known_to_directory(&self, device: DeviceId, keys: &[HardwareKey]) -> Option<Proven> {
        let proven = self.queries.directory_match(self.tenant, device, keys)?;
        let holder = self.queries.holder(&proven.registration);
        Some(proven).filter(|_| holder.is_none_or(|holder| holder == device))
    }

    /// Another device has this registration.
    pub(super) fn taken(&self, proven: &Proven, holder: DeviceId) -> Fault {
        let device = ResourceName::Device(self.tenant, holder);
        let message = format!("{device} has the registration {}", proven.registration);
        Fault::new(ErrorCode::RegistrationTaken, message).with("device", device)
    }
}
