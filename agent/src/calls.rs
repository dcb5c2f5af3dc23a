//! What the agent says to the services, and what it makes of the answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_client::{Client, ConnectOptions};
use muster_envelope::Trust;
use muster_errors::{ErrorCode, Fault};
use muster_pki::{Identity, SpiffeId, identity, peer};
use muster_proto::convert;
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as trust;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_types::{Digest, Timestamp};

use crate::certificate;
use crate::config::Config;
use crate::core::message::{
    Authority, CheckIn, Directive, Document, Enrolled, ManagedBy, Offboarding, Reply,
};
use crate::error::Error;
use crate::facts;
use crate::state::StateDir;
use crate::troubles::{Trouble, messages};
use crate::wire;

/// Most clients that are kept: one for each service.
const CLIENTS_MAX: usize = 4;

/// Who the device is, and how it reaches the services.
#[derive(Debug, Clone)]
pub(crate) struct Enrollment {
    pub(crate) device: String,
    pub(crate) spiffe_id: String,
    pub(crate) enrolled: Enrolled,
    /// The keys whose signatures are believed.
    pub(crate) trust: Trust,
    /// What the services answered to it, with the present certificate.
    pub(crate) response: enroll::OnboardResponse,
    pub(crate) enroll: Client,
    pub(crate) identity: Client,
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
        let kept = response.clone();
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
            certificate_begins_at: certificate::read(own).map_or(peer.not_after, |own| own.begins_at),
            certificate_expires_at: peer.not_after,
            first_check_in_at: first_check_in_time.map(convert::moment),
        };
        let mut authorities: Vec<_> = trust_bundle_der.into_iter().map(|der| der.to_vec().into()).collect();
        if authorities.is_empty() {
            authorities = authorities_of(config)?;
        }
        let chain = certificate_chain_der.into_iter().map(|der| der.to_vec()).collect();
        let identity = Identity::from_der(chain, key.to_vec());
        let mut clients: BTreeMap<String, Client> = BTreeMap::new();
        let enroll::Endpoints { enroll, identity: trust, policy, report } = endpoints.unwrap_or_default();
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
            debug_assert!(clients.len() < CLIENTS_MAX, "four services are called");
            clients.insert(url, client.clone());
            Ok::<_, Error>(client)
        };
        Ok(Self {
            device,
            spiffe_id: peer.id.to_string(),
            enrolled,
            trust: wire::trust(&policy_keys),
            response: kept,
            enroll: client(enroll)?,
            identity: client(trust)?,
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

/// What came of asking to be let in.
#[derive(Debug)]
pub(crate) enum Admission {
    /// The device is onboarded.
    Granted(Box<Enrollment>),
    /// It may not be enrolled for now.
    Refused {
        /// Who manages it, and the enrollment code.
        authority: Authority,
        /// The same for people.
        message: String,
        /// When to ask again, from now.
        retry_after: Option<Duration>,
    },
}

/// What came of onboarding, and what was said in it.
#[derive(Debug)]
pub(crate) struct Onboarding {
    pub(crate) admission: Admission,
    pub(crate) facts: enroll::DeviceFacts,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) proof_digest: Option<Digest>,
}

/// Onboards; keeps the answer before it counts.
pub(crate) async fn onboard(
    config: Config,
    state: Arc<StateDir>,
    troubles: Vec<Trouble>,
) -> Result<Onboarding, Error> {
    let missing = |what: &str| Error::new(ErrorCode::ConfigInvalid, format!("onboarding needs {what}"));
    let server = config.server.clone().ok_or_else(|| missing("the server's URL: name it with --server"))?;
    let token = config.token.clone().ok_or_else(|| missing("a token: give it with --token"))?;
    let facts = survey(config.facts_root.clone()).await?;
    let csr_der = state.certificate_request()?;
    let (proof, proof_digest) = match config.proof_files() {
        Some(files) if files.digest().is_some() => {
            let digest = files.digest();
            (Some(files.prove(config.tenant, &csr_der)?), digest)
        }
        _ => (None, None),
    };
    let client = Client::connect(ConnectOptions::new(server, authorities_of(&config)?))?;
    let request = enroll::OnboardRequest {
        token,
        csr_der,
        facts: Some(facts.clone()),
        proof,
        troubles: messages(&troubles),
    };
    let admission = match client.device_enrollment().onboard(request).await {
        Ok(response) => {
            let response = response.into_inner();
            let enrollment = Enrollment::read(response.clone(), &config, &state.key()?)?;
            state.keep_enrollment(&response)?;
            Admission::Granted(Box::new(enrollment))
        }
        Err(status) => refused(Fault::from_status(&status))?,
    };
    Ok(Onboarding { admission, facts, troubles, proof_digest })
}

/// A refusal for now, told from a failure.
fn refused(fault: Fault) -> Result<Admission, Fault> {
    if fault.code != ErrorCode::EnrollmentRefused {
        return Err(fault);
    }
    let code = fault.metadata.get("enrollment_code").cloned().unwrap_or_default();
    let seconds = fault.metadata.get("retry_after_seconds").and_then(|text| text.parse().ok());
    Ok(Admission::Refused {
        authority: Authority { managed_by: manager_by(&code), code },
        message: fault.message,
        retry_after: seconds.map(Duration::from_secs),
    })
}

/// Who manages a device that this channel does not, by the enrollment code.
pub(crate) fn manager_by(code: &str) -> ManagedBy {
    match code {
        "MANAGED_BY_MDM" => ManagedBy::Mdm,
        "MANAGED_BY_CONFIG_MGR" => ManagedBy::ConfigMgr,
        _ => ManagedBy::Nobody,
    }
}

/// What a check-in says besides what the core knows.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: [u8; 16],
    pub(crate) boot_id: Option<[u8; 16]>,
    pub(crate) facts_digest: Vec<u8>,
    pub(crate) report_digest: Vec<u8>,
}

/// What came of a check-in.
#[derive(Debug)]
pub(crate) struct CheckedIn {
    pub(crate) reply: Reply,
    /// Keys that sign policies from now on; empty when they are those that are believed already.
    pub(crate) policy_keys: Vec<enroll::PolicyVerificationKey>,
}

/// Checks in.
pub(crate) async fn check_in(
    enrollment: Enrollment,
    check_in: CheckIn,
    session: Session,
) -> Result<CheckedIn, Fault> {
    let CheckIn { sequence, applied, received, apply_state, traceparent: _ } = check_in;
    let Session { id, boot_id, facts_digest, report_digest } = session;
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
        boot_id: boot_id.map(|id| id.to_vec()).unwrap_or_default(),
        policy_keys_digest: enrollment.trust.digest().to_vec(),
    };
    let response = enrollment.policy.device_policy().check_in(request).await;
    let response = response.map_err(|status| Fault::from_status(&status))?.into_inner();
    let policy::CheckInResponse {
        outcome,
        next_check_in,
        needs,
        directive,
        directive_code,
        offboarding_order,
        server_time,
        mut policy_keys,
    } = response;
    let mut trust = enrollment.trust;
    let told = wire::trust(&policy_keys);
    if told.is_empty() {
        policy_keys.clear();
    } else {
        trust = told;
    }
    let known = wire::directive(directive, directive_code, offboarding_order.as_ref(), &trust);
    if known.is_none() {
        tracing::warn!(directive, "the server gave a directive that this agent does not know");
    }
    let wants = |need: policy::Need| needs.contains(&need.into());
    let reply = Reply {
        policy: match outcome {
            Some(policy::check_in_response::Outcome::Policy(signed)) => Some(Document::open(&signed, &trust)),
            Some(policy::check_in_response::Outcome::NotModified(policy::NotModified {})) | None => None,
        },
        next_check_in: next_check_in.map(convert::span).unwrap_or_default(),
        wants_facts: wants(policy::Need::FullFacts),
        wants_report: wants(policy::Need::FullReport),
        wants_renewal: wants(policy::Need::Renewal),
        directive: known.unwrap_or(Directive::None),
        server_time: server_time.map(convert::moment),
    };
    Ok(CheckedIn { reply, policy_keys })
}

/// What came of reporting the facts, and what was said in it.
#[derive(Debug)]
pub(crate) struct FactsReport {
    pub(crate) digest: Vec<u8>,
    pub(crate) authority: Option<Authority>,
    pub(crate) facts: enroll::DeviceFacts,
    pub(crate) troubles: Vec<Trouble>,
}

/// Reports the facts, and what kept the device from getting through before.
pub(crate) async fn report_facts(
    enrollment: Enrollment,
    root: PathBuf,
    troubles: Vec<Trouble>,
) -> Result<FactsReport, Fault> {
    let facts = survey(root).await?;
    let request = enroll::ReportFactsRequest { facts: Some(facts.clone()), troubles: messages(&troubles) };
    let response = enrollment.enroll.device_enrollment().report_facts(request).await;
    let response = response.map_err(|status| Fault::from_status(&status))?.into_inner();
    let enroll::ReportFactsResponse { facts_digest, managed_by, enrollment_code } = response;
    let authority = wire::authority(managed_by, enrollment_code);
    Ok(FactsReport { digest: facts_digest.to_vec(), authority, facts, troubles })
}

/// Gets a certificate for the next key and keeps it beside the present one. Gives its end, and the digest of the proof
/// that was shown.
pub(crate) async fn renew(
    enrollment: Enrollment,
    config: Config,
    state: Arc<StateDir>,
    with_proof: bool,
) -> Result<(Timestamp, Option<Digest>), Error> {
    let csr_der = state.next_certificate_request()?;
    let files = config.proof_files().filter(|_| with_proof);
    let shown = files.as_ref().and_then(|files| files.digest());
    let proof = match files.filter(|_| shown.is_some()) {
        Some(files) => Some(files.prove(enrollment.enrolled.tenant, &csr_der)?),
        None => None,
    };
    let request = trust::RenewCertificateRequest { csr_der, proof };
    let response = enrollment.identity.device_trust().renew_certificate(request).await;
    let response = response.map_err(|status| Fault::from_status(&status))?.into_inner();
    let own = response.certificate_chain_der.first();
    let usable = own.is_some_and(|own| certificate::belongs(own, &state.next_key().unwrap_or_default()));
    let Some(own) = own.and_then(|own| certificate::read(own)).filter(|_| usable) else {
        let message = "the server's answer to the renewal has no certificate for the key asked for";
        return Err(Error::new(ErrorCode::Internal, message));
    };
    state.keep_next(&response)?;
    Ok((own.expires_at, shown))
}

/// Uses the new certificate for the first time, and puts it in the place of the present one. Whoever it names is who
/// this device is from now on.
pub(crate) async fn activate(
    enrollment: Enrollment,
    config: Config,
    state: Arc<StateDir>,
) -> Result<Enrollment, Error> {
    let next = state.identity()?.and_then(|kept| kept.next);
    // As good as ended: another one is got.
    let gone = || {
        Error::new(ErrorCode::CertificateRevoked, "the new certificate is not in the state folder any more")
    };
    let next = next.ok_or_else(gone)?;
    let trust::RenewCertificateResponse {
        device,
        certificate_chain_der,
        trust_bundle_der,
        kind,
        not_after: _,
    } = next.response;
    let mut response = enrollment.response;
    if !device.is_empty() {
        response.device = device;
    }
    response.certificate_chain_der = certificate_chain_der;
    if !trust_bundle_der.is_empty() {
        response.trust_bundle_der = trust_bundle_der;
    }
    response.registration_kind = kind;
    response.first_check_in_time = None;
    let new = Enrollment::read(response, &config, &next.key)?;
    let mut client = new.identity.device_trust();
    let activated = client.activate_certificate(trust::ActivateCertificateRequest {}).await;
    activated.map_err(|status| Fault::from_status(&status))?;
    state.switch(&new.response)?;
    Ok(new)
}

/// Confirms that an offboarding order was carried out.
pub(crate) async fn confirm(enrollment: Enrollment, offboarding: Offboarding) -> Result<(), Fault> {
    let request = wire::confirmation(&offboarding);
    let confirmed = enrollment.enroll.device_enrollment().confirm_offboarding(request).await;
    confirmed.map(drop).map_err(|status| Fault::from_status(&status))
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
