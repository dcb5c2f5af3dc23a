//! gRPC client of the control plane: our authority only, sessions resumed, deadlines, retries, position tokens, trace
//! context. For the CLI, the agent, services among each other, and tests.
//!
//! Every error a call returns carries its code, also those made on this side (`SERVER_UNREACHABLE`,
//! `SERVER_UNTRUSTED`, `DEADLINE_EXCEEDED`): read it with [`muster_errors::Fault::from_status`].

pub mod call;
pub mod connect;
pub mod discover;
mod method;
mod retry;

use std::sync::Arc;

use muster_errors::Fault;
use muster_proto::enroll::v1::device_enrollment_service_client::DeviceEnrollmentServiceClient;
use muster_proto::enroll::v1::enrollment_admin_service_client::EnrollmentAdminServiceClient;
use muster_proto::identity::v1::attestation_service_client::AttestationServiceClient;
use muster_proto::identity::v1::device_trust_service_client::DeviceTrustServiceClient;
use muster_proto::identity::v1::group_service_client::GroupServiceClient;
use muster_proto::identity::v1::membership_service_client::MembershipServiceClient;
use muster_proto::identity::v1::registration_service_client::RegistrationServiceClient;
use muster_proto::identity::v1::trust_bundle_service_client::TrustBundleServiceClient;
use muster_proto::identity::v1::trust_service_client::TrustServiceClient;
use muster_proto::log::v1::log_service_client::LogServiceClient;
use muster_proto::policy::v1::device_policy_service_client::DevicePolicyServiceClient;
use muster_proto::policy::v1::policy_service_client::PolicyServiceClient;
use muster_proto::report::v1::device_report_service_client::DeviceReportServiceClient;
use muster_proto::report::v1::report_service_client::ReportServiceClient;
use muster_types::Positions;

pub use call::{Idempotent, Transport};
pub use connect::ConnectOptions;

/// Largest reply taken, in bytes.
pub const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A client of one server. Cheap to clone; clones share the connection and the positions seen.
#[derive(Debug, Clone)]
pub struct Client(Transport);

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> $client<Transport> {
                $client::new(self.0.clone()).max_decoding_message_size(REPLY_BYTES_MAX)
            }
        )*
    };
}

impl Client {
    /// A client that connects with its first call, and again whenever the connection is lost. Must be called inside a
    /// Tokio runtime.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the endpoint is no `https` URL or the keys or certificates cannot be used.
    pub fn connect(options: ConnectOptions) -> Result<Self, Fault> {
        Transport::new(options).map(Self)
    }

    /// What generated clients of other services (health, reflection) call through.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.0.clone()
    }

    /// The furthest positions that replies on this client told; its reads reflect them.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.0.positions()
    }

    /// Makes later reads reflect these positions too.
    pub fn see(&self, positions: &Positions) {
        self.0.see(positions);
    }

    services! {
        /// What a device calls to come in.
        device_enrollment: DeviceEnrollmentServiceClient;
        /// Tokens and devices.
        enrollment_admin: EnrollmentAdminServiceClient;
        /// Groups of devices.
        groups: GroupServiceClient;
        /// Trust in devices; for services.
        trust: TrustServiceClient;
        /// Memberships; for services.
        memberships: MembershipServiceClient;
        /// What a device calls to keep its trust.
        device_trust: DeviceTrustServiceClient;
        /// Challenges of attestation.
        attestation: AttestationServiceClient;
        /// Registrations, directory devices and trust anchors.
        registrations: RegistrationServiceClient;
        /// Certificates of the authorities to trust.
        trust_bundle: TrustBundleServiceClient;
        /// Policies and assignments.
        policies: PolicyServiceClient;
        /// What a device calls to stay under policy.
        device_policy: DevicePolicyServiceClient;
        /// What a device calls to say how it stands.
        device_reports: DeviceReportServiceClient;
        /// How devices stand.
        reports: ReportServiceClient;
        /// The event log.
        log: LogServiceClient;
    }
}

/// The text of a bearer token, shared.
type Bearer = Arc<http::HeaderValue>;
