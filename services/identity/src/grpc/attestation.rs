//! Challenges of attestation.

use muster_errors::{ErrorCode, Fault};
use muster_pki::attestation::{Challenge, Wish};
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::attestation_service_server::AttestationService;
use muster_runtime::request;
use tonic::{Request, Response, Status};

use super::Grpc;
use crate::domain::trust_anchor::Kind;

#[tonic::async_trait]
impl AttestationService for Grpc {
    async fn begin_attestation(
        &self,
        request: Request<pb::BeginAttestationRequest>,
    ) -> Result<Response<pb::BeginAttestationResponse>, Status> {
        let attestations = self.attestations.as_ref().ok_or_else(|| {
            Fault::new(ErrorCode::AttestationUnavailable, "this server takes no attestations")
        })?;
        let pb::BeginAttestationRequest { parent, ek_chain_der, ak_public } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let makers: Vec<_> = self
            .queries
            .all_trust_anchors()
            .into_iter()
            .filter(|row| row.tenant == tenant && row.added.kind == Kind::Tpm)
            .flat_map(|row| row.certificates)
            .collect();
        let wish = Wish { chain_der: &ek_chain_der, attestation_key: &ak_public };
        let (id, challenge) = attestations.begin(tenant, &wish, &makers, self.commands.now())?;
        let Challenge { credential_blob, encrypted_secret } = challenge;
        Ok(Response::new(pb::BeginAttestationResponse {
            challenge_id: id.as_bytes().to_vec(),
            credential_blob,
            encrypted_secret,
        }))
    }
}
