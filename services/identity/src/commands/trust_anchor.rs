//! Commands on trust anchors.

use muster_errors::Fault;
use muster_eventlog::command::{ExecuteError, Executed, State as _};
use muster_pki::proof::AnchorCertificate;
use muster_types::id::derive;
use muster_types::{RequestId, StreamId, TenantId, Timestamp, TrustAnchorId};

use super::{Commands, Order};
use crate::domain::trust_anchor::{Command, Error, Kind, TrustAnchor, Unfit};
use crate::queries::Queries;

/// An authority to register.
#[derive(Debug, Clone)]
pub struct AddTrustAnchor {
    /// The tenant it is for. The anchor's id follows from it and the request.
    pub tenant: TenantId,
    /// Name for people.
    pub display_name: String,
    /// What kind of authority it is.
    pub kind: Kind,
    /// Its certificates in DER.
    pub certificates_der: Vec<Vec<u8>>,
    /// Directory tenant that its certificates must name; empty when they name none.
    pub directory_tenant_id: String,
}

impl Commands {
    /// Registers an authority. The same request again finds the one it registered.
    ///
    /// # Errors
    /// `TRUST_ANCHOR_INVALID` with the certificate that cannot be used, `NAME_TAKEN`, `REQUEST_ID_REUSED`,
    /// `ARGUMENT_INVALID`; and those of the log and the views.
    pub async fn add_trust_anchor(
        &self,
        add: AddTrustAnchor,
        order: &Order,
        queries: &Queries,
    ) -> Result<Executed<TrustAnchor>, Fault> {
        let AddTrustAnchor { tenant, display_name, kind, certificates_der, directory_tenant_id } = add;
        let _turn = self.naming.lock().await;
        queries.catch_up(&self.log).await?;
        let now = self.now();
        let command = Command::Add {
            namesake: queries.trust_anchor_named(tenant, &display_name),
            unfit: unfit(&certificates_der, now),
            display_name,
            kind,
            certificates_der,
            directory_tenant_id,
            now,
        };
        Ok(self.trust_anchor((tenant, trust_anchor_id(tenant, order.request)), &command, order).await?)
    }

    /// Removes an authority. Registrations it proved stay.
    ///
    /// # Errors
    /// Refused when there is no such authority.
    pub async fn remove_trust_anchor(
        &self,
        anchor: (TenantId, TrustAnchorId),
        order: &Order,
    ) -> Result<Executed<TrustAnchor>, ExecuteError<Error>> {
        self.trust_anchor(anchor, &Command::Remove, order).await
    }

    async fn trust_anchor(
        &self,
        (tenant, id): (TenantId, TrustAnchorId),
        command: &Command,
        order: &Order,
    ) -> Result<Executed<TrustAnchor>, ExecuteError<Error>> {
        let stream = StreamId::new(tenant, TrustAnchor::AGGREGATE, id.uuid());
        let decide = |anchor: &TrustAnchor| anchor.decide(command);
        if order.validate_only {
            return self.trust_anchors.rehearse(&self.log, stream, decide).await;
        }
        self.trust_anchors.execute(&self.log, stream, order.request, &self.context(order), decide).await
    }
}

/// The id of the trust anchor that a request adds.
#[must_use]
pub fn trust_anchor_id(tenant: TenantId, request: RequestId) -> TrustAnchorId {
    TrustAnchorId::from_uuid(derive("trust-anchor", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}

/// The first certificate that cannot be used.
fn unfit(certificates_der: &[Vec<u8>], now: Timestamp) -> Option<Unfit> {
    let check = |der: &Vec<u8>| AnchorCertificate::read(der)?.check_time(now);
    certificates_der
        .iter()
        .enumerate()
        .find_map(|(index, der)| Some(Unfit { index, reason: check(der).err()?.to_string() }))
}
