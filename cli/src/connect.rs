//! The server as the commands see it: its clients, and names resolved to resources.

use std::future::Future;

use muster_client::{Client, ConnectOptions, Idempotent, discover};
use muster_errors::{ErrorCode, Fault};
use muster_proto::enroll::v1::ListDevicesRequest;
use muster_proto::enroll::v1::enrollment_admin_service_client::EnrollmentAdminServiceClient;
use muster_proto::identity::v1::group_service_client::GroupServiceClient;
use muster_proto::identity::v1::registration_service_client::RegistrationServiceClient;
use muster_proto::identity::v1::trust_bundle_service_client::TrustBundleServiceClient;
use muster_proto::identity::v1::{ListGroupsRequest, ListTrustAnchorsRequest};
use muster_proto::log::v1::log_service_client::LogServiceClient;
use muster_proto::policy::v1::ListPoliciesRequest;
use muster_proto::policy::v1::policy_service_client::PolicyServiceClient;
use muster_proto::report::v1::report_service_client::ReportServiceClient;
use muster_types::{DirectoryDeviceId, Positions, RequestId, ResourceName, Service, TenantId};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::flags::Target;

type Transport = muster_client::Transport;

/// Pages of devices, groups or policies looked through for a name; with more, an id is needed.
const PAGES_LOOKED_THROUGH_MAX: usize = 100;
const PAGE_SIZE: i32 = 1_000;

/// The control plane, in one process or in four. Reads reflect what was written through it before.
pub struct Api {
    clients: [Client; 4],
    tenant: TenantId,
}

impl Api {
    /// The server that the options name.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when an address, the data folder or the tenant cannot be used.
    pub fn connect(target: &Target) -> Result<Self, Fault> {
        let tenant = target.tenant.parse().map_err(|error: muster_types::name::InvalidTenant| {
            Fault::new(ErrorCode::ConfigInvalid, error.to_string()).with_field("--tenant", error.to_string())
        })?;
        let to = |endpoint: Option<&str>| Client::connect(discover::admin(&target.data_dir, endpoint)?);
        let clients = match endpoints(target)? {
            Endpoints::Apart([enroll, identity, policy, report]) => {
                [to(Some(enroll))?, to(Some(identity))?, to(Some(policy))?, to(Some(report))?]
            }
            Endpoints::One(endpoint) => {
                let client = to(endpoint)?;
                std::array::from_fn(|_| client.clone())
            }
        };
        Ok(Self { clients, tenant })
    }

    /// The control plane in one process, through a client that is connected.
    #[must_use]
    pub fn of(client: &Client, tenant: TenantId) -> Self {
        Self { clients: std::array::from_fn(|_| client.clone()), tenant }
    }

    fn client(&self, service: Service) -> &Client {
        &self.clients[service as usize - 1]
    }

    /// Tokens and devices.
    #[must_use]
    pub fn enrollment_admin(&self) -> EnrollmentAdminServiceClient<Transport> {
        self.client(Service::Enroll).enrollment_admin()
    }

    /// Groups.
    #[must_use]
    pub fn groups(&self) -> GroupServiceClient<Transport> {
        self.client(Service::Identity).groups()
    }

    /// Registrations, directory devices and trust anchors.
    #[must_use]
    pub fn registrations(&self) -> RegistrationServiceClient<Transport> {
        self.client(Service::Identity).registrations()
    }

    /// Certificates of the authorities to trust.
    #[must_use]
    pub fn trust_bundle(&self) -> TrustBundleServiceClient<Transport> {
        self.client(Service::Identity).trust_bundle()
    }

    /// Policies and assignments.
    #[must_use]
    pub fn policies(&self) -> PolicyServiceClient<Transport> {
        self.client(Service::Policy).policies()
    }

    /// How devices stand.
    #[must_use]
    pub fn reports(&self) -> ReportServiceClient<Transport> {
        self.client(Service::Report).reports()
    }

    /// A service's part of the log.
    #[must_use]
    pub fn log(&self, service: Service) -> LogServiceClient<Transport> {
        self.client(service).log()
    }

    /// Awaits a call, and lets every later read reflect what it wrote.
    ///
    /// # Errors
    /// The fault that the call came back with.
    pub async fn call<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Fault> {
        let reply = call.await.map_err(|status| Fault::from_status(&status))?;
        let seen = self.clients.iter().fold(Positions::ZERO, |seen, client| seen.join(client.positions()));
        self.clients.iter().for_each(|client| client.see(&seen));
        Ok(reply.into_inner())
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The tenant's resource name.
    #[must_use]
    pub fn parent(&self) -> String {
        format!("tenants/{}", self.tenant)
    }

    /// A resource name of this tenant from an id; a full name stays what it is.
    #[must_use]
    pub fn name(&self, collection: &str, id: &str) -> String {
        if id.contains('/') { id.to_owned() } else { format!("{}/{collection}/{id}", self.parent()) }
    }

    /// A device's resource name, from that, its id, or its host name.
    ///
    /// # Errors
    /// `DEVICE_UNKNOWN`; `ARGUMENT_INVALID` when several devices have the host name.
    pub async fn device(&self, text: &str) -> Result<String, Fault> {
        // A text that a filter cannot quote is no host name either.
        let quoted = text.replace(['"', '\\'], "");
        self.named(text, &DEVICES, async |page_token| {
            let request = ListDevicesRequest {
                parent: self.parent(),
                page_size: PAGE_SIZE,
                page_token,
                filter: format!("hostname = \"{quoted}\""),
                order_by: String::new(),
            };
            let page = self.call(self.enrollment_admin().list_devices(request)).await?;
            let pairs = page.devices.into_iter().map(|it| (it.name, it.facts.unwrap_or_default().hostname));
            Ok((pairs.collect(), page.next_page_token))
        })
        .await
    }

    /// A group's resource name, from that, its id, or its name.
    ///
    /// # Errors
    /// `GROUP_UNKNOWN`.
    pub async fn group(&self, text: &str) -> Result<String, Fault> {
        self.named(text, &GROUPS, async |page_token| {
            let request = ListGroupsRequest { parent: self.parent(), page_size: PAGE_SIZE, page_token };
            let page = self.call(self.groups().list_groups(request)).await?;
            let pairs = page.groups.into_iter().map(|it| (it.name, it.display_name));
            Ok((pairs.collect(), page.next_page_token))
        })
        .await
    }

    /// A policy's resource name, from that, its id, or its name.
    ///
    /// # Errors
    /// `POLICY_UNKNOWN`.
    pub async fn policy(&self, text: &str) -> Result<String, Fault> {
        self.named(text, &POLICIES, async |page_token| {
            let request = ListPoliciesRequest {
                parent: self.parent(),
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let page = self.call(self.policies().list_policies(request)).await?;
            let pairs = page.policies.into_iter().map(|it| (it.name, it.display_name));
            Ok((pairs.collect(), page.next_page_token))
        })
        .await
    }

    /// The resource name of a policy that was deleted, from that, its id, or the name it had.
    ///
    /// # Errors
    /// `POLICY_UNKNOWN`; `ARGUMENT_INVALID` when several had the name.
    pub async fn deleted_policy(&self, text: &str) -> Result<String, Fault> {
        self.named(text, &DELETED_POLICIES, async |page_token| {
            let (parent, show_deleted) = (self.parent(), true);
            let request = ListPoliciesRequest { parent, page_size: PAGE_SIZE, page_token, show_deleted };
            let page = self.call(self.policies().list_policies(request)).await?;
            let deleted = page.policies.into_iter().filter(|it| it.delete_time.is_some());
            Ok((deleted.map(|it| (it.name, it.display_name)).collect(), page.next_page_token))
        })
        .await
    }

    /// A trust anchor's resource name, from that, its id, or its name.
    ///
    /// # Errors
    /// `TRUST_ANCHOR_UNKNOWN`.
    pub async fn trust_anchor(&self, text: &str) -> Result<String, Fault> {
        self.named(text, &TRUST_ANCHORS, async |page_token| {
            let request = ListTrustAnchorsRequest { parent: self.parent(), page_size: PAGE_SIZE, page_token };
            let page = self.call(self.registrations().list_trust_anchors(request)).await?;
            let pairs = page.trust_anchors.into_iter().map(|it| (it.name, it.display_name));
            Ok((pairs.collect(), page.next_page_token))
        })
        .await
    }

    /// The resource name of a directory device, from that or from its id in the directory.
    #[must_use]
    pub fn directory_device(&self, text: &str) -> String {
        if text.contains('/') {
            return text.to_owned();
        }
        ResourceName::DirectoryDevice(self.tenant, DirectoryDeviceId::of(self.tenant, text)).to_string()
    }

    /// Looks through pages of (resource name, name for people).
    async fn named(
        &self,
        text: &str,
        of: &Collection,
        list: impl AsyncFn(String) -> Result<(Vec<(String, String)>, String), Fault>,
    ) -> Result<String, Fault> {
        if is_id(text) {
            return Ok(self.name(of.collection, text));
        }
        let (mut page_token, mut found) = (String::new(), Vec::new());
        for _ in 0..PAGES_LOOKED_THROUGH_MAX {
            let (pairs, next) = list(page_token).await?;
            found.extend(pairs.into_iter().filter(|(_, shown)| shown == text).map(|(name, _)| name));
            page_token = next;
            if page_token.is_empty() || of.unique && !found.is_empty() {
                break;
            }
        }
        only(found, of.unknown, of.kind, text)
    }
}

/// A kind of resource that people call by a name.
struct Collection {
    collection: &'static str,
    kind: &'static str,
    unknown: ErrorCode,
    /// Whether no two have the same name.
    unique: bool,
}

const DEVICES: Collection =
    Collection { collection: "devices", kind: "device", unknown: ErrorCode::DeviceUnknown, unique: false };
const GROUPS: Collection =
    Collection { collection: "groups", kind: "group", unknown: ErrorCode::GroupUnknown, unique: true };
const POLICIES: Collection =
    Collection { collection: "policies", kind: "policy", unknown: ErrorCode::PolicyUnknown, unique: true };
const DELETED_POLICIES: Collection =
    Collection { collection: "policies", kind: "policy", unknown: ErrorCode::PolicyUnknown, unique: false };
const TRUST_ANCHORS: Collection = Collection {
    collection: "trustAnchors",
    kind: "trust anchor",
    unknown: ErrorCode::TrustAnchorUnknown,
    unique: true,
};

fn is_id(text: &str) -> bool {
    text.contains('/') || Uuid::try_parse(text).is_ok()
}

fn only(mut found: Vec<String>, unknown: ErrorCode, kind: &str, text: &str) -> Result<String, Fault> {
    match (found.pop(), found.len()) {
        (Some(name), 0) => Ok(name),
        (Some(_), others) => Err(Fault::invalid_field(
            kind,
            format!("{} {kind}s are called {text:?}; say which by its id", others + 1),
        )),
        (None, _) => {
            Err(Fault::new(unknown, format!("no {kind} has the id or name {text:?}")).with(kind, text))
        }
    }
}

/// How to call a service as nobody in particular, as a device does that comes in.
///
/// # Errors
/// As [`Api::connect`].
pub fn anonymous(target: &Target, service: Service) -> Result<ConnectOptions, Fault> {
    let endpoint = match endpoints(target)? {
        Endpoints::Apart(urls) => Some(urls[service as usize - 1]),
        Endpoints::One(endpoint) => endpoint,
    };
    Ok(ConnectOptions { bearer: None, ..discover::admin(&target.data_dir, endpoint)? })
}

/// Where the four services are.
enum Endpoints<'a> {
    One(Option<&'a str>),
    Apart([&'a str; 4]),
}

fn endpoints(target: &Target) -> Result<Endpoints<'_>, Fault> {
    match target.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) {
        Some(endpoints) if endpoints.contains('=') => apart(endpoints).map(Endpoints::Apart),
        endpoint => Ok(Endpoints::One(endpoint)),
    }
}

/// Reads `enroll=URL,identity=URL,policy=URL,report=URL`.
fn apart(text: &str) -> Result<[&str; 4], Fault> {
    let mut urls: [Option<&str>; 4] = [None; 4];
    for part in text.split(',') {
        let (service, url) = part.split_once('=').unwrap_or((part, ""));
        let service: Service = service.parse().map_err(|error: muster_types::stream::UnknownName| {
            Fault::invalid_field("--endpoint", error.to_string())
        })?;
        urls[service as usize - 1] = Some(url);
    }
    match urls {
        [Some(enroll), Some(identity), Some(policy), Some(report)] => Ok([enroll, identity, policy, report]),
        _ => Err(Fault::invalid_field(
            "--endpoint",
            "give one URL, or one for each of enroll, identity, policy and report",
        )),
    }
}

/// A new id for a request.
#[must_use]
pub fn request_id() -> String {
    RequestId::generate().to_string()
}

/// A mutation that names itself by a request id: it may be sent again when no answer came.
pub fn once<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Idempotent);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_one_or_four() {
        assert_eq!(apart("policy=c,enroll=a,report=d,identity=b"), Ok(["a", "b", "c", "d"]));
        assert!(apart("policy=c").is_err());
        assert!(apart("police=c").is_err());
    }

    #[test]
    fn a_name_that_several_bear_is_not_guessed() {
        assert_eq!(only(vec!["a".into()], ErrorCode::DeviceUnknown, "device", "n"), Ok("a".into()));
        let several = only(vec!["a".into(), "b".into()], ErrorCode::DeviceUnknown, "device", "n");
        assert_eq!(several.unwrap_err().code, ErrorCode::ArgumentInvalid);
        assert_eq!(
            only(vec![], ErrorCode::DeviceUnknown, "device", "n").unwrap_err().code,
            ErrorCode::DeviceUnknown
        );
    }
}
