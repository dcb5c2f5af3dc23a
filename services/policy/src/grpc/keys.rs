//! Telling devices which keys sign policies, before one of them is the only one that does.

use muster_envelope::Trust;
use muster_proto::enroll::v1::PolicyVerificationKey;
use muster_types::Digest;

/// The keys that devices shall believe.
#[derive(Debug)]
pub struct PolicyKeys {
    digest: Digest,
    keys: Vec<PolicyVerificationKey>,
}

impl PolicyKeys {
    /// These keys.
    #[must_use]
    pub fn new(trust: &Trust) -> Self {
        let key = |(id, key): (&str, &[u8; 32])| PolicyVerificationKey {
            key_id: id.to_owned(),
            ed25519_public_key: key.to_vec(),
        };
        Self { digest: trust.digest(), keys: trust.keys().map(key).collect() }
    }

    /// What to tell a device that believes keys of that digest; nothing when it believes these, or says nothing of it.
    #[must_use]
    pub fn news(&self, digest: &[u8]) -> Vec<PolicyVerificationKey> {
        if digest.is_empty() || digest == self.digest { Vec::new() } else { self.keys.clone() }
    }
}
