//! TLS settings: 1.3 only, HTTP/2 only, our authority only, sessions resumed by ticket.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

use crate::Identity;

/// Sessions a client keeps to resume.
pub const CLIENT_SESSIONS_MAX: usize = 64;

/// Tickets a server sends on each connection: a client comes back with one of them.
const TICKETS_PER_CONNECTION: usize = 1;

/// Keys or certificates that TLS does not take.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    /// rustls refused them.
    #[error("TLS does not take the keys or certificates")]
    Refused(#[from] rustls::Error),
    /// No certificate of an authority to believe.
    #[error("the certificates of the authority cannot be used to verify clients")]
    Authority(#[from] rustls::client::VerifierBuilderError),
}

/// The one crypto provider. The suite that TLS 1.3 demands of everybody goes first: processors have instructions for
/// SHA-256 and not for SHA-384, which alone is a tenth of what a resumed handshake costs.
fn provider() -> Arc<CryptoProvider> {
    let cipher_suites =
        vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() })
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities {
        roots.add(certificate.clone())?;
    }
    Ok(Arc::new(roots))
}

/// Settings of a server: shows `identity`, asks clients for a certificate and verifies one that is shown, but lets
/// clients in without (onboarding and administration need none).
///
/// Sessions are resumed by stateless tickets whose keys rotate, so that any number of devices can come back.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(
    authorities: &[CertificateDer<'static>],
    identity: &Identity,
) -> Result<Arc<ServerConfig>, TlsError> {
    let clients = WebPkiClientVerifier::builder_with_provider(roots(authorities)?, provider())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain().to_vec(), identity.key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS_PER_CONNECTION;
    Ok(Arc::new(config))
}

/// Settings of a client: believes servers of these authorities only, and shows `identity` if there is one.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(
    authorities: &[CertificateDer<'static>],
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(authorities)?);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain().to_vec(), identity.key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS_MAX);
    Ok(Arc::new(config))
}
