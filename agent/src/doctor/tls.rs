//! Who it is that answers: its certificate, looked at before it is believed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use muster_types::{EnrollmentCode, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;

use super::{Finding, Target, remedy};
use crate::certificate::{self, Certificate};

/// How long a handshake may take.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(5);

/// What answers, and whether it is believed.
pub(super) struct Seen {
    verdict: Believed,
    certificate: Option<Certificate>,
}

/// Whether what answers is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Believed {
    /// It is of the authority, for this name, and in its time.
    Yes,
    /// It does not speak TLS, or broke off.
    NoTls(String),
    /// No authority is known to hold it against.
    Unknown,
    /// It is of another authority.
    OtherAuthority,
    /// It is of the authority, and not in its time.
    OutOfTime,
    /// It is of the authority, and for other names.
    OtherName,
}

impl Seen {
    pub(super) fn is_trusted(&self) -> bool {
        self.verdict == Believed::Yes
    }

    /// The certificate's time, if that is what is wrong with it.
    pub(super) fn out_of_time(&self) -> Option<(Timestamp, Timestamp)> {
        let certificate = self.certificate.as_ref().filter(|_| self.verdict == Believed::OutOfTime)?;
        Some((certificate.begins_at, certificate.expires_at))
    }

    pub(super) fn finding(&self, now: Timestamp) -> Finding {
        let issuer = self.certificate.as_ref().map_or("nobody", |certificate| certificate.issuer.as_str());
        match &self.verdict {
            Believed::Yes => {
                Finding::ok("tls", format!("its certificate is of the known authority ({issuer})"))
            }
            Believed::NoTls(problem) => Finding::failed(
                "tls",
                EnrollmentCode::Connectivity,
                format!("what answers does not speak TLS as it should: {problem}"),
                "See that the address is that of the server, and that nothing between takes the connection apart.",
            ),
            Believed::Unknown => Finding::skipped(
                "tls",
                format!("its certificate was issued by {issuer}; no authority is known to hold it against"),
                "Name the authority's certificate with --ca.",
            ),
            Believed::OtherAuthority => Finding::failed(
                "tls",
                EnrollmentCode::TlsInspection,
                format!("what answers shows a certificate issued by {issuer}, not by the known authority"),
                remedy(EnrollmentCode::TlsInspection),
            ),
            Believed::OutOfTime => Finding::failed(
                "tls",
                EnrollmentCode::Clock,
                format!("the server's certificate is not good at {now}, which this device's clock shows"),
                remedy(EnrollmentCode::Clock),
            ),
            Believed::OtherName => {
                let names = self.certificate.as_ref().map(|c| c.names.join(", ")).unwrap_or_default();
                Finding::failed(
                    "tls",
                    EnrollmentCode::Certificate,
                    format!(
                        "the server's certificate is of the known authority, and for other names: {names}"
                    ),
                    "Call the server by one of these names, or have its certificate issued for this one too.",
                )
            }
        }
    }
}

/// Shakes hands with what answers, and says who it is. Nothing else is sent.
pub(super) async fn look(
    target: &Target,
    stream: TcpStream,
    authorities: &[CertificateDer<'static>],
    now: Timestamp,
) -> Seen {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |problem: String| Seen { verdict: Believed::NoTls(problem), certificate: None };
    let Ok(name) = ServerName::try_from(target.host.clone()) else {
        return unusable(format!("{} is no name of a server", target.host));
    };
    let observer = Arc::new(Observer { provider: Arc::clone(&provider), chain: Mutex::default() });
    let config =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let mut config = match config {
        Ok(config) => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&observer) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth(),
        Err(error) => return unusable(error.to_string()),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let handshake = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name.clone(), stream);
    let problem = match tokio::time::timeout(HANDSHAKE_WAIT_MAX, handshake).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no handshake within {} s", HANDSHAKE_WAIT_MAX.as_secs())),
    };
    let chain = std::mem::take(&mut *observer.chain.lock().unwrap_or_else(PoisonError::into_inner));
    let Some((own, intermediates)) = chain.split_first() else {
        return unusable(problem.unwrap_or_else(|| "it shows no certificate".to_owned()));
    };
    let certificate = certificate::read(own);
    let verdict = match verifier(authorities, &provider) {
        None => Believed::Unknown,
        Some(verifier) => {
            let at = |moment| verify(&verifier, own, intermediates, &name, moment);
            // Of the authority or not: that is asked for a moment at which it is good.
            let middle = certificate.as_ref().map_or(now, |certificate| {
                let life = certificate.expires_at.since(certificate.begins_at);
                certificate.begins_at.plus(life / 2)
            });
            let verdict = at(now);
            let other = verdict == Believed::OutOfTime && at(middle) == Believed::OtherAuthority;
            if other { Believed::OtherAuthority } else { verdict }
        }
    };
    Seen { verdict, certificate }
}

fn verifier(
    authorities: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).ok()?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok()
}

fn verify(
    verifier: &WebPkiServerVerifier,
    own: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    at: Timestamp,
) -> Believed {
    let at = UnixTime::since_unix_epoch(at.since(Timestamp::from_micros(0)));
    match verifier.verify_server_cert(own, intermediates, name, &[], at) {
        Ok(_) => Believed::Yes,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Believed::OutOfTime,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Believed::OtherName,
        Err(_) => Believed::OtherAuthority,
    }
}

/// Believes everybody, and keeps what they show.
#[derive(Debug)]
struct Observer {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
