//! One certificate of an authority as a JSON Web Key (RFC 7517, 7518, 8037).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_SIG_ED25519};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// What the key of an authority is for.
pub(super) const USE: &str = "x509-svid";

/// Members that tell a public key.
const KEY_MEMBERS: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];

/// The key of a certificate with the certificate; `None` when its kind of key has no JWK.
pub(super) fn of(certificate_der: &[u8]) -> Option<Value> {
    let (_, certificate) = X509Certificate::from_der(certificate_der).ok()?;
    let Value::Object(mut key) = public_key(certificate.public_key())? else { return None };
    key.insert("use".to_owned(), json!(USE));
    key.insert("x5c".to_owned(), json!([STANDARD.encode(certificate_der)]));
    Some(Value::Object(key))
}

/// Whether a JWK tells exactly the public key of this certificate.
pub(super) fn is_of(key: &Value, certificate_der: &[u8]) -> bool {
    let members = |key: &Map<String, Value>| KEY_MEMBERS.map(|name| key.get(name).cloned());
    let Some(Value::Object(expected)) = of(certificate_der) else { return false };
    key.as_object().is_some_and(|key| members(key) == members(&expected))
}

fn public_key(spki: &SubjectPublicKeyInfo<'_>) -> Option<Value> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if spki.algorithm.algorithm == OID_SIG_ED25519 {
        return Some(json!({ "kty": "OKP", "crv": "Ed25519", "x": text(&spki.subject_public_key.data) }));
    }
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "kinds of keys that are no authority's have no JWK here"
    )]
    match spki.parsed().ok()? {
        PublicKey::EC(point) => {
            let (curve, size_bytes) = curve(spki)?;
            // Uncompressed: 4, x, y.
            let (x, y) = point.data().strip_prefix(&[4])?.split_at_checked(size_bytes)?;
            let whole = y.len() == size_bytes;
            whole.then(|| json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) }))
        }
        PublicKey::RSA(key) => {
            let number = |bytes: &[u8]| {
                let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
                text(&bytes[start..])
            };
            Some(json!({ "kty": "RSA", "n": number(key.modulus), "e": number(key.exponent) }))
        }
        _ => None,
    }
}

/// A curve's name, and the bytes of a coordinate.
fn curve(spki: &SubjectPublicKeyInfo<'_>) -> Option<(&'static str, usize)> {
    let oid = spki.algorithm.parameters.as_ref()?.as_oid().ok()?;
    if oid == OID_EC_P256 {
        Some(("P-256", 32))
    } else if oid == OID_NIST_EC_P384 {
        Some(("P-384", 48))
    } else {
        None
    }
}
