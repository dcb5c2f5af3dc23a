use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use muster_types::{Clock as _, DeviceId, SystemClock, TenantId};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;
use crate::{SpiffeId, csr, peer, serial};

fn mk_dir() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki");
    (dir, pki)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_folder_holds_all_and_keeps_its_secrets() {
    let (_dir, pki) = mk_dir();
    let now = SystemClock.now();
    let trust = LocalTrust::init(&pki, &InitOptions::local(now)).unwrap();
    assert_eq!(trust.trust_domain(), &TrustDomain::local());
    assert_eq!(mode(&pki), 0o700);
    for secret in ["ca.key", "admin.token", "policy-signing.key", "enroll.key", "report.key"] {
        assert_eq!(mode(&pki.join(secret)), 0o600, "{secret}");
    }
    for service in Service::ALL {
        let identity = trust.service_identity(service).unwrap();
        let id = SpiffeId::service(TrustDomain::local(), service);
        assert_eq!(peer::identity(&identity.chain()[0]), Ok(id));
    }
    let token = trust.admin_token().unwrap();
    assert!(token.secret().len() == 43 && token.matches(token.secret().as_bytes()));
    assert!(!token.matches(b"") && !token.matches(&token.secret().as_bytes()[1..]));
    let signer = trust.policy_signer().unwrap();
    assert_eq!(*trust.policy_trust(), signer.trust());
    assert!(!format!("{trust:?}").contains(token.secret()));
}

#[test]
fn a_second_start_changes_nothing() {
    let (_dir, pki) = mk_dir();
    let options = InitOptions::local(SystemClock.now());
    LocalTrust::init(&pki, &options).unwrap();
    let contents = || {
        let mut files: Vec<_> = fs::read_dir(&pki).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = contents();
    LocalTrust::init(&pki, &options).unwrap();
    assert_eq!(contents(), before);
}

#[test]
fn a_certificate_near_its_end_or_without_a_name_is_renewed_for_the_same_key() {
    let (_dir, pki) = mk_dir();
    let mut options = InitOptions::local(SystemClock.now());
    let read = |name: &str| fs::read(pki.join(name)).unwrap();
    LocalTrust::init(&pki, &options).unwrap();
    let (first, key, ca) = (read("policy.pem"), read("policy.key"), read("ca.pem"));
    options.ips = vec!["10.1.2.3".parse().unwrap(), "0.0.0.0".parse().unwrap()];
    LocalTrust::init(&pki, &options).unwrap();
    let second = read("policy.pem");
    assert_ne!(second, first);
    LocalTrust::init(&pki, &InitOptions::local(options.now)).unwrap();
    assert_eq!(read("policy.pem"), second, "more names than asked for are no reason");
    options.now = options.now.plus(SERVICE_VALIDITY - SERVICE_RENEWAL + Duration::from_secs(1));
    LocalTrust::init(&pki, &options).unwrap();
    assert_ne!(read("policy.pem"), second);
    assert_eq!((read("policy.key"), read("ca.pem")), (key, ca));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let (_dir, pki) = mk_dir();
    let options = InitOptions::local(SystemClock.now());
    LocalTrust::init(&pki, &options).unwrap();
    let key = pki.join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    for opened in [LocalTrust::open(&pki), LocalTrust::init(&pki, &options)] {
        let error = opened.unwrap_err();
        assert!(matches!(&error, TrustError::Exposed { path, mode: 0o640 } if *path == key), "{error}");
    }
}

#[test]
fn a_folder_of_another_domain_or_with_foreign_keys_is_refused() {
    let (_dir, pki) = mk_dir();
    let mut options = InitOptions::local(SystemClock.now());
    LocalTrust::init(&pki, &options).unwrap();
    options.trust_domain = "other.example".parse().unwrap();
    assert!(matches!(LocalTrust::init(&pki, &options), Err(TrustError::OtherDomain { .. })));
    fs::copy(pki.join("enroll.key"), pki.join("ca.key")).unwrap();
    assert!(matches!(LocalTrust::open(&pki), Err(TrustError::Mismatch { .. })));
    fs::remove_file(pki.join("ca.key")).unwrap();
    let options = InitOptions::local(options.now);
    assert!(matches!(LocalTrust::init(&pki, &options), Err(TrustError::Missing { .. })));
}

#[test]
fn a_folder_with_the_authority_s_certificate_only_can_be_opened() {
    let (_dir, pki) = mk_dir();
    LocalTrust::init(&pki, &InitOptions::local(SystemClock.now())).unwrap();
    let (_other, copy) = mk_dir();
    fs::create_dir(&copy).unwrap();
    assert!(matches!(LocalTrust::open(&copy), Err(TrustError::Missing { .. })));
    fs::copy(pki.join("ca.pem"), copy.join("ca.pem")).unwrap();
    let trust = LocalTrust::open(&copy).unwrap();
    assert!(trust.authority().is_none() && trust.policy_signer().is_none() && trust.admin_token().is_none());
    assert!(matches!(trust.service_identity(Service::Enroll), Err(TrustError::Missing { .. })));
}

#[test]
fn a_device_s_certificate_takes_the_key_of_its_request_and_nothing_else() {
    let (_dir, pki) = mk_dir();
    let now = SystemClock.now();
    let trust = LocalTrust::init(&pki, &InitOptions::local(now)).unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut asked = rcgen::CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    asked.is_ca = rcgen::IsCa::NoCa;
    let csr = csr::parse(asked.serialize_request(&key).unwrap().der()).unwrap();
    let device = DeviceId::from_uuid(uuid::Uuid::from_u128(7));
    let id = SpiffeId::device(TrustDomain::local(), TenantId::DEFAULT, device);
    let authority = trust.authority().unwrap();
    let issue = || authority.issue_device(&csr, &id, now, now.plus(Duration::from_secs(60))).unwrap();
    let (first, second) = (issue(), issue());
    assert_ne!(first.serial, second.serial);
    let read = peer::read(&first.certificate_der).unwrap();
    assert_eq!(read.id, id);
    assert_eq!(read.not_after.seconds_and_nanos().0, now.seconds_and_nanos().0 + 60);
    let (_, certificate) = X509Certificate::from_der(&first.certificate_der).unwrap();
    assert_eq!(certificate.public_key().raw, csr.spki_der());
    assert_eq!(certificate.raw_serial(), &first.serial[1..], "DER drops the leading zero byte");
    assert_eq!(read.serial, first.serial);
    assert_eq!(serial::issued_at(&read.serial), Some(now));
    assert!(!certificate.is_ca());
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
}
