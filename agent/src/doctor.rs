//! Why this device cannot get through, or is not managed: each way to fail looked at by itself, with what to do.
//!
//! Nothing is changed, neither here nor on the server, and no secret is sent: the certificate of what answers is looked at
//! before anything is said to it.

mod clock;
mod device;
mod proxy;
mod reach;
mod tls;

use std::net::IpAddr;

use muster_proto::enroll::v1 as enroll;
use muster_types::{Clock, EnrollmentCode};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::config::Config;
use crate::state::StateDir;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Something must be mended.
    Failed,
    /// It could not be checked.
    Skipped,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub check: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// Enrollment code of the cause, where it failed and has one.
    pub code: Option<EnrollmentCode>,
    /// What was seen, for people.
    pub seen: String,
    /// What to do; empty when there is nothing to do.
    pub action: String,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, code: None, seen: seen.into(), action: String::new() }
    }

    pub(crate) fn skipped(check: &'static str, seen: impl Into<String>, action: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, code: None, seen: seen.into(), action: action.into() }
    }

    pub(crate) fn failed(
        check: &'static str,
        code: impl Into<Option<EnrollmentCode>>,
        seen: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        let (code, seen, action) = (code.into(), seen.into(), action.into());
        Self { check, verdict: Verdict::Failed, code, seen, action }
    }

    /// The same, with what could be done.
    pub(crate) fn advising(mut self, action: impl Into<String>) -> Self {
        self.action = action.into();
        self
    }

    /// The cause that keeps the device from getting through, if that is what was found.
    #[must_use]
    pub fn trouble(&self) -> Option<EnrollmentCode> {
        self.code.filter(|_| self.verdict == Verdict::Failed)
    }

    /// The finding as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { check, verdict, code, seen, action } = self;
        json!({
            "check": check,
            "verdict": match verdict {
                Verdict::Ok => "ok",
                Verdict::Failed => "failed",
                Verdict::Skipped => "skipped",
            },
            "code": code.map(EnrollmentCode::as_str),
            "seen": seen,
            "action": action,
        })
    }
}

/// The server that is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    fn parse(url: &str) -> Option<Self> {
        let uri: tonic::transport::Uri = url.parse().ok()?;
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let https = uri.scheme_str() == Some("https") && uri.path() == "/";
        https.then(|| Self { url: url.to_owned(), host, port: uri.port_u16().unwrap_or(443) })
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Host and port as a proxy wants them.
    pub(crate) fn authority(&self) -> String {
        match self.address() {
            Some(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Checks everything: the way to the server, this device's certificate and enrollment, and its engines.
pub async fn examine(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let state = StateDir::peek(&config.state_dir);
    let kept = state.identity();
    let response = kept.as_ref().ok().and_then(|kept| kept.as_ref()).map(|kept| &kept.response);
    let mut findings = network(config, response, clock).await;
    if let Some(at) =
        findings.iter().position(|found| (found.check, found.verdict) == ("clock", Verdict::Skipped))
    {
        findings[at] = clock::by_check_in(state.progress().unwrap_or_default().skew, &findings[at]);
    }
    findings.push(device::certificate(config, &kept, clock).await);
    findings.push(device::enrollment(&state));
    findings.push(device::authority(&state));
    findings.extend(device::engines(config, &state));
    findings
}

/// Checks the way to the server.
pub(crate) async fn network(
    config: &Config,
    response: Option<&enroll::OnboardResponse>,
    clock: &dyn Clock,
) -> Vec<Finding> {
    let told = response.and_then(|response| response.endpoints.as_ref()).map(|endpoints| &endpoints.enroll);
    let Some(url) = config.server.as_ref().or(told) else {
        let action = "Name the server with --server.";
        return vec![Finding::failed("server", None, "no server is known", action)];
    };
    let Some(target) = Target::parse(url) else {
        let seen = format!("{url:?} is not an address such as https://muster.example.net:7443");
        return vec![Finding::failed("server", None, seen, "Correct the address given with --server.")];
    };
    let (dns, addresses) = reach::resolve(&target).await;
    let (connectivity, stream) = reach::connect(&target, &addresses).await;
    let direct = stream.is_some();
    let proxy = proxy::look(config, &target, direct).await;
    let authorities = authorities(config, response);
    let (tls, clock) = match stream {
        Some(stream) => {
            let seen = tls::look(&target, stream, &authorities, clock.now()).await;
            let by_date = if seen.is_trusted() {
                clock::by_date(&target, &authorities, clock).await
            } else {
                clock::by_certificate(&seen, clock.now())
            };
            (seen.finding(clock.now()), by_date)
        }
        None => (
            Finding::skipped("tls", "there is no connection", ""),
            Finding::skipped("clock", "there is no connection to compare with", ""),
        ),
    };
    vec![dns, connectivity, proxy, tls, clock]
}

/// The authorities whose servers are believed, as far as they are known.
fn authorities(config: &Config, response: Option<&enroll::OnboardResponse>) -> Vec<CertificateDer<'static>> {
    let told = response.map(|response| &response.trust_bundle_der[..]).unwrap_or_default();
    let mut authorities: Vec<_> = told.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let file = config.ca.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    authorities
        .extend(file.and_then(|pem| muster_pki::identity::certs_from_pem(&pem).ok()).unwrap_or_default());
    authorities
}

/// What an admin can do about a code.
pub(crate) fn remedy(code: EnrollmentCode) -> String {
    code.action().to_owned()
}
