//! What this service asks another: whose proof it is, and a certificate for a device.

use muster_client::{Client, Idempotent, Transport};
use muster_errors::{ErrorCode, Fault};
use muster_proto::identity::v1::trust_service_client::TrustServiceClient;
use muster_proto::identity::v1::{
    EstablishTrustRequest, EstablishTrustResponse, HardwareKey, IdentifyDeviceRequest,
    IdentifyDeviceResponse, RegistrationProof,
};
use muster_types::{DeviceId, TenantId};
use sha2::{Digest as _, Sha256};
use tonic::Request;

use crate::commands::DeviceIn;

/// The identity service, asked with this service's own certificate.
#[derive(Debug, Clone)]
pub struct IdentityClient(TrustServiceClient<Transport>);

impl IdentityClient {
    /// A client of the server that identity is on.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self(client.trust())
    }

    /// Tells which device a proof is of, when one is known by it.
    ///
    /// # Errors
    /// What identity says, `TENANT_MISMATCH` and `PROOF_INVALID` above all, or `SERVER_UNREACHABLE`.
    pub(super) async fn identify(
        &self,
        tenant: TenantId,
        proof: RegistrationProof,
        csr_der: &[u8],
    ) -> Result<Option<DeviceId>, Fault> {
        let mut request = Request::new(IdentifyDeviceRequest {
            tenant: tenant.to_string(),
            proof: Some(proof),
            csr_digest: Sha256::digest(csr_der).to_vec(),
        });
        request.extensions_mut().insert(Idempotent);
        let response = self.0.clone().identify_device(request).await;
        let IdentifyDeviceResponse { registration: _, device_id } =
            response.map_err(|status| Fault::from_status(&status))?.into_inner();
        if device_id.is_empty() {
            return Ok(None);
        }
        let unreadable = |_| Fault::new(ErrorCode::Internal, "identity named a device by what is no id");
        DeviceId::from_slice(&device_id).map(Some).map_err(unreadable)
    }

    /// Establishes trust in a device that came in. May be repeated.
    ///
    /// # Errors
    /// What identity says, or `SERVER_UNREACHABLE`.
    pub(super) async fn establish_trust(
        &self,
        tenant: TenantId,
        device: &DeviceIn,
        csr_der: Vec<u8>,
        proof: Option<RegistrationProof>,
        hardware_keys: Vec<HardwareKey>,
    ) -> Result<EstablishTrustResponse, Fault> {
        let mut request = Request::new(EstablishTrustRequest {
            tenant: tenant.to_string(),
            device_id: device.device.as_bytes().to_vec(),
            csr_der,
            correlation_id: device.request.as_bytes().to_vec(),
            causation_id: device.cause.as_bytes().to_vec(),
            proof,
            hardware_keys,
        });
        request.extensions_mut().insert(Idempotent);
        let response = self.0.clone().establish_trust(request).await;
        Ok(response.map_err(|status| Fault::from_status(&status))?.into_inner())
    }
}
