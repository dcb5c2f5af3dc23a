//! Public areas of keys (`TPM2B_PUBLIC`).

use super::wire::{NIST_P256, Reader, algorithm};
use crate::attestation::AttestationError;
use crate::csr::sha256;

/// Attributes of an object (`TPMA_OBJECT`).
mod attribute {
    pub(super) const FIXED_TPM: u32 = 1 << 1;
    pub(super) const FIXED_PARENT: u32 = 1 << 4;
    pub(super) const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub(super) const RESTRICTED: u32 = 1 << 16;
    pub(super) const DECRYPT: u32 = 1 << 17;
    pub(super) const SIGN: u32 = 1 << 18;
}

/// Exponent that a public area calls 0.
const RSA_EXPONENT: u32 = 65_537;

/// A public area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicArea {
    name: Vec<u8>,
    attributes: u32,
    pub(super) key: Key,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// RSA.
    Rsa {
        /// The modulus, big-endian.
        modulus: Vec<u8>,
        /// The exponent.
        exponent: u32,
    },
    /// A point on P-256: 4, x, y.
    P256([u8; 65]),
}

impl PublicArea {
    /// Reads it, with its size before it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, AttestationError> {
        const WHAT: &str = "public area of the attestation key (TPM2B_PUBLIC)";
        let mut outer = Reader::new(bytes, WHAT)?;
        let area = outer.sized()?;
        outer.end()?;
        let mut reader = Reader::new(area, WHAT)?;
        let kind = reader.u16()?;
        let name_algorithm = reader.u16()?;
        if name_algorithm != algorithm::SHA256 {
            return Err(refused("has a name that is not made with SHA-256"));
        }
        let attributes = reader.u32()?;
        let _policy = reader.sized()?;
        let key = match kind {
            algorithm::RSA => rsa(&mut reader)?,
            algorithm::ECC => ecc(&mut reader)?,
            _ => return Err(refused("is neither RSA nor on an elliptic curve")),
        };
        reader.end()?;
        let name = [&name_algorithm.to_be_bytes()[..], &sha256(area)].concat();
        Ok(Self { name, attributes, key })
    }

    /// The name: the algorithm and the digest of the area.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Checks that the key lives in one TPM, was made there, and signs nothing but what that TPM says.
    pub(super) fn check_attests(&self) -> Result<(), AttestationError> {
        let needed = [
            (attribute::FIXED_TPM, "can leave its TPM (no fixedTPM)"),
            (attribute::FIXED_PARENT, "can leave its parent (no fixedParent)"),
            (attribute::SENSITIVE_DATA_ORIGIN, "was not made by the TPM (no sensitiveDataOrigin)"),
            (attribute::RESTRICTED, "signs what it is given (not restricted)"),
            (attribute::SIGN, "does not sign (no sign)"),
        ];
        for (bit, problem) in needed {
            if self.attributes & bit == 0 {
                return Err(refused(problem));
            }
        }
        if self.attributes & attribute::DECRYPT != 0 { Err(refused("decrypts")) } else { Ok(()) }
    }
}

/// Skips what a restricted decryption key encrypts with (`TPMT_SYM_DEF_OBJECT`).
fn skip_symmetric(reader: &mut Reader<'_>) -> Result<(), AttestationError> {
    if reader.u16()? != algorithm::NULL {
        reader.take(4)?;
    }
    Ok(())
}

/// Checks how the key signs: one of these, with SHA-256; a restricted signing key always says.
fn check_scheme(reader: &mut Reader<'_>, schemes: &[u16]) -> Result<(), AttestationError> {
    if !schemes.contains(&reader.u16()?) {
        return Err(refused("has a signature scheme other than RSASSA, RSAPSS and ECDSA"));
    }
    if reader.u16()? == algorithm::SHA256 { Ok(()) } else { Err(refused("does not sign with SHA-256")) }
}

fn rsa(reader: &mut Reader<'_>) -> Result<Key, AttestationError> {
    skip_symmetric(reader)?;
    check_scheme(reader, &[algorithm::RSASSA, algorithm::RSAPSS])?;
    let size_bits = reader.u16()?;
    let exponent = match reader.u32()? {
        0 => RSA_EXPONENT,
        exponent => exponent,
    };
    let modulus = reader.sized()?;
    if size_bits != 2048 || modulus.len() != 256 || modulus[0] & 0x80 == 0 {
        return Err(refused("is RSA with another size than 2048 bits"));
    }
    Ok(Key::Rsa { modulus: modulus.to_vec(), exponent })
}

fn ecc(reader: &mut Reader<'_>) -> Result<Key, AttestationError> {
    skip_symmetric(reader)?;
    check_scheme(reader, &[algorithm::ECDSA])?;
    if reader.u16()? != NIST_P256 {
        return Err(refused("is on another curve than P-256"));
    }
    if reader.u16()? != algorithm::NULL {
        reader.u16()?;
    }
    let mut point = [4; 65];
    for (coordinate, into) in [(reader.sized()?, 1..33), (reader.sized()?, 33..65)] {
        point[into].copy_from_slice(&padded(coordinate).ok_or(reader.malformed())?);
    }
    Ok(Key::P256(point))
}

/// A number of at most 32 bytes, with zero bytes before it.
pub(super) fn padded(number: &[u8]) -> Option<[u8; 32]> {
    let mut padded = [0; 32];
    padded.get_mut(32_usize.checked_sub(number.len())?..)?.copy_from_slice(number);
    Some(padded)
}

const fn refused(problem: &'static str) -> AttestationError {
    AttestationError::AttestationKey { problem }
}
