//! Certificate signing requests, up to the certificate.

use muster_pki::{SpiffeId, TrustDomain, csr, peer};
use muster_types::{DeviceId, TenantId};
use rcgen::KeyPair;

use super::{AUTHORITY, NOW, YEAR, mk_key};

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(csr) = csr::parse(bytes) else { return false };
    let device = DeviceId::from_slice(&csr.key_digest()[..16]).expect("16 bytes are an id");
    let id = SpiffeId::device(TrustDomain::local(), TenantId::DEFAULT, device);
    let issued = AUTHORITY.issue_device(&csr, &id, NOW, NOW.plus(YEAR)).expect("a request that was taken");
    let peer = peer::read(&issued.certificate_der).expect("a certificate of ours");
    assert_eq!((peer.id, peer.serial), (id, issued.serial));
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let p256 = KeyPair::generate().expect("a key can be made");
    let mut asking = rcgen::CertificateParams::new(vec!["device.example".to_owned()]).expect("a name");
    asking.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let asked = asking.serialize_request(&mk_key(6)).expect("a request can be made");
    let made = |key: &KeyPair| csr::create(key).expect("a request can be made");
    vec![made(&p256), made(&mk_key(6)), asked.der().to_vec()]
}
