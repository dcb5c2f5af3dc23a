//! The one question this service asks another: identity's certificate for a device.

use muster_client::{Client, Idempotent, Transport};
use muster_errors::Fault;
use muster_proto::identity::v1::trust_service_client::TrustServiceClient;
use muster_proto::identity::v1::{EstablishTrustRequest, EstablishTrustResponse};
use muster_types::TenantId;
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

    /// Establishes trust in a device that came in. May be repeated.
    ///
    /// # Errors
    /// What identity says, or `SERVER_UNREACHABLE`.
    pub(super) async fn establish_trust(
        &self,
        tenant: TenantId,
        device: &DeviceIn,
        csr_der: Vec<u8>,
    ) -> Result<EstablishTrustResponse, Fault> {
        let mut request = Request::new(EstablishTrustRequest {
            tenant: tenant.to_string(),
            device_id: device.device.as_bytes().to_vec(),
            csr_der,
            correlation_id: device.request.as_bytes().to_vec(),
            causation_id: device.cause.as_bytes().to_vec(),
            ..Default::default()
        });
        request.extensions_mut().insert(Idempotent);
        let response = self.0.clone().establish_trust(request).await;
        Ok(response.map_err(|status| Fault::from_status(&status))?.into_inner())
    }
}
