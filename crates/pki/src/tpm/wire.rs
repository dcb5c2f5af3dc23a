//! Structures of a TPM: numbers are big-endian, buffers come after their size (TPM 2.0 Library, part 2).

use super::STRUCTURE_BYTES_MAX;
use crate::attestation::AttestationError;

/// Algorithms (`TPM_ALG_ID`).
pub(super) mod algorithm {
    pub(in crate::tpm) const RSA: u16 = 0x0001;
    pub(in crate::tpm) const SHA256: u16 = 0x000b;
    pub(in crate::tpm) const NULL: u16 = 0x0010;
    pub(in crate::tpm) const RSASSA: u16 = 0x0014;
    pub(in crate::tpm) const RSAPSS: u16 = 0x0016;
    pub(in crate::tpm) const ECDSA: u16 = 0x0018;
    pub(in crate::tpm) const ECC: u16 = 0x0023;
}

/// The curve P-256 (`TPM_ECC_NIST_P256`).
pub(super) const NIST_P256: u16 = 0x0003;

/// Reads a structure from its beginning; all of it must be read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader that calls the structure so when it cannot be read.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Result<Self, AttestationError> {
        if bytes.len() > STRUCTURE_BYTES_MAX {
            return Err(AttestationError::Malformed { what });
        }
        Ok(Self { rest: bytes, what })
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], AttestationError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AttestationError> {
        let malformed = self.malformed();
        self.take(N)?.try_into().map_err(|_| malformed)
    }

    pub(super) fn u8(&mut self) -> Result<u8, AttestationError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, AttestationError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, AttestationError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A buffer after its size of two bytes (`TPM2B_…`).
    pub(super) fn sized(&mut self) -> Result<&'a [u8], AttestationError> {
        let size_bytes = self.u16()?;
        self.take(usize::from(size_bytes))
    }

    /// Checks that nothing is left.
    pub(super) fn end(self) -> Result<(), AttestationError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }

    pub(super) const fn malformed(&self) -> AttestationError {
        AttestationError::Malformed { what: self.what }
    }
}

/// A buffer with its size before it.
pub(super) fn sized(bytes: &[u8]) -> Vec<u8> {
    let size_bytes = u16::try_from(bytes.len()).expect("buffers made here are short");
    [&size_bytes.to_be_bytes(), bytes].concat()
}
