//! What this service asks identity: of which devices it is unknown whether they are in a group.

use muster_client::{Client, Idempotent};
use muster_errors::{ErrorCode, Fault};
use muster_proto::identity::v1::{ListUnknownRequest, ListUnknownResponse};
use muster_types::{GroupId, Positions, ResourceName, TenantId};
use roaring::RoaringBitmap;
use tonic::Request;

/// Most groups of one question.
const GROUPS_MAX: usize = 1_000;

/// The identity service, asked with this service's own certificate; nobody when its address was not said.
#[derive(Debug, Clone, Default)]
pub struct IdentityClient(Option<Client>);

impl IdentityClient {
    /// A client of the server that identity is on.
    #[must_use]
    pub const fn new(client: Option<Client>) -> Self {
        Self(client)
    }

    /// Tells of which devices it is unknown whether they are in some groups, as of some positions at least.
    ///
    /// # Errors
    /// What identity says, `CONFIG_INVALID` without an address of it, or `SERVER_UNREACHABLE`.
    pub(super) async fn unknown(
        &self,
        tenant: TenantId,
        groups: &[GroupId],
        positions: &Positions,
    ) -> Result<RoaringBitmap, Fault> {
        let mut unknown = RoaringBitmap::new();
        if groups.is_empty() {
            return Ok(unknown);
        }
        let no_address = || Fault::new(ErrorCode::ConfigInvalid, "the address of identity was not said");
        let client = self.0.as_ref().ok_or_else(no_address)?;
        client.see(positions);
        for groups in groups.chunks(GROUPS_MAX) {
            let name = |group: &GroupId| ResourceName::Group(tenant, *group).to_string();
            let mut request = Request::new(ListUnknownRequest { groups: groups.iter().map(name).collect() });
            request.extensions_mut().insert(Idempotent);
            let response = client.memberships().list_unknown(request).await;
            let ListUnknownResponse { devices, position: _ } =
                response.map_err(|status| Fault::from_status(&status))?.into_inner();
            if !devices.is_empty() {
                let unreadable =
                    |_| Fault::new(ErrorCode::Internal, "identity told devices by what is no bitmap");
                unknown |= RoaringBitmap::deserialize_from(&devices[..]).map_err(unreadable)?;
            }
        }
        Ok(unknown)
    }
}
