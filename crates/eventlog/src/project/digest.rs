//! What a view's rows add up to.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::View;

/// The sum of the hashes of all rows of a view. Two views with the same rows have the same, in whatever order
/// the rows came to be; a change of a row changes it by the difference of two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewDigest(u128);

impl ViewDigest {
    /// Of no rows.
    pub const EMPTY: Self = Self(0);

    /// Of all rows of a view.
    #[must_use]
    pub fn of<V: View>(view: &V) -> Self {
        Self::counted(view).0
    }

    /// Of all rows of a view, with how many there are.
    #[must_use]
    pub fn counted<V: View>(view: &V) -> (Self, u64) {
        let (mut digest, mut rows) = (Self::EMPTY, 0);
        each_row(view, |_, hash| {
            digest.0 = digest.0.wrapping_add(hash);
            rows += 1;
        });
        (digest, rows)
    }

    /// Takes a row in.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(row(key, value));
    }

    /// Takes a row out that was in.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(row(key, value));
    }

    /// The digest as stored.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// A stored digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for ViewDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Calls `each` with the key and the hash of each row of a view, in any order.
pub(super) fn each_row<V: View>(view: &V, mut each: impl FnMut(&[u8], u128)) {
    view.row_keys(&mut |key| {
        if let Some(value) = view.encode_row(key) {
            each(key, row(key, &value));
        }
    });
}

/// The first 128 bits of SHA-256 over key, length of the value, and value. The length of the key comes first, so that no
/// byte can move from one to the other.
fn row(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update((value.len() as u64).to_be_bytes());
    hasher.update(value);
    hasher.finalize()[..16].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}
