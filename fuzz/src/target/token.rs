//! Secrets of onboarding tokens.

use muster_enroll::grpc::secret::{PREFIX, Secret};
use muster_types::TokenId;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some((token, secret)) = Secret::presented(text.to_owned()) else { return false };
    assert!(text.starts_with(PREFIX));
    let again = Secret::presented(text.to_owned()).map(|(token, secret)| (token, secret.hash()));
    assert_eq!(again, Some((token, secret.hash())));
    assert_eq!(secret.reveal(), text, "the hash is of what was presented");
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let token = TokenId::from_slice(&[7; 16]).expect("16 bytes are an id");
    let secret = Secret::generate(token).expect("the machine gives random numbers");
    vec![secret.reveal().into_bytes(), PREFIX.as_bytes().to_vec()]
}
