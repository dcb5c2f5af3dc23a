//! Canonical bytes into a digest: the same content, the same digest, on every machine and for ever.

use sha2::{Digest as _, Sha256};

use crate::{Digest, SettingId, SettingValue};

/// Bytes that are hashed with SHA-256, collected on the stack first so that content of common size is hashed in one go.
///
/// Whatever is of variable length goes in behind its length, so that no two contents make the same bytes.
pub struct Canonical {
    hasher: Sha256,
    collected: [u8; 768],
    len: usize,
}

impl Canonical {
    /// Begins with what the content is and the version of its encoding, for example `muster.settings.v1`: no content of
    /// another kind has the same digest.
    #[must_use]
    pub fn new(kind: &[u8]) -> Self {
        let mut this = Self { hasher: Sha256::new(), collected: [0; 768], len: 0 };
        this.put(kind);
        this
    }

    /// Bytes whose number follows from the kind.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        if let Some(free) = self.collected.get_mut(self.len..self.len + bytes.len()) {
            free.copy_from_slice(bytes);
            self.len += bytes.len();
            return;
        }
        self.hasher.update(&self.collected[..self.len]);
        self.hasher.update(bytes);
        self.len = 0;
    }

    /// A number, or how many of something follow: 64 bits, big-endian.
    #[inline]
    pub fn number(&mut self, number: u64) {
        self.put(&number.to_be_bytes());
    }

    /// Any bytes, behind their length.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.put(bytes);
    }

    /// The id of a setting, as its text.
    #[inline]
    pub fn setting(&mut self, id: &SettingId) {
        self.bytes(id.as_str().as_bytes());
    }

    /// A value: the number of its type, then its lengths and bytes. Equal values, equal bytes.
    pub fn value(&mut self, value: &SettingValue) {
        match value {
            SettingValue::Boolean(value) => self.put(&[1, u8::from(*value)]),
            SettingValue::Integer(value) => {
                self.put(&[2]);
                self.put(&value.to_be_bytes());
            }
            SettingValue::Text(value) => {
                self.put(&[3]);
                self.bytes(value.as_bytes());
            }
            SettingValue::Strings(values) => {
                self.put(&[4]);
                self.number(values.len() as u64);
                values.iter().for_each(|value| self.bytes(value.as_bytes()));
            }
            SettingValue::Objects(values) => {
                self.put(&[5]);
                self.number(values.len() as u64);
                for object in values {
                    self.number(object.len() as u64);
                    for (name, value) in object {
                        self.bytes(name.as_bytes());
                        self.value(value);
                    }
                }
            }
        }
    }

    /// SHA-256 over all of it.
    #[must_use]
    pub fn digest(mut self) -> Digest {
        self.hasher.update(&self.collected[..self.len]);
        self.hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_bytes_are_cut_they_are_hashed_as_one() {
        let content: Vec<u8> = (0..5_000_u32).flat_map(u32::to_be_bytes).collect();
        let whole: Digest = Sha256::digest(&content).into();
        for size in [1, 7, 100, 767, 768, 769, 4_000] {
            let (kind, rest) = content.split_at(size);
            let mut canonical = Canonical::new(kind);
            rest.chunks(size).for_each(|bytes| canonical.put(bytes));
            assert_eq!(canonical.digest(), whole, "in pieces of {size} bytes");
        }
    }
}
