//! What a device calls to keep its trust.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_eventlog::command::Executed;
use muster_pki::{Csr, csr};
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::device_trust_service_server::DeviceTrustService;
use muster_runtime::{caller, position};
use muster_types::id::derive;
use muster_types::{DeviceId, Digest, RequestId, ResourceName, Service};
use tonic::{Request, Response, Status};

use super::{Grpc, convert};
use crate::commands::{Merge, Order};
use crate::domain::registration::{Command, Kind, Proven, Registered, Registration, Serial};
use crate::error::status;
use crate::issuing::Issued;
use crate::metrics::Cause;

/// What came of a renewal.
struct Renewed {
    device: DeviceId,
    issued: Issued,
    done: Executed<Registration>,
}

#[tonic::async_trait]
impl DeviceTrustService for Grpc {
    async fn renew_certificate(
        &self,
        request: Request<pb::RenewCertificateRequest>,
    ) -> Result<Response<pb::RenewCertificateResponse>, Status> {
        let (_, device) = caller::device(&request)?;
        let admitted = self.renewals.admit(device, self.commands.now());
        let _permit = admitted.inspect_err(|fault| self.metrics.renewal_refused(fault.code))?;
        let pb::RenewCertificateRequest { csr_der, proof } = request.into_inner();
        let csr = convert::signing_request(&csr_der)?;
        let renewed = match proof {
            None => self.renew(device, &csr, None).await,
            Some(proof) => self.renew_proven(device, &csr, &proof, &csr::sha256(&csr_der)).await,
        };
        let renewed =
            renewed.inspect_err(|fault| self.metrics.renewal_refused(fault.code)).map_err(status)?;
        Ok(self.renewal(renewed))
    }

    async fn activate_certificate(
        &self,
        request: Request<pb::ActivateCertificateRequest>,
    ) -> Result<Response<pb::ActivateCertificateResponse>, Status> {
        let (tenant, device) = caller::device(&request)?;
        let shown = caller::certificate(request.extensions()).map(|certificate| &certificate.serial[..]);
        let serial = shown.and_then(Serial::from_slice).ok_or_else(|| {
            Fault::new(ErrorCode::CertificateRequired, "the certificate's serial number is not one of ours")
        })?;
        let pb::ActivateCertificateRequest {} = request.into_inner();
        let request = derive("activate-certificate", &[device.as_bytes(), serial.as_bytes()]);
        let order = Order::of(Actor::device(device), RequestId::from_uuid(request));
        let command = Command::Activate { serial };
        let done = self.commands.registration((tenant, device), &command, &order).await.map_err(status)?;
        if done.position.is_some() {
            self.metrics.certificate_activated();
        }
        let mut response = Response::new(pb::ActivateCertificateResponse {});
        position::stamp(&mut response, Service::Identity, done.position);
        Ok(response)
    }
}

impl Grpc {
    /// Issues a certificate over the present one; it leaves only when the log knows it.
    async fn renew(&self, device: DeviceId, csr: &Csr, proven: Option<Proven>) -> Result<Renewed, Fault> {
        let at = (self.tenant, device);
        let issued = self.issuing.issue(at, csr, self.commands.now())?;
        let command = Command::Renew { certificate: issued.certificate.clone(), proven };
        let done = self.commands.registration(at, &command, &self.renewal_order(device, &issued)).await?;
        self.metrics.certificate_issued(Cause::Renewed);
        Ok(Renewed { device, issued, done })
    }

    /// The same with a full registration, which is the device's or becomes it; should another device have it, then this is
    /// that one.
    async fn renew_proven(
        &self,
        device: DeviceId,
        csr: &Csr,
        proof: &pb::RegistrationProof,
        csr_digest: &Digest,
    ) -> Result<Renewed, Fault> {
        let proven = self.verified(proof, csr_digest).await?;
        let _turn = self.commands.registering(&self.queries).await?;
        match self.queries.holder(&proven.registration) {
            Some(into) if into != device => {
                // The caller's own certificate is as good as it was: what is wrong with the other is no refusal of it.
                if !self.queries.is_active(into) {
                    return Err(self.taken(&proven, into));
                }
                self.merge(device, into, csr).await
            }
            _ => self.renew(device, csr, Some(proven)).await,
        }
    }

    async fn merge(&self, from: DeviceId, into: DeviceId, csr: &Csr) -> Result<Renewed, Fault> {
        let issued = self.issuing.issue((self.tenant, into), csr, self.commands.now())?;
        let certificate = issued.certificate.clone();
        let merge = Merge { tenant: self.tenant, from, into, certificate };
        let done = self.commands.merge(&merge, &self.renewal_order(from, &issued)).await?;
        self.metrics.certificate_issued(Cause::Merged);
        Ok(Renewed { device: into, issued, done })
    }

    fn renewal_order(&self, device: DeviceId, issued: &Issued) -> Order {
        let request = derive("renew-certificate", &[device.as_bytes(), issued.certificate.serial.as_bytes()]);
        Order::of(Actor::device(device), RequestId::from_uuid(request))
    }

    fn renewal(&self, renewed: Renewed) -> Response<pb::RenewCertificateResponse> {
        let Renewed { device, issued, done } = renewed;
        let kind = done.state.registered().map_or(Kind::Synthetic, Registered::kind);
        let mut response = Response::new(pb::RenewCertificateResponse {
            device: ResourceName::Device(self.tenant, device).to_string(),
            certificate_chain_der: issued.chain_der,
            trust_bundle_der: self.issuing.bundle().to_der(),
            kind: pb::RegistrationKind::from(kind).into(),
            not_after: Some(timestamp(issued.certificate.not_after)),
        });
        position::stamp(&mut response, Service::Identity, done.position);
        response
    }
}
