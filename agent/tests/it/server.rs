//! All the services that a device calls, without their rules: they do what a script says, and note what they hear.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use muster_agent::{Config, Snapshot};
use muster_envelope::{ORDER_PAYLOAD_TYPE, POLICY_PAYLOAD_TYPE, Trust};
use muster_errors::{ErrorCode, Fault};
use muster_pki::{InitOptions, LocalTrust, PolicySignature, SpiffeId, csr, tls};
use muster_proto::convert;
use muster_proto::enroll::v1 as enroll;
use muster_proto::enroll::v1::device_enrollment_service_server as enroll_server;
use muster_proto::identity::v1 as identity;
use muster_proto::identity::v1::device_trust_service_server as trust_server;
use muster_proto::policy::v1 as policy;
use muster_proto::policy::v1::device_policy_service_server as policy_server;
use muster_proto::report::v1 as report;
use muster_proto::report::v1::device_report_service_server as report_server;
use muster_types::{
    Clock as _, DeviceId, Service, SettingId, SettingValue, SystemClock, TenantId, Timestamp, WithheldReason,
    setting,
};
use prost::Message as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::{Request, Response, Status};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATIENCE: Duration = Duration::from_secs(120);

/// What the services are to answer, and what they heard.
#[derive(Default)]
pub(crate) struct Script {
    /// Refuses onboarding: enrollment code and seconds after which to ask again.
    pub(crate) refuse: Option<(&'static str, u64)>,
    /// The device that certificates are for from now on.
    pub(crate) device: u8,
    pub(crate) needs: Vec<policy::Need>,
    pub(crate) directive: policy::Directive,
    pub(crate) directive_code: &'static str,
    /// Settings that the offboarding order keeps.
    pub(crate) kept: Vec<String>,
    pub(crate) managed_by: enroll::ManagedBy,
    pub(crate) code: &'static str,
    /// Takes the next activation and loses the answer.
    pub(crate) lose_activation: bool,
    /// Takes the next confirmation and loses the answer.
    pub(crate) lose_confirmation: bool,
    /// Certificates that are refused.
    pub(crate) revoked: Vec<Vec<u8>>,
    /// Whose key signs, if not that of the folder.
    pub(crate) sign_as: Option<LocalTrust>,
    /// How far the services' clock is ahead.
    pub(crate) ahead: Duration,
    /// Ends the next watch right after it was opened; the device is to watch again within that time.
    pub(crate) end_watch: Option<Duration>,
    /// What policies carry and the device does not get.
    pub(crate) withheld: Vec<(&'static str, WithheldReason)>,
    pub(crate) heard: Vec<&'static str>,
    pub(crate) onboardings: Vec<enroll::OnboardRequest>,
    pub(crate) facts: Vec<enroll::ReportFactsRequest>,
    pub(crate) check_ins: Vec<(policy::CheckInRequest, Vec<u8>)>,
    pub(crate) renewals: Vec<identity::RenewCertificateRequest>,
    pub(crate) confirmations: Vec<enroll::ConfirmOffboardingRequest>,
    pub(crate) reports: Vec<report::DeviceStatus>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) trust: LocalTrust,
    pub(crate) url: String,
    pub(crate) threads: watch::Sender<i64>,
    script: Arc<Mutex<Script>>,
}

fn messages(trust: &Trust) -> Vec<enroll::PolicyVerificationKey> {
    let message = |(id, key): (&str, &[u8; 32])| enroll::PolicyVerificationKey {
        key_id: id.to_owned(),
        ed25519_public_key: key.to_vec(),
    };
    trust.keys().map(message).collect()
}

pub(crate) fn device(n: u8) -> DeviceId {
    DeviceId::from_slice(&[n; 16]).unwrap()
}

impl Server {
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// The folder of keys as it is now.
    fn trust(&self) -> LocalTrust {
        self.trust.reload().unwrap()
    }

    /// What time the services have.
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.script().ahead)
    }

    /// Publishes the next policy, so that the device checks in.
    pub(crate) fn poke(&self) {
        self.threads.send_modify(|threads| *threads += 1);
    }

    fn seal(&self, payload_type: &str, payload: Vec<u8>) -> policy::SignedPolicy {
        let trust = self.script().sign_as.clone().unwrap_or_else(|| self.trust());
        let signatures = trust.policy_signer().unwrap().sign(payload_type, &payload).into_iter();
        let signatures = signatures
            .map(|PolicySignature { key_id, signature }| policy::Signature { key_id, signature })
            .collect();
        policy::SignedPolicy { payload_type: payload_type.into(), payload: payload.into(), signatures }
    }

    fn policy(&self) -> (Vec<u8>, policy::SignedPolicy) {
        let value = *self.threads.borrow();
        let id: SettingId = "linux-antivirus/maximum_on_demand_scan_threads".parse().unwrap();
        let now = self.now();
        let script = self.script();
        let withheld: Vec<(SettingId, _)> =
            script.withheld.iter().map(|(id, reason)| (id.parse().unwrap(), *reason)).collect();
        let etag = setting::etag_of_result(
            [(&id, &SettingValue::Integer(value))],
            withheld.iter().map(|(id, reason)| (id, *reason)),
        );
        let etag = etag.to_vec();
        let document = policy::PolicyDocument {
            tenant: "default".into(),
            device_id: device(script.device).as_bytes().to_vec(),
            etag: etag.clone(),
            version: u64::try_from(value).unwrap(),
            issue_time: Some(convert::timestamp(now)),
            expire_time: Some(convert::timestamp(now.plus(DAY))),
            settings: vec![(id, SettingValue::Integer(value)).into()],
            withheld: withheld
                .into_iter()
                .map(|(id, reason)| policy::Withheld {
                    id: id.to_string(),
                    reason: policy::WithheldReason::from(reason).into(),
                })
                .collect(),
        };
        drop(script);
        (etag, self.seal(POLICY_PAYLOAD_TYPE, document.encode_to_vec()))
    }

    fn order(&self) -> policy::SignedPolicy {
        let (device_number, kept_settings) = {
            let script = self.script();
            (script.device, script.kept.clone())
        };
        let order = policy::OffboardingOrder {
            tenant: "default".into(),
            device_id: device(device_number).as_bytes().to_vec(),
            issue_time: Some(convert::timestamp(SystemClock.now())),
            expire_time: Some(convert::timestamp(SystemClock.now().plus(DAY))),
            kept_settings,
        };
        self.seal(ORDER_PAYLOAD_TYPE, order.encode_to_vec())
    }

    fn issue(&self, csr_der: &[u8]) -> (String, Vec<u8>) {
        let csr = csr::parse(csr_der).unwrap();
        let device = device(self.script().device);
        let id = SpiffeId::device(self.trust.trust_domain().clone(), TenantId::DEFAULT, device);
        let now = SystemClock.now();
        let issued = self.trust.authority().unwrap().issue_device(&csr, &id, now, now.plus(DAY)).unwrap();
        (format!("tenants/default/devices/{device}"), issued.certificate_der)
    }

    /// The caller's certificate, unless it is refused.
    fn caller<T>(&self, request: &Request<T>) -> Result<Vec<u8>, Status> {
        let certificate = request.peer_certs().unwrap()[0].to_vec();
        if self.script().revoked.contains(&certificate) {
            return Err(Fault::new(ErrorCode::CertificateRevoked, "the certificate was ended").into());
        }
        Ok(certificate)
    }
}

#[tonic::async_trait]
impl enroll_server::DeviceEnrollmentService for Server {
    async fn onboard(
        &self,
        request: Request<enroll::OnboardRequest>,
    ) -> Result<Response<enroll::OnboardResponse>, Status> {
        let request = request.into_inner();
        if !request.token.starts_with("good") {
            return Err(Fault::new(ErrorCode::TokenUnknown, "no such token").into());
        }
        let refuse = {
            let mut script = self.script();
            script.heard.push("onboard");
            script.onboardings.push(request.clone());
            script.refuse
        };
        if let Some((code, seconds)) = refuse {
            let fault = Fault::new(ErrorCode::EnrollmentRefused, format!("this device is refused: {code}"))
                .with("enrollment_code", code)
                .with("retry_after_seconds", seconds);
            return Err(fault.into());
        }
        let (device, certificate_der) = self.issue(&request.csr_der);
        Ok(Response::new(enroll::OnboardResponse {
            device,
            certificate_chain_der: vec![certificate_der],
            trust_bundle_der: self.trust.ca_certs().iter().map(|der| der.to_vec()).collect(),
            policy_keys: messages(self.trust().policy_trust()),
            endpoints: Some(enroll::Endpoints {
                enroll: self.url.clone(),
                identity: self.url.clone(),
                policy: self.url.clone(),
                report: self.url.clone(),
            }),
            first_check_in_time: None,
            enrollment_status: enroll::EnrollmentStatus::Succeeded.into(),
            enrollment_code: "ENROLLED".into(),
            registration_kind: identity::RegistrationKind::Synthetic.into(),
        }))
    }

    async fn report_facts(
        &self,
        request: Request<enroll::ReportFactsRequest>,
    ) -> Result<Response<enroll::ReportFactsResponse>, Status> {
        self.caller(&request)?;
        let mut script = self.script();
        script.heard.push("report facts");
        script.facts.push(request.into_inner());
        Ok(Response::new(enroll::ReportFactsResponse {
            facts_digest: vec![1; 32],
            managed_by: script.managed_by.into(),
            enrollment_code: script.code.into(),
        }))
    }

    async fn confirm_offboarding(
        &self,
        request: Request<enroll::ConfirmOffboardingRequest>,
    ) -> Result<Response<enroll::ConfirmOffboardingResponse>, Status> {
        let certificate = self.caller(&request)?;
        let mut script = self.script();
        script.heard.push("confirm");
        script.confirmations.push(request.into_inner());
        script.revoked.push(certificate);
        if std::mem::take(&mut script.lose_confirmation) {
            return Err(Fault::new(ErrorCode::DeadlineExceeded, "the answer is lost").into());
        }
        Ok(Response::new(enroll::ConfirmOffboardingResponse {}))
    }
}

#[tonic::async_trait]
impl trust_server::DeviceTrustService for Server {
    async fn renew_certificate(
        &self,
        request: Request<identity::RenewCertificateRequest>,
    ) -> Result<Response<identity::RenewCertificateResponse>, Status> {
        self.caller(&request)?;
        let request = request.into_inner();
        {
            let mut script = self.script();
            script.heard.push("renew");
            script.needs.clear();
            script.renewals.push(request.clone());
        }
        let (device, certificate_der) = self.issue(&request.csr_der);
        Ok(Response::new(identity::RenewCertificateResponse {
            device,
            certificate_chain_der: vec![certificate_der],
            trust_bundle_der: self.trust.ca_certs().iter().map(|der| der.to_vec()).collect(),
            kind: identity::RegistrationKind::Full.into(),
            not_after: None,
        }))
    }

    async fn activate_certificate(
        &self,
        request: Request<identity::ActivateCertificateRequest>,
    ) -> Result<Response<identity::ActivateCertificateResponse>, Status> {
        let new = self.caller(&request)?;
        let mut script = self.script();
        script.heard.push("activate");
        let older: Vec<_> =
            script.check_ins.iter().map(|(_, by)| by.clone()).filter(|by| *by != new).collect();
        script.revoked.extend(older);
        if std::mem::take(&mut script.lose_activation) {
            return Err(Fault::new(ErrorCode::DeadlineExceeded, "the answer is lost").into());
        }
        Ok(Response::new(identity::ActivateCertificateResponse {}))
    }
}

#[tonic::async_trait]
impl policy_server::DevicePolicyService for Server {
    async fn check_in(
        &self,
        request: Request<policy::CheckInRequest>,
    ) -> Result<Response<policy::CheckInResponse>, Status> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        let ((etag, signed), order) = (self.policy(), self.order());
        let (trust, now) = (self.trust(), self.now());
        let believed = trust.policy_trust();
        let learns = request.policy_keys_digest != believed.digest();
        let mut script = self.script();
        script.heard.push("check in");
        script.check_ins.push((request.clone(), caller));
        let not_modified = policy::check_in_response::Outcome::NotModified(policy::NotModified {});
        let outcome = if (request.applied_etag == etag && !learns)
            || script.directive != policy::Directive::Unspecified
        {
            not_modified
        } else {
            policy::check_in_response::Outcome::Policy(signed)
        };
        let offboards = script.directive == policy::Directive::Decommission;
        Ok(Response::new(policy::CheckInResponse {
            outcome: Some(outcome),
            next_check_in: Some(convert::duration(DAY)),
            needs: script.needs.iter().map(|need| (*need).into()).collect(),
            directive: script.directive.into(),
            directive_code: script.directive_code.into(),
            offboarding_order: offboards.then_some(order),
            server_time: Some(convert::timestamp(now)),
            policy_keys: if learns { messages(believed) } else { Vec::new() },
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<policy::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<policy::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.caller(&request)?;
        let ending = {
            let mut script = self.script();
            script.heard.push("watch");
            script.end_watch.take()
        };
        if let Some(within) = ending {
            let last = policy::WatchResponse {
                reconnect_within: Some(convert::duration(within)),
                ..policy::WatchResponse::default()
            };
            return Ok(Response::new(Box::pin(tokio_stream::once(Ok(last)))));
        }
        let server = self.clone();
        let hints = WatchStream::new(self.threads.subscribe()).map(move |_| {
            Ok(policy::WatchResponse { etag: server.policy().0, ..policy::WatchResponse::default() })
        });
        Ok(Response::new(Box::pin(hints)))
    }
}

#[tonic::async_trait]
impl report_server::DeviceReportService for Server {
    async fn report_status(
        &self,
        request: Request<report::ReportStatusRequest>,
    ) -> Result<Response<report::ReportStatusResponse>, Status> {
        self.caller(&request)?;
        self.script().reports.extend(request.into_inner().status);
        Ok(Response::new(report::ReportStatusResponse { report_digest: vec![2; 32] }))
    }
}

/// A server on a port of its own, its tasks, and the folder of its keys.
pub(crate) async fn serve(tasks: &mut JoinSet<()>) -> (Server, tempfile::TempDir) {
    serve_at(tasks, "127.0.0.1:0".parse().unwrap()).await
}

/// A server at an address.
pub(crate) async fn serve_at(tasks: &mut JoinSet<()>, at: SocketAddr) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let trust = LocalTrust::init(&dir.path().join("trust"), &InitOptions::local(SystemClock.now())).unwrap();
    let identity = trust.service_identity(Service::Enroll).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(tls::server_config(trust.ca_certs(), &identity).unwrap());
    let listener = TcpListener::bind(at).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let script = Script { device: 1, ..Script::default() };
    let server = Server { trust, url, threads: watch::Sender::new(2), script: Arc::new(Mutex::new(script)) };
    let (sender, incoming) = tokio::sync::mpsc::channel(4);
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = Arc::new(acceptor.clone()).accept(stream).await {
                drop(sender.send(Ok::<_, std::io::Error>(stream)).await);
            }
        }
    });
    let router = tonic::transport::Server::builder()
        .add_service(enroll_server::DeviceEnrollmentServiceServer::new(server.clone()))
        .add_service(trust_server::DeviceTrustServiceServer::new(server.clone()))
        .add_service(policy_server::DevicePolicyServiceServer::new(server.clone()))
        .add_service(report_server::DeviceReportServiceServer::new(server.clone()));
    tasks.spawn(async move { router.serve_with_incoming(ReceiverStream::new(incoming)).await.unwrap() });
    (server, dir)
}

pub(crate) fn config(server: &Server, dir: &tempfile::TempDir, token: Option<&str>) -> Config {
    Config {
        server: Some(server.url.clone()),
        ca: Some(server.trust.dir().join("ca.pem")),
        token: token.map(Into::into),
        root: dir.path().join("root"),
        facts_root: dir.path().join("machine"),
        state_dir: dir.path().join("agent"),
        ..Config::default()
    }
}

/// The managed configuration on the device; empty when there is none.
pub(crate) fn managed(dir: &tempfile::TempDir) -> String {
    let file = dir.path().join("root/etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
    std::fs::read_to_string(file).unwrap_or_default()
}

pub(crate) async fn reaches(
    seen: &mut watch::Receiver<Snapshot>,
    what: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let reached = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| what(seen))).await;
    reached.expect("it takes too long").expect("the agent ended").clone()
}

pub(crate) fn reported(seen: &Snapshot, value: i64) -> bool {
    matches!(&seen.last_report[..], [one, ..] if one.observed == Some(SettingValue::Integer(value)))
}

/// Waits for a future that must not take for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// An address that refuses connections, and is nobody else's while this lives: bound, but not listening.
pub(crate) struct ClosedPort(TcpSocket);

impl ClosedPort {
    pub(crate) fn bind() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.0.local_addr().unwrap())
    }
}
