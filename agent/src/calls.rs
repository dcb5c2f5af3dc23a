//! What the agent says to the services, and what it makes of the answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_pki::{Identity, PolicyVerifier, SpiffeId, identity, peer};
use muster_proto::convert;
use muster_proto::enroll::v1 as enroll;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_types::{Digest, Timestamp};
use prost::Message as _;

use crate::config::Config;
use crate::core::message::{CheckIn, Enrolled, Reply};
use crate::error::Error;
use crate::facts;
use crate::state::StateDir;
use crate::wire;

/// Most clients that are kept: one for each service.
const CLIENTS_MAX: usize = 4;

/// Who the device is, and how it reaches the services.
#[derive(Debug, Clone)]
pub(crate) struct Enrollment {
    pub(crate) device: String,
    pub(crate) spiffe_id: String,
    pub(crate) enrolled: Enrolled,
    pub(crate) verifier: PolicyVerifier,
    pub(crate) enroll: Client,
    pub(crate) policy: Client,
    pub(crate) report: Client,
}

impl Enrollment {
    /// Reads an answer to onboarding. Must be called inside a Tokio runtime.
    pub(crate) fn read(
        response: enroll::OnboardResponse,
        config: &Config,
        key: &[u8],
    ) -> Result<Self, Error> {
        let enroll::OnboardResponse {
            device,
            certificate_chain_der,
            trust_bundle_der,
            policy_keys,
            endpoints,
            first_check_in_time,
            enrollment_status: _,
            enrollment_code: _,
            registration_kind: _,
        } = response;
        let malformed = |what: &str| {
            Error::new(ErrorCode::Internal, format!("the server's answer to onboarding has no usable {what}"))
        };
        let own = certificate_chain_der.first().ok_or_else(|| malformed("certificate"))?;
        let peer = peer::read(own).map_err(|_| malformed("certificate"))?;
        let SpiffeId::Device { tenant, device: id, .. } = &peer.id else {
            return Err(malformed("device certificate"));
        };
        let enrolled = Enrolled {
            tenant: *tenant,
            device: *id,
            certificate_expires_at: peer.not_after,
            first_check_in_at: first_check_in_time.map(convert::moment),
        };
        let keys = policy_keys.iter().filter_map(|key| wire::digest(&key.ed25519_public_key));
        let mut authorities: Vec<_> = trust_bundle_der.into_iter().map(|der| der.to_vec().into()).collect();
        if authorities.is_empty() {
            authorities = authorities_of(config)?;
        }
        let chain = certificate_chain_der.into_iter().map(|der| der.to_vec()).collect();
        let identity = Identity::from_der(chain, key.to_vec());
        let mut clients: BTreeMap<String, Client> = BTreeMap::new();
        let enroll::Endpoints { enroll, identity: _, policy, report } = endpoints.unwrap_or_default();
        let told = enroll.clone();
        let mut client = |url: String| {
            // A server that moved is found by what the agent is told now, with all that it serves.
            let url = match &config.server {
                Some(server) if url.is_empty() || url == told => server.clone(),
                Some(_) | None => url,
            };
            if let Some(client) = clients.get(&url) {
                return Ok(client.clone());
            }
            let options = ConnectOptions::new(&url, authorities.clone()).with_identity(identity.clone());
            let client = Client::connect(options)?;
            debug_assert!(clients.len() < CLIENTS_MAX, "three services are called");
            clients.insert(url, client.clone());
            Ok::<_, Error>(client)
        };
        Ok(Self {
            device,
            spiffe_id: peer.id.to_string(),
            enrolled,
            verifier: PolicyVerifier::new(keys),
            enroll: client(enroll)?,
            policy: client(policy)?,
            report: client(report)?,
        })
    }
}

fn authorities_of(config: &Config) -> Result<Vec<rustls_pki_types::CertificateDer<'static>>, Error> {
    let invalid = |message: String| Error::new(ErrorCode::ConfigInvalid, message);
    let path = config.ca.as_ref().ok_or_else(|| {
        invalid("onboarding needs the authority's certificate: name its PEM file with --ca".to_owned())
    })?;
    let pem = std::fs::read_to_string(path)
        .map_err(|error| invalid(format!("{} cannot be read: {error}", path.display())).because(error))?;
    identity::certs_from_pem(&pem).map_err(|error| invalid(format!("{}: {error}", path.display())))
}

/// Surveys the machine, off the event loop.
pub(crate) async fn survey(root: PathBuf) -> Result<enroll::DeviceFacts, Fault> {
    let surveyed = tokio::task::spawn_blocking(move || facts::survey(&root)).await;
    let facts::Survey { facts, gaps } =
        surveyed.map_err(|_| Fault::new(ErrorCode::Internal, "the survey of this machine broke off"))?;
    for gap in gaps {
        tracing::debug!(gap, "the survey missed something");
    }
    Ok(facts)
}

/// Onboards; keeps the answer before it counts.
pub(crate) async fn onboard(
    config: Config,
    state: Arc<StateDir>,
) -> Result<(Enrollment, enroll::DeviceFacts), Error> {
    let missing = |what: &str| Error::new(ErrorCode::ConfigInvalid, format!("onboarding needs {what}"));
    let server = config.server.clone().ok_or_else(|| missing("the server's URL: name it with --server"))?;
    let token = config.token.clone().ok_or_else(|| missing("a token: give it with --token"))?;
    let facts = survey(config.facts_root.clone()).await?;
    let csr_der = state.certificate_request()?;
    let client = Client::connect(ConnectOptions::new(server, authorities_of(&config)?))?;
    let request = enroll::OnboardRequest {
        token,
        csr_der,
        facts: Some(facts.clone()),
        proof: None,
        troubles: Vec::new(),
    };
    let response = client.device_enrollment().onboard(request).await;
    let response = response.map_err(|status| Fault::from_status(&status))?.into_inner();
    let enrollment = Enrollment::read(response.clone(), &config, &state.key()?)?;
    state.keep_enrollment(&response)?;
    Ok((enrollment, facts))
}

/// What a check-in says besides what the core knows.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: [u8; 16],
    pub(crate) facts_root: PathBuf,
    pub(crate) facts_digest: Vec<u8>,
    pub(crate) facts_sent: Vec<u8>,
    pub(crate) report_digest: Vec<u8>,
}

/// Checks in.
pub(crate) async fn check_in(
    enrollment: Enrollment,
    check_in: CheckIn,
    session: Session,
) -> Result<Reply, Fault> {
    let CheckIn { sequence, applied, received, apply_state, traceparent: _ } = check_in;
    let Session { id, facts_root, facts_digest, facts_sent, report_digest } = session;
    let facts_changed = survey(facts_root).await?.encode_to_vec() != facts_sent;
    let bytes = |digest: Option<Digest>| digest.map(|digest| digest.to_vec()).unwrap_or_default();
    let request = policy::CheckInRequest {
        sequence,
        session_id: id.to_vec(),
        applied_etag: bytes(applied.map(|(etag, _)| etag)),
        received_etag: bytes(received),
        facts_digest,
        report_digest,
        apply_state: wire::apply_state(apply_state).into(),
        applied_version: applied.map(|(_, version)| version).unwrap_or_default(),
        boot_id: Vec::new(),
    };
    let response = enrollment.policy.device_policy().check_in(request).await;
    let response = response.map_err(|status| Fault::from_status(&status))?.into_inner();
    let policy::CheckInResponse {
        outcome,
        next_check_in,
        needs,
        directive,
        directive_code: _,
        offboarding_order: _,
    } = response;
    if directive != i32::from(policy::Directive::Unspecified) {
        tracing::warn!(directive, "the server gave a directive that this agent does not know");
    }
    let wants = |need: policy::Need| needs.contains(&need.into());
    Ok(Reply {
        policy: match outcome {
            Some(policy::check_in_response::Outcome::Policy(signed)) => {
                Some(wire::document(&signed, &enrollment.verifier))
            }
            Some(policy::check_in_response::Outcome::NotModified(policy::NotModified {})) | None => None,
        },
        next_check_in: next_check_in.map(convert::span).unwrap_or_default(),
        wants_facts: wants(policy::Need::FullFacts),
        wants_report: wants(policy::Need::FullReport),
        facts_changed,
    })
}

/// Reports the facts; gives the digest the service made of them, and the facts as sent.
pub(crate) async fn report_facts(enrollment: Enrollment, root: PathBuf) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let facts = survey(root).await?;
    let sent = facts.encode_to_vec();
    let request = enroll::ReportFactsRequest { facts: Some(facts), troubles: Vec::new() };
    let response = enrollment.enroll.device_enrollment().report_facts(request).await;
    let response = response.map_err(|status| Fault::from_status(&status))?.into_inner();
    Ok((response.facts_digest.to_vec(), sent))
}

/// Reports the status; gives the digest the service made of it.
pub(crate) async fn report_status(
    enrollment: Enrollment,
    status: report::DeviceStatus,
) -> Result<Vec<u8>, Fault> {
    let request = report::ReportStatusRequest { status: Some(status) };
    let response = enrollment.report.device_reports().report_status(request).await;
    let response = response.map_err(|status| Fault::from_status(&status))?.into_inner();
    Ok(response.report_digest.to_vec())
}

/// The moment a policy came into force, as it is kept.
pub(crate) fn kept(applied: Option<(Digest, u64, Timestamp)>) -> Option<(Vec<u8>, u64, Timestamp)> {
    applied.map(|(etag, version, at)| (etag.to_vec(), version, at))
}
