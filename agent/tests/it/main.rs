//! An agent against a server in this process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use muster_agent::{Agent, Config, Snapshot, is_onboarded};
use muster_errors::{ErrorCode, Fault};
use muster_pki::{InitOptions, LocalTrust, SpiffeId, csr, tls};
use muster_proto::convert;
use muster_proto::enroll::v1 as enroll;
use muster_proto::enroll::v1::device_enrollment_service_server as enroll_server;
use muster_proto::policy::v1 as policy;
use muster_proto::policy::v1::device_policy_service_server as policy_server;
use muster_proto::report::v1 as report;
use muster_proto::report::v1::device_report_service_server as report_server;
use muster_types::{Clock as _, DeviceId, Service, SettingId, SettingValue, SystemClock, TenantId, setting};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::{Request, Response, Status};

const PAYLOAD_TYPE: &str = "application/vnd.muster.policy.v1+protobuf";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATIENCE: Duration = Duration::from_secs(20);

/// All the services a device calls, without their rules.
#[derive(Clone)]
struct Server {
    trust: LocalTrust,
    url: String,
    threads: watch::Sender<i64>,
}

fn device() -> DeviceId {
    DeviceId::from_slice(&[1; 16]).unwrap()
}

impl Server {
    fn policy(&self) -> (Vec<u8>, policy::SignedPolicy) {
        let value = *self.threads.borrow();
        let id: SettingId = "linux-antivirus/maximum_on_demand_scan_threads".parse().unwrap();
        let etag = setting::etag([(&id, &SettingValue::Integer(value))]).to_vec();
        let now = SystemClock.now();
        let document = policy::PolicyDocument {
            tenant: "default".into(),
            device_id: device().as_bytes().to_vec(),
            etag: etag.clone(),
            version: u64::try_from(value).unwrap(),
            issue_time: Some(convert::timestamp(now)),
            expire_time: Some(convert::timestamp(now.plus(DAY))),
            settings: vec![(id, SettingValue::Integer(value)).into()],
        };
        let (signer, payload) = (self.trust.policy_signer().unwrap(), document.encode_to_vec());
        let signature = policy::Signature {
            key_id: signer.key_id().into(),
            signature: signer.sign(PAYLOAD_TYPE, &payload),
        };
        let signed = policy::SignedPolicy {
            payload_type: PAYLOAD_TYPE.into(),
            payload: payload.into(),
            signatures: vec![signature],
        };
        (etag, signed)
    }
}

#[tonic::async_trait]
impl enroll_server::DeviceEnrollmentService for Server {
    async fn confirm_offboarding(
        &self,
        _: Request<enroll::ConfirmOffboardingRequest>,
    ) -> Result<Response<enroll::ConfirmOffboardingResponse>, Status> {
        Ok(Response::new(enroll::ConfirmOffboardingResponse {}))
    }

    async fn onboard(
        &self,
        request: Request<enroll::OnboardRequest>,
    ) -> Result<Response<enroll::OnboardResponse>, Status> {
        let request = request.into_inner();
        if request.token != "good" {
            return Err(Fault::new(ErrorCode::TokenUnknown, "no such token").into());
        }
        let csr = csr::parse(&request.csr_der).unwrap();
        let id = SpiffeId::device(self.trust.trust_domain().clone(), TenantId::DEFAULT, device());
        let now = SystemClock.now();
        let issued = self.trust.authority().unwrap().issue_device(&csr, &id, now, now.plus(DAY)).unwrap();
        let key = self.trust.policy_signer().unwrap();
        Ok(Response::new(enroll::OnboardResponse {
            device: format!("tenants/default/devices/{}", device()),
            certificate_chain_der: vec![issued.certificate_der],
            trust_bundle_der: self.trust.ca_certs().iter().map(|der| der.to_vec()).collect(),
            policy_keys: vec![enroll::PolicyVerificationKey {
                key_id: key.key_id().into(),
                ed25519_public_key: key.public_key().to_vec(),
            }],
            endpoints: Some(enroll::Endpoints {
                enroll: self.url.clone(),
                identity: self.url.clone(),
                policy: self.url.clone(),
                report: self.url.clone(),
            }),
            first_check_in_time: None,
            enrollment_status: enroll::EnrollmentStatus::Succeeded.into(),
            ..enroll::OnboardResponse::default()
        }))
    }

    async fn report_facts(
        &self,
        _: Request<enroll::ReportFactsRequest>,
    ) -> Result<Response<enroll::ReportFactsResponse>, Status> {
        Ok(Response::new(enroll::ReportFactsResponse {
            facts_digest: vec![1; 32],
            ..enroll::ReportFactsResponse::default()
        }))
    }
}

#[tonic::async_trait]
impl policy_server::DevicePolicyService for Server {
    async fn check_in(
        &self,
        request: Request<policy::CheckInRequest>,
    ) -> Result<Response<policy::CheckInResponse>, Status> {
        let (etag, signed) = self.policy();
        let outcome = if request.into_inner().applied_etag == etag {
            policy::check_in_response::Outcome::NotModified(policy::NotModified {})
        } else {
            policy::check_in_response::Outcome::Policy(signed)
        };
        Ok(Response::new(policy::CheckInResponse {
            outcome: Some(outcome),
            next_check_in: Some(convert::duration(DAY)),
            ..policy::CheckInResponse::default()
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<policy::WatchResponse, Status>> + Send>>;

    async fn watch(&self, _: Request<policy::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
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
        _: Request<report::ReportStatusRequest>,
    ) -> Result<Response<report::ReportStatusResponse>, Status> {
        Ok(Response::new(report::ReportStatusResponse { report_digest: vec![2; 32] }))
    }
}

/// A server on a port of its own, its tasks, and the folder of its keys.
async fn serve(tasks: &mut JoinSet<()>) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let trust = LocalTrust::init(&dir.path().join("trust"), &InitOptions::local(SystemClock.now())).unwrap();
    let identity = trust.service_identity(Service::Enroll).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(tls::server_config(trust.ca_certs(), &identity).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = Server { trust, url, threads: watch::Sender::new(2) };
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
        .add_service(policy_server::DevicePolicyServiceServer::new(server.clone()))
        .add_service(report_server::DeviceReportServiceServer::new(server.clone()));
    tasks.spawn(async move { router.serve_with_incoming(ReceiverStream::new(incoming)).await.unwrap() });
    (server, dir)
}

fn config(server: &Server, dir: &tempfile::TempDir, token: Option<&str>) -> Config {
    Config {
        server: Some(server.url.clone()),
        ca: Some(server.trust.dir().join("ca.pem")),
        token: token.map(Into::into),
        root: dir.path().join("root"),
        state_dir: dir.path().join("agent"),
        ..Config::default()
    }
}

async fn reaches(seen: &mut watch::Receiver<Snapshot>, what: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let reached = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| what(seen))).await;
    reached.expect("it takes too long").expect("the agent ended").clone()
}

fn reported(seen: &Snapshot, value: i64) -> bool {
    matches!(&seen.last_report[..], [one] if one.observed == Some(SettingValue::Integer(value)))
}

#[tokio::test]
async fn a_device_comes_under_policy_follows_it_and_resumes() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let agent = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    let mut seen = agent.observe();
    let first = tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
    let first_seen = reaches(&mut seen, |seen| reported(seen, 2) && seen.connected).await;
    assert_eq!(first_seen.applied_version, 2);
    assert_eq!(first_seen.last_error, None);

    server.threads.send_replace(4);
    reaches(&mut seen, |seen| reported(seen, 4)).await;
    let file = dir.path().join("root/etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
    assert!(std::fs::read_to_string(file).unwrap().contains(r#""maximumOnDemandScanThreads": 4"#));

    // An older version is refused, and what is in force stays.
    server.threads.send_replace(3);
    let refusing =
        |seen: &Snapshot| seen.last_error.as_deref().is_some_and(|e| e.starts_with("POLICY_ROLLED_BACK"));
    let refused = reaches(&mut seen, refusing).await;
    assert_eq!(refused.applied_version, 4);

    first.abort();
    drop(tasks.join_next().await);
    assert!(is_onboarded(&dir.path().join("agent")));
    server.threads.send_replace(5);
    let again = Agent::new(config(&server, &dir, None)).unwrap();
    tokio::time::timeout(PATIENCE, again.once(std::future::pending())).await.unwrap().unwrap();
    tasks.abort_all();
}

#[tokio::test]
async fn a_token_that_is_no_good_ends_the_agent_with_its_code() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let agent = Agent::new(config(&server, &dir, Some("bad"))).unwrap();
    let ended = tokio::time::timeout(PATIENCE, agent.run(std::future::pending())).await.unwrap();
    assert_eq!(ended.unwrap_err().code, ErrorCode::TokenUnknown);
    tasks.abort_all();
}

#[test]
fn a_device_that_is_not_onboarded_needs_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { state_dir: dir.path().to_owned(), ..Config::default() };
    let error = Agent::new(config).err().unwrap();
    assert_eq!(error.code, ErrorCode::ConfigInvalid);
    assert!(error.message.contains("--token"), "{error}");
}
