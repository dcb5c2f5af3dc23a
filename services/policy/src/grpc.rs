//! The gRPC services: decode, one call, encode.

mod admin;
mod convert;
mod device;
mod identity;
mod keys;

use std::sync::Arc;

use muster_errors::Fault;
use muster_eventlog::Actor;
use muster_eventlog::as_of::Moments;
use muster_pki::PolicySigner;
use muster_proto::policy::v1::device_policy_service_server::DevicePolicyServiceServer;
use muster_proto::policy::v1::policy_service_server::PolicyServiceServer;
use muster_runtime::{TaskGroup, caller, position, request};
use muster_types::{Clock, TenantId};
use tonic::service::Routes;
use tonic::{Request, Status};

pub use identity::IdentityClient;
pub use keys::PolicyKeys;

use crate::attendance::Attendance;
use crate::checkin::Documents;
use crate::commands::{Asked, Commands};
use crate::delivery::Deliveries;
use crate::metrics::PolicyMetrics;
use crate::queries::Queries;
use crate::watch::Watches;

/// Largest request of a device, in bytes.
const DEVICE_REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Longest reason of a change, in characters.
const REASON_CHARS_MAX: usize = 1_024;

/// What answers calls.
pub struct Grpc {
    /// The tenant served.
    pub tenant: TenantId,
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// What turns past moments into positions.
    pub moments: Moments,
    /// What other services are asked for.
    pub identity: IdentityClient,
    /// Who was there, and whether twice.
    pub attendance: Attendance,
    /// What went out to whom.
    pub deliveries: Deliveries,
    /// Who waits for hints.
    pub watches: Watches,
    /// What signs policies.
    pub signer: Arc<PolicySigner>,
    /// What verifies them.
    pub policy_keys: PolicyKeys,
    /// What policies are made of.
    pub documents: Documents,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Tells streams when the process stops.
    pub tasks: TaskGroup,
    /// Numbers.
    pub metrics: PolicyMetrics,
}

impl Grpc {
    /// The services, for a server.
    #[must_use]
    pub fn routes(self) -> Routes {
        let this = Arc::new(self);
        let devices = DevicePolicyServiceServer::from_arc(this.clone())
            .max_decoding_message_size(DEVICE_REQUEST_BYTES_MAX);
        Routes::new(devices).add_service(PolicyServiceServer::from_arc(this))
    }

    /// Waits until the view shows what the caller wants to see.
    async fn settled<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = position::wanted(request)?;
        Ok(position::settle(self.queries.reach(&wanted)).await?)
    }
}

/// What a mutating call brings; its reason, if it has one, is added with [`because`].
fn asked<T>(request: &Request<T>, request_id: &str, validate_only: bool) -> Result<Asked, Status> {
    Ok(Asked {
        reason: String::new(),
        actor: Actor::admin(&caller::admin(request)?),
        request: request::id(request_id)?,
        validate_only,
        seen: position::wanted(request)?,
    })
}

/// The same with the reason that an admin gave.
fn because(asked: Asked, reason: &str) -> Result<Asked, Fault> {
    let found = reason.chars().count();
    if found > REASON_CHARS_MAX {
        let problem = format!("must have at most {REASON_CHARS_MAX} characters, has {found}");
        return Err(Fault::invalid_field("reason", problem));
    }
    Ok(Asked { reason: reason.to_owned(), ..asked })
}
