use muster_types::Timestamp;
use rcgen::KeyPair;

use super::*;
use crate::Authority;

fn mk_authority(algorithm: &'static rcgen::SignatureAlgorithm) -> CertificateDer<'static> {
    let now = Timestamp::from_micros(1_790_000_000_000_000);
    let key = KeyPair::generate_for(algorithm).unwrap();
    let not_after = now.plus(Duration::from_secs(60));
    Authority::create(TrustDomain::local(), key, now, not_after).unwrap().certificate().clone()
}

fn mk_bundle() -> TrustBundle {
    let algorithms = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    TrustBundle::new(TrustDomain::local(), algorithms.map(mk_authority).to_vec(), 7).unwrap()
}

#[test]
fn a_bundle_round_trips_in_every_form() {
    let bundle = mk_bundle();
    assert_eq!(TrustBundle::from_pem(&bundle.to_pem()), Ok(bundle.clone()));
    assert_eq!(TrustBundle::from_jwks(TrustDomain::local(), &bundle.to_jwks()), Ok(bundle.clone()));
    let certificates = bundle.to_der().into_iter().map(CertificateDer::from).collect();
    assert_eq!(TrustBundle::new(TrustDomain::local(), certificates, 7), Ok(bundle));
}

#[test]
fn a_spiffe_bundle_is_a_key_set_with_one_certificate_a_key() {
    let set: Value = serde_json::from_str(&mk_bundle().to_jwks()).unwrap();
    assert_eq!((&set["spiffe_sequence"], &set["spiffe_refresh_hint"]), (&json!(7), &json!(3600)));
    let kinds: Vec<_> =
        set["keys"].as_array().unwrap().iter().map(|key| (&key["kty"], &key["crv"])).collect();
    assert_eq!(
        kinds,
        [
            (&json!("EC"), &json!("P-256")),
            (&json!("EC"), &json!("P-384")),
            (&json!("OKP"), &json!("Ed25519"))
        ]
    );
    for key in set["keys"].as_array().unwrap() {
        assert_eq!(key["use"], "x509-svid");
        assert_eq!(key["x5c"].as_array().unwrap().len(), 1);
        assert!(key.get("kid").is_none());
    }
}

#[test]
fn keys_for_another_use_are_skipped_and_a_key_beside_a_foreign_certificate_is_refused() {
    let bundle = mk_bundle();
    let mut set: Value = serde_json::from_str(&bundle.to_jwks()).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.push(json!({ "use": "jwt-svid", "kty": "EC" }));
    assert_eq!(TrustBundle::from_jwks(TrustDomain::local(), &set.to_string()), Ok(bundle));
    set["keys"][0]["x5c"] = set["keys"][1]["x5c"].clone();
    let refused = BundleError::Certificate { number: 1, problem: "is not beside its own key" };
    assert_eq!(TrustBundle::from_jwks(TrustDomain::local(), &set.to_string()), Err(refused));
}

#[test]
fn what_is_no_bundle_is_refused() {
    let domain = TrustDomain::local();
    let jwks = |text: &str| TrustBundle::from_jwks(domain.clone(), text).unwrap_err();
    assert!(matches!(jwks("{}"), BundleError::Malformed { .. }));
    assert!(matches!(jwks("["), BundleError::Malformed { .. }));
    assert_eq!(jwks(r#"{"keys":[]}"#), BundleError::Empty);
    assert_eq!(jwks(&" ".repeat(BUNDLE_BYTES_MAX + 1)), BundleError::TooLarge);
    assert!(matches!(TrustBundle::from_pem("nothing"), Err(BundleError::Malformed { .. })));
    let one = mk_bundle().certificates()[0].clone();
    let many = vec![one.clone(); AUTHORITIES_MAX + 1];
    assert_eq!(TrustBundle::new(domain, many, 0), Err(BundleError::TooLarge));
    let foreign = TrustBundle::new("other.example".parse().unwrap(), vec![one], 0);
    let problem = "is of another trust domain";
    assert_eq!(foreign, Err(BundleError::Certificate { number: 1, problem }));
}
