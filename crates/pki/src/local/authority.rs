//! The authorities in the folder: those to believe, and the one that issues.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_types::Timestamp;
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;

use super::{InitOptions, TrustError, create_key, read_key};
use crate::certificate::{belongs, not_after};
use crate::files::{self, Readers};
use crate::{Authority, TrustBundle, TrustDomain};

/// How long an authority's certificate lasts.
const CA_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// An authority's certificate and key in files of their own, as secrets are mounted. The key's group may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// Its certificate in PEM. It names the trust domain: one URI, `spiffe://<trust-domain>`.
    pub certificate: PathBuf,
    /// Its PKCS #8 key in PEM.
    pub key: PathBuf,
}

/// Reads `ca.pem`.
pub(super) fn read_bundle(dir: &Path) -> Result<Option<TrustBundle>, TrustError> {
    let path = dir.join("ca.pem");
    let Some(pem) = files::read(&path, Readers::All)? else { return Ok(None) };
    TrustBundle::from_pem(&pem).map(Some).map_err(|source| TrustError::Bundle { path, source })
}

/// Writes `ca.pem`, numbered one higher than what was there.
pub(super) fn write_bundle(
    dir: &Path,
    domain: &TrustDomain,
    certificates: Vec<CertificateDer<'static>>,
    before: Option<&TrustBundle>,
) -> Result<TrustBundle, TrustError> {
    let path = dir.join("ca.pem");
    let sequence = before.map_or(0, TrustBundle::sequence).saturating_add(1);
    let bundle = TrustBundle::new(domain.clone(), certificates, sequence)
        .map_err(|source| TrustError::Bundle { path: path.clone(), source })?;
    files::write(&path, &bundle.to_pem(), Readers::All)?;
    Ok(bundle)
}

/// Makes the authority that issues, with key, if it is not there.
pub(super) fn init(dir: &Path, options: &InitOptions) -> Result<Authority, TrustError> {
    let bundle = read_bundle(dir)?;
    let domain = &options.trust_domain;
    if let Some(bundle) = &bundle {
        of_domain(bundle.domain(), domain)?;
    }
    if let Some(files) = &options.authority {
        return init_given(dir, files, bundle.as_ref(), options);
    }
    let key_path = dir.join("ca.key");
    if let Some(bundle) = bundle {
        return load(dir, &bundle)?.ok_or(TrustError::Missing { path: key_path });
    }
    let key = match read_key(&key_path)? {
        Some(key) => key,
        None => create_key(&key_path)?,
    };
    let authority = create(domain, key, options.now)?;
    write_bundle(dir, domain, vec![authority.certificate().clone()], None)?;
    Ok(authority)
}

/// Takes the authority given by files, and sees to it that it is believed.
fn init_given(
    dir: &Path,
    files: &AuthorityFiles,
    bundle: Option<&TrustBundle>,
    options: &InitOptions,
) -> Result<Authority, TrustError> {
    let authority = read_given(files)?;
    of_domain(authority.domain(), &options.trust_domain)?;
    let not_after = not_after(authority.certificate());
    if not_after <= options.now {
        return Err(TrustError::Ended { path: files.certificate.clone(), not_after });
    }
    let known = bundle.map_or(&[][..], TrustBundle::certificates);
    if !known.contains(authority.certificate()) {
        let certificates = [&[authority.certificate().clone()], known].concat();
        write_bundle(dir, authority.domain(), certificates, bundle)?;
    }
    Ok(authority)
}

/// The authority given by files, which must be one of those to believe.
pub(super) fn believed(files: &AuthorityFiles, bundle: &TrustBundle) -> Result<Authority, TrustError> {
    let authority = read_given(files)?;
    if bundle.certificates().contains(authority.certificate()) {
        Ok(authority)
    } else {
        Err(TrustError::NotBelieved { path: files.certificate.clone() })
    }
}

/// The authority to which `ca.key` belongs, if that is there.
pub(super) fn load(dir: &Path, bundle: &TrustBundle) -> Result<Option<Authority>, TrustError> {
    let Some(key) = read_key(&dir.join("ca.key"))? else { return Ok(None) };
    let certificate = of_key(bundle, &key).ok_or(TrustError::Mismatch { path: dir.join("ca.pem") })?;
    Ok(Some(Authority::load(bundle.domain().clone(), certificate.clone(), key)?))
}

/// An authority's certificate by its key.
pub(super) fn of_key<'a>(bundle: &'a TrustBundle, key: &KeyPair) -> Option<&'a CertificateDer<'static>> {
    bundle.certificates().iter().find(|certificate| belongs(certificate, key))
}

/// Makes an authority's certificate for a key.
pub(super) fn create(domain: &TrustDomain, key: KeyPair, now: Timestamp) -> Result<Authority, TrustError> {
    Ok(Authority::create(domain.clone(), key, now, now.plus(CA_VALIDITY))?)
}

fn read_given(files: &AuthorityFiles) -> Result<Authority, TrustError> {
    let read = |path: &Path, readers| {
        files::read(path, readers)?.ok_or_else(|| TrustError::Missing { path: path.to_owned() })
    };
    let (certificate, key) = (read(&files.certificate, Readers::All)?, read(&files.key, Readers::Group)?);
    let refused = |source| TrustError::Authority { path: files.certificate.clone(), source };
    Authority::from_pem(&certificate, &key).map_err(refused)
}

fn of_domain(found: &TrustDomain, wanted: &TrustDomain) -> Result<(), TrustError> {
    if found == wanted {
        return Ok(());
    }
    Err(TrustError::OtherDomain { found: found.clone(), wanted: wanted.clone() })
}
