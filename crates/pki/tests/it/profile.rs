//! Certificates and bundles are what others take for an X.509-SVID and a SPIFFE bundle.

use std::path::Path;
use std::process::Command;

use muster_pki::{LocalTrust, TrustBundle};
use muster_types::Service;
use rcgen::KeyPair;
use spiffe::{TrustDomain, X509Bundle, X509Svid};

use crate::fixture::{issue, mk_id, mk_trust, put, run};

const KEY_KINDS: [&rcgen::SignatureAlgorithm; 2] = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519];

fn bundle(trust: &LocalTrust) -> TrustBundle {
    TrustBundle::new(trust.trust_domain().clone(), trust.ca_certs().to_vec(), 3).unwrap()
}

fn verify(purpose: &str, bundle: &Path, certificate: &Path) -> (bool, String) {
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"]).arg(bundle).arg(certificate);
    run(&mut openssl)
}

#[test]
fn openssl_verifies_devices_and_services() {
    let (dir, trust) = mk_trust();
    let authorities = put(dir.path(), "bundle.pem", bundle(&trust).to_pem());
    for key_kind in KEY_KINDS {
        let key = KeyPair::generate_for(key_kind).unwrap();
        let der = put(dir.path(), "device.der", issue(&trust, &mk_id(7), &key));
        let pem = dir.path().join("device.pem");
        let (done, said) = run(Command::new("openssl")
            .args(["x509", "-inform", "der", "-in"])
            .arg(der)
            .arg("-out")
            .arg(&pem));
        assert!(done, "{said}");
        let (content, said) = verify("sslclient", &authorities, &pem);
        assert!(content, "{said}");
        let (done, text) = run(Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&pem));
        assert!(done, "{text}");
        for part in [
            "X509v3 Key Usage: critical\n                Digital Signature\n",
            "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
            "X509v3 Extended Key Usage",
            "X509v3 Subject Key Identifier",
            "X509v3 Authority Key Identifier",
            "URI:spiffe://muster.local/tenant/default/device/00000000-0000-0000-0000-000000000007\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    for service in Service::ALL {
        let pem = trust.dir().join(format!("{service}.pem"));
        for purpose in ["sslserver", "sslclient"] {
            let (content, said) = verify(purpose, &authorities, &pem);
            assert!(content, "{service} {purpose}: {said}");
        }
    }
    let (_other_dir, other) = mk_trust();
    let (content, said) = verify("sslclient", &authorities, &other.dir().join("policy.pem"));
    assert!(!content, "another authority's: {said}");
}

#[test]
fn a_spiffe_library_takes_certificates_and_bundle() {
    let (_dir, trust) = mk_trust();
    for key_kind in KEY_KINDS {
        let key = KeyPair::generate_for(key_kind).unwrap();
        let id = mk_id(8);
        let svid = X509Svid::parse_from_der(&issue(&trust, &id, &key), key.serialized_der()).unwrap();
        assert_eq!(svid.spiffe_id().to_string(), id.to_string());
    }
    for service in Service::ALL {
        let identity = trust.service_identity(service).unwrap();
        let svid = X509Svid::parse_from_der(&identity.chain()[0], identity.key().secret_der()).unwrap();
        assert_eq!(svid.spiffe_id().to_string(), format!("spiffe://muster.local/service/{service}"));
    }
    let bundle = bundle(&trust);
    let domain = TrustDomain::new("muster.local").unwrap();
    let read = X509Bundle::parse_from_der(domain, &bundle.to_der().concat()).unwrap();
    let authorities: Vec<_> = read.authorities().iter().map(|certificate| certificate.as_bytes()).collect();
    assert_eq!(authorities, bundle.to_der());
}

/// Reads a key set with an independent library and holds each key against the certificate beside it.
const READ_KEYS: &str = r#"
import base64, json, sys
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwcrypto.jwk import JWKSet
text = sys.stdin.read()
keys = {key.thumbprint(): key for key in JWKSet.from_json(text)["keys"]}
raw = json.loads(text)
assert len(keys) == len(raw["keys"]) == 1, raw
assert isinstance(raw["spiffe_sequence"], int) and isinstance(raw["spiffe_refresh_hint"], int), raw
for key in keys.values():
    [der] = key["x5c"]
    certificate = x509.load_der_x509_certificate(base64.b64decode(der))
    public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert key["use"] == "x509-svid" and key.export_to_pem() == public
"#;

#[test]
fn a_json_web_key_library_takes_the_spiffe_bundle() {
    let (dir, trust) = mk_trust();
    let bundle = put(dir.path(), "bundle.json", bundle(&trust).to_jwks());
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/python3");
    assert!(python.exists(), "run `cargo xtask setup` first");
    let mut reader = Command::new(python);
    let (content, said) = run(reader.args(["-c", READ_KEYS]).stdin(std::fs::File::open(bundle).unwrap()));
    assert!(content, "{said}");
}
