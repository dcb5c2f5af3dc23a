//! Quotes (`TPMS_ATTEST`) and their signatures (`TPMT_SIGNATURE`).

use muster_types::Digest;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::public::{Key, PublicArea, padded};
use super::wire::{Reader, algorithm};
use crate::attestation::AttestationError;

/// With what everything begins that a TPM says of itself (`TPM_GENERATED_VALUE`).
const GENERATED: u32 = 0xff54_4347;
/// A quote (`TPM_ST_ATTEST_QUOTE`).
const QUOTE: u16 = 0x8018;
/// Bytes of clock, resets, restarts and safety, and of the firmware's version.
const CLOCK_AND_FIRMWARE_BYTES: usize = 8 + 4 + 4 + 1 + 8;
/// Most banks of registers in a quote.
const BANKS_MAX: u32 = 16;

/// Checks that this is a quote that was made for the digest.
pub(super) fn check(attest: &[u8], qualifying: &Digest) -> Result<(), AttestationError> {
    let mut reader = Reader::new(attest, "quote (TPMS_ATTEST)")?;
    if reader.u32()? != GENERATED {
        return Err(AttestationError::Quote { problem: "was not made by a TPM" });
    }
    if reader.u16()? != QUOTE {
        return Err(AttestationError::Quote { problem: "is another kind of attestation" });
    }
    let _signer = reader.sized()?;
    let said = reader.sized()?;
    reader.take(CLOCK_AND_FIRMWARE_BYTES)?;
    let banks = reader.u32()?;
    if banks > BANKS_MAX {
        return Err(reader.malformed());
    }
    for _ in 0..banks {
        let _hash = reader.u16()?;
        let select_bytes = reader.u8()?;
        reader.take(usize::from(select_bytes))?;
    }
    let _registers = reader.sized()?;
    reader.end()?;
    if said != qualifying {
        let problem = "is not bound to the certificate signing request";
        return Err(AttestationError::Quote { problem });
    }
    Ok(())
}

/// Verifies the signature of a quote.
pub(super) fn verify_signature(
    ak: &PublicArea,
    attest: &[u8],
    signature: &[u8],
) -> Result<(), AttestationError> {
    let mut reader = Reader::new(signature, "signature of the quote (TPMT_SIGNATURE)")?;
    let scheme = reader.u16()?;
    if reader.u16()? != algorithm::SHA256 {
        return Err(AttestationError::Signature);
    }
    let verified = match (&ak.key, scheme) {
        (Key::P256(point), algorithm::ECDSA) => {
            let (r, s) = (padded(reader.sized()?), padded(reader.sized()?));
            let (Some(r), Some(s)) = (r, s) else { return Err(AttestationError::Signature) };
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(attest, &[r, s].concat())
        }
        (Key::Rsa { modulus, exponent }, algorithm::RSASSA | algorithm::RSAPSS) => {
            let e = exponent.to_be_bytes();
            let e = &e[e.iter().position(|byte| *byte != 0).unwrap_or(0)..];
            let kind = if scheme == algorithm::RSASSA {
                &RSA_PKCS1_2048_8192_SHA256
            } else {
                &RSA_PSS_2048_8192_SHA256
            };
            RsaPublicKeyComponents { n: &modulus[..], e }.verify(kind, attest, reader.sized()?)
        }
        (Key::P256(_) | Key::Rsa { .. }, _) => return Err(AttestationError::Signature),
    };
    reader.end()?;
    verified.map_err(|_| AttestationError::Signature)
}
