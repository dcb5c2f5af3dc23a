//! Trust bundles, in PEM and as SPIFFE bundles.

use muster_pki::{TrustBundle, TrustDomain};

use super::AUTHORITY;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut taken = false;
    for bundle in [TrustBundle::from_pem(text), TrustBundle::from_jwks(TrustDomain::local(), text)] {
        let Ok(bundle) = bundle else { continue };
        assert_eq!(TrustBundle::from_pem(&bundle.to_pem()).as_ref(), Ok(&bundle));
        taken = true;
        assert_eq!(TrustBundle::from_jwks(bundle.domain().clone(), &bundle.to_jwks()).as_ref(), Ok(&bundle));
    }
    taken
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let certificates = vec![AUTHORITY.certificate().clone()];
    let bundle = TrustBundle::new(TrustDomain::local(), certificates, 3).expect("a bundle");
    vec![bundle.to_pem().into_bytes(), bundle.to_jwks().into_bytes()]
}
