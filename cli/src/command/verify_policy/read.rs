//! Envelopes from files: protobuf, or JSON as DSSE has it.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use muster_envelope::{ENVELOPE_BYTES_MAX, Refusal, decode};
use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1::{Signature, SignedPolicy};
use serde::Deserialize;

use super::unreadable;

/// Largest file: base64 makes three bytes four, and JSON adds its own.
const FILE_BYTES_MAX: u64 = 2 * ENVELOPE_BYTES_MAX as u64;

/// Writers of DSSE use both alphabets, with and without padding.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// Reads a file.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, Fault> {
    let size = fs::metadata(path).map_err(|error| unreadable(path, error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(path, format!("it has {size} bytes, and may have {FILE_BYTES_MAX}")));
    }
    fs::read(path).map_err(|error| unreadable(path, error))
}

/// The envelope in a file's bytes.
pub(super) fn envelope(bytes: &[u8]) -> Result<SignedPolicy, Refusal> {
    match bytes.trim_ascii_start() {
        // No field of the protobuf form begins so.
        text @ [b'{', ..] => json(text),
        _ => decode(bytes),
    }
}

fn json(text: &[u8]) -> Result<SignedPolicy, Refusal> {
    let malformed = |problem: String| Refusal::new(ErrorCode::PolicyMalformed, problem);
    let Envelope { payload_type, payload, signatures } =
        serde_json::from_slice(text).map_err(|error| malformed(format!("the envelope: {error}")))?;
    let bytes = |what: &str, text: &str| {
        let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
        decoded.map_err(|error| malformed(format!("the {what} is no base64: {error}")))
    };
    let signatures = signatures
        .into_iter()
        .map(|Signed { keyid, sig }| Ok(Signature { key_id: keyid, signature: bytes("signature", &sig)? }))
        .collect::<Result<_, Refusal>>()?;
    Ok(SignedPolicy { payload_type, payload: bytes("payload", &payload)?.into(), signatures })
}
