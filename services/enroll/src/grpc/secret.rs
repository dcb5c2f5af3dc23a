//! The secret of an onboarding token: `mot_<token id>_<32 random bytes>`. It names its token, so that finding the token
//! needs no table of hashes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_types::{Digest, TokenId};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How every secret begins: `grep` and secret scanners find it.
pub const PREFIX: &str = "mot_";
/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 128;
const RANDOM_BYTES: usize = 32;

/// The machine gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random numbers")]
pub struct NoRandom;

/// A secret. Neither printed nor kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret for a token.
    ///
    /// # Errors
    /// [`NoRandom`] when the machine gives no random numbers.
    pub fn generate(token: TokenId) -> Result<Self, NoRandom> {
        let mut random = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut random).map_err(|_| NoRandom)?;
        Ok(Self(format!("{PREFIX}{}_{}", token.uuid().simple(), URL_SAFE_NO_PAD.encode(random))))
    }

    /// Takes what a device presents, if it can be a secret at all.
    #[must_use]
    pub fn presented(text: String) -> Option<(TokenId, Self)> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (token, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let token = TokenId::from_uuid(Uuid::try_parse(token).ok()?);
        Some((token, Self(text)))
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The text, for the admin who asked for it.
    #[must_use]
    pub fn reveal(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_token() {
        let token = TokenId::from_uuid(Uuid::from_u128(7));
        let secret = Secret::generate(token).expect("random numbers");
        let hash = secret.hash();
        let (found, presented) = Secret::presented(secret.reveal()).expect("a secret");
        assert_eq!((found, presented.hash()), (token, hash));
    }

    #[test]
    fn two_secrets_of_one_token_differ() {
        let token = TokenId::from_uuid(Uuid::from_u128(7));
        assert!(Secret::generate(token) != Secret::generate(token));
    }

    #[test]
    fn what_cannot_be_a_secret_is_none() {
        for text in ["", "mot_", "mot_x_y", "abc_0190f2c47d5e7cc18a546b1f0c2d3e4f_x", &"mot_".repeat(99)] {
            assert!(Secret::presented(text.to_owned()).is_none(), "{text:?} passed");
        }
    }
}
