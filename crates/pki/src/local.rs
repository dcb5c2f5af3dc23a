//! The folder that holds an installation's trust: its authority, the services' certificates, the admin token and the
//! key that signs policies.
//!
//! | file | holds | needed by |
//! |---|---|---|
//! | `ca.pem` | the authorities' certificates to believe: one, or two while they rotate | everyone |
//! | `ca.key` | the issuing authority's key | identity |
//! | `ca-next.key`, `ca.rotation` | while authorities rotate: the next one's key, and since when servers run with it | identity |
//! | `<service>.pem`, `<service>.key` | a service's certificate and key | that service |
//! | `admin.token` | the admin token | services with an admin API, the CLI |
//! | `policy-signing.key` | the key that signs policies | policy |
//! | `policy-signing-next.key`, `policy-signing-old.key` | while that key rotates: the one that signs beside it | policy |
//! | `policy-signing.rotation` | and since when servers run with it | – |
//! | `policy-signing.pub` | their public halves: one, or two while they rotate | enroll and policy, which hand them to devices |
//!
//! Keys and the token have mode 0600 and the folder 0700; a key that others may read is refused.

mod authority;
mod policy_key;
mod rotation;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_envelope::Trust;
use muster_types::{Service, Timestamp};
use rcgen::{KeyPair, PublicKeyData as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls_pki_types::CertificateDer;
use subtle::ConstantTimeEq as _;

pub use self::authority::AuthorityFiles;
pub use self::policy_key::{PolicyKeyRole, PolicyKeyRotation, PolicyKeyStatus};
pub use self::rotation::{
    AuthorityRole, AuthorityStatus, OVERLAP, RotationError, RotationStage, RotationStatus, RotationStep,
    ServiceStatus,
};
use crate::authority::{AuthorityError, Names};
use crate::bundle::pem_of;
use crate::certificate::{belongs, is_issued_for};
use crate::files::{self, Readers};
use crate::identity::certs_from_pem;
use crate::{Authority, BundleError, Identity, IssueError, PolicySigner, TrustBundle, TrustDomain};

/// How long a service's certificate lasts.
const SERVICE_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);
/// A service's certificate that lasts less than this is renewed at start.
const SERVICE_RENEWAL: Duration = Duration::from_secs(120 * 24 * 3600);
/// Random bytes of the admin token.
const TOKEN_BYTES: usize = 32;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read a key.
    #[error("{path} may be read by others (mode {mode:o}); make it private with chmod 600", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file that is needed is not there.
    #[error("{path} is missing", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file holds something else.
    #[error("{path} is not a {expected}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The folder belongs to another trust domain.
    #[error("the authority is of trust domain {found}, not {wanted}")]
    OtherDomain {
        /// Of the folder.
        found: TrustDomain,
        /// Asked for.
        wanted: TrustDomain,
    },
    /// The key in one file does not belong to the certificate in the other.
    #[error("{path} does not belong to the key beside it", path = path.display())]
    Mismatch {
        /// The certificate.
        path: PathBuf,
    },
    /// The authorities to believe cannot be used.
    #[error("{path} cannot be used", path = path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BundleError,
    },
    /// The authority given by files of its own cannot be used.
    #[error("{path} and its key are no authority: {source}", path = path.display())]
    Authority {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: AuthorityError,
    },
    /// The authority's certificate is over.
    #[error("the authority's certificate in {path} ended at {not_after}", path = path.display())]
    Ended {
        /// The certificate.
        path: PathBuf,
        /// When.
        not_after: Timestamp,
    },
    /// The authority that would issue is none of those to believe.
    #[error("the authority in {path} is not among those in ca.pem", path = path.display())]
    NotBelieved {
        /// The certificate.
        path: PathBuf,
    },
    /// A certificate could not be issued.
    #[error("cannot issue a certificate")]
    Issue(#[from] IssueError),
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
}

/// What a new folder is made for.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// DNS names the servers are reached by, besides `localhost`.
    pub dns_names: Vec<String>,
    /// Addresses the servers are reached by, besides the loopback ones.
    pub ips: Vec<IpAddr>,
    /// Where the authority's certificate and key are, if not in the folder.
    pub authority: Option<AuthorityFiles>,
    /// The moment now.
    pub now: Timestamp,
}

impl InitOptions {
    /// For `muster.local` and this machine only.
    #[must_use]
    pub fn local(now: Timestamp) -> Self {
        Self {
            trust_domain: TrustDomain::local(),
            dns_names: Vec::new(),
            ips: Vec::new(),
            authority: None,
            now,
        }
    }

    fn names(&self) -> Names {
        let mut dns = vec!["localhost".to_owned()];
        let mut ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        dns.extend(self.dns_names.iter().cloned());
        // A certificate names machines; "every address of this one" is none.
        ips.extend(self.ips.iter().filter(|ip| !ip.is_unspecified()));
        dns.sort();
        dns.dedup();
        ips.sort();
        ips.dedup();
        Names { dns, ips }
    }
}

/// The secret that opens the admin API of an installation without an identity provider.
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

impl AdminToken {
    /// A token read from somewhere else.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The token, to be sent.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token, in time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

#[derive(Debug)]
struct Folder {
    dir: PathBuf,
    given: Option<AuthorityFiles>,
    bundle: TrustBundle,
    authority: Option<Arc<Authority>>,
    signer: Option<Arc<PolicySigner>>,
    policy_trust: Trust,
    token: Option<AdminToken>,
}

/// An open folder of trust. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalTrust(Arc<Folder>);

impl LocalTrust {
    /// Makes what is missing in the folder, renews service certificates that end soon or lack a name, and opens it.
    ///
    /// # Errors
    /// [`TrustError`]; what was there is left as it was.
    pub fn init(dir: &Path, options: &InitOptions) -> Result<Self, TrustError> {
        files::create_dir(dir)?;
        let _lock = files::lock(dir)?;
        let authority = authority::init(dir, options)?;
        for service in Service::ALL {
            init_service(dir, &authority, service, options)?;
        }
        init_token(&dir.join("admin.token"))?;
        policy_key::init(dir)?;
        Self::open_with(dir, options.authority.as_ref())
    }

    /// Opens the folder with whatever part of it is there: at least `ca.pem`.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn open(dir: &Path) -> Result<Self, TrustError> {
        Self::open_with(dir, None)
    }

    /// Opens the folder with an authority whose certificate and key are elsewhere.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn open_with(dir: &Path, given: Option<&AuthorityFiles>) -> Result<Self, TrustError> {
        let bundle =
            authority::read_bundle(dir)?.ok_or_else(|| TrustError::Missing { path: dir.join("ca.pem") })?;
        let authority = match given {
            Some(files) => Some(authority::believed(files, &bundle)?),
            None => authority::load(dir, &bundle)?,
        };
        let (signer, policy_trust) = policy_key::load(dir)?;
        let token = files::read(&dir.join("admin.token"), Readers::Owner)?;
        let token = token.map(|text| AdminToken::new(text.trim()));
        Ok(Self(Arc::new(Folder {
            dir: dir.to_owned(),
            given: given.cloned(),
            bundle,
            authority: authority.map(Arc::new),
            signer: signer.map(Arc::new),
            policy_trust,
            token,
        })))
    }

    /// Opens the folder again, to see what has changed in it.
    ///
    /// # Errors
    /// [`TrustError`]; what is open stays as it is.
    pub fn reload(&self) -> Result<Self, TrustError> {
        Self::open_with(&self.0.dir, self.0.given.as_ref())
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.0.bundle.domain()
    }

    /// The authorities to believe, newest first.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        &self.0.bundle
    }

    /// The certificates to believe, in DER.
    #[must_use]
    pub fn ca_certs(&self) -> &[CertificateDer<'static>] {
        self.0.bundle.certificates()
    }

    /// A service's certificate and key.
    ///
    /// # Errors
    /// [`TrustError`] when they are not there, or not to be used.
    pub fn service_identity(&self, service: Service) -> Result<Identity, TrustError> {
        let (cert_path, key_path) = service_paths(&self.0.dir, service);
        let cert = files::read(&cert_path, Readers::All)?
            .ok_or_else(|| TrustError::Missing { path: cert_path.clone() })?;
        let key = files::read(&key_path, Readers::Owner)?
            .ok_or_else(|| TrustError::Missing { path: key_path.clone() })?;
        Identity::from_pem(&cert, &key)
            .map_err(|refused| TrustError::Malformed { path: cert_path, expected: refused.expected })
    }

    /// The authority that issues; only where its key is.
    #[must_use]
    pub fn authority(&self) -> Option<&Arc<Authority>> {
        self.0.authority.as_ref()
    }

    /// What signs policies; only where `policy-signing.key` is.
    #[must_use]
    pub fn policy_signer(&self) -> Option<&Arc<PolicySigner>> {
        self.0.signer.as_ref()
    }

    /// The keys that devices check policies with; none where `policy-signing.pub` is missing, and the keys too.
    #[must_use]
    pub fn policy_trust(&self) -> &Trust {
        &self.0.policy_trust
    }

    /// The admin token; only where `admin.token` is.
    #[must_use]
    pub fn admin_token(&self) -> Option<&AdminToken> {
        self.0.token.as_ref()
    }
}

fn service_paths(dir: &Path, service: Service) -> (PathBuf, PathBuf) {
    (dir.join(format!("{service}.pem")), dir.join(format!("{service}.key")))
}

fn read_certs(path: &Path) -> Result<Option<Vec<CertificateDer<'static>>>, TrustError> {
    let Some(pem) = files::read(path, Readers::All)? else { return Ok(None) };
    let certs = certs_from_pem(&pem)
        .map_err(|refused| TrustError::Malformed { path: path.to_owned(), expected: refused.expected })?;
    Ok(Some(certs))
}

fn read_key(path: &Path) -> Result<Option<KeyPair>, TrustError> {
    let Some(pem) = files::read(path, Readers::Owner)? else { return Ok(None) };
    let malformed = |_| TrustError::Malformed { path: path.to_owned(), expected: "private key in PEM" };
    KeyPair::from_pem(&pem).map(Some).map_err(malformed)
}

fn init_service(
    dir: &Path,
    authority: &Authority,
    service: Service,
    options: &InitOptions,
) -> Result<(), TrustError> {
    let (cert_path, key_path) = service_paths(dir, service);
    let key = match read_key(&key_path)? {
        Some(key) => key,
        None => create_key(&key_path)?,
    };
    let names = options.names();
    let present = read_certs(&cert_path)?;
    let good = |cert: &CertificateDer<'static>| {
        belongs(cert, &key) && is_issued_for(cert, authority, &names, options.now.plus(SERVICE_RENEWAL))
    };
    if present.is_some_and(|certs| good(&certs[0])) {
        return Ok(());
    }
    let spki = key.subject_public_key_info();
    let not_after = options.now.plus(SERVICE_VALIDITY);
    let issued = authority.issue_service(service, &spki, &names, options.now, not_after)?;
    files::write(&cert_path, &pem_of(&issued.certificate_der), Readers::All)
}

fn init_token(path: &Path) -> Result<(), TrustError> {
    if files::read(path, Readers::Owner)?.is_some() {
        return Ok(());
    }
    let mut bytes = [0; TOKEN_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| TrustError::Random)?;
    files::write(path, &format!("{}\n", URL_SAFE_NO_PAD.encode(bytes)), Readers::Owner)
}

fn create_key(path: &Path) -> Result<KeyPair, TrustError> {
    let key = KeyPair::generate().map_err(IssueError::from)?;
    files::write(path, &key.serialize_pem(), Readers::Owner)?;
    Ok(key)
}

#[cfg(test)]
mod tests;
