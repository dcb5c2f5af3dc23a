//! Onboarding: the one command on two aggregates, whose events stand or fall together.

use muster_types::{DeviceId, Digest, RequestId, Timestamp, TokenId};

use super::enrollment::{self, Enrollment};
use super::facts::DeviceFacts;
use super::onboarding_token::{self, OnboardingToken};

/// A device's wish to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onboard {
    /// The token it comes with.
    pub token: TokenId,
    /// SHA-256 of the secret it presents.
    pub secret_hash: Digest,
    /// The device.
    pub device: DeviceId,
    /// SHA-256 of its public key.
    pub key_digest: Digest,
    /// What its survey found.
    pub facts: DeviceFacts,
    /// The request, should it be the one that onboards.
    pub request: RequestId,
    /// The moment of the command.
    pub now: Timestamp,
}

/// What happens to both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Onboarding {
    /// What happens to the token: nothing, or it is used.
    pub token: Vec<onboarding_token::Event>,
    /// What happens to the enrollment.
    pub enrollment: Vec<enrollment::Event>,
}

/// A refusal by either side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The token does not let the device in.
    #[error(transparent)]
    Token(#[from] onboarding_token::Error),
    /// The enrollment does not take the device.
    #[error(transparent)]
    Enrollment(#[from] enrollment::Error),
}

/// Decides an onboarding. Only a device that was not yet in with this token and key counts as a use of the token, so
/// that a lost reply burns nothing: its repeat is let in even when the token has expired or is used up since.
///
/// # Errors
/// [`Error`] when the token is unknown, revoked, expired or used up, or the facts are out of bounds.
pub fn decide(
    token: &OnboardingToken,
    enrollment: &Enrollment,
    command: &Onboard,
) -> Result<Onboarding, Error> {
    let Onboard { token: token_id, secret_hash, device, key_digest, facts, request, now } = command;
    token.admit(secret_hash)?;
    let enrollment = enrollment.decide(&enrollment::Command::Onboard {
        token: *token_id,
        key_digest: *key_digest,
        facts: facts.clone(),
        request: *request,
    })?;
    let comes_in = enrollment.iter().any(|event| matches!(event, enrollment::Event::Onboarded { .. }));
    let token = if comes_in {
        token.decide(&onboarding_token::Command::Use { device: *device, platform: facts.platform, now: *now })?
    } else {
        vec![]
    };
    Ok(Onboarding { token, enrollment })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::facts::tests::a_linux_device;

    const NOW: Timestamp = Timestamp::from_micros(5);
    const EXPIRY: Timestamp = Timestamp::from_micros(10);

    fn id<T>(make: impl Fn(Uuid) -> T, n: u128) -> T {
        make(Uuid::from_u128(n))
    }

    fn onboard() -> Onboard {
        Onboard {
            token: id(TokenId::from_uuid, 1),
            secret_hash: [9; 32],
            device: id(DeviceId::from_uuid, 2),
            key_digest: [1; 32],
            facts: a_linux_device(),
            request: id(RequestId::from_uuid, 3),
            now: NOW,
        }
    }

    fn a_token_for_one() -> OnboardingToken {
        let mut token = OnboardingToken::default();
        token.evolve(&onboarding_token::Event::Issued {
            secret_hash: [9; 32],
            expire_time: EXPIRY,
            terms: onboarding_token::Terms { uses_max: 1, ..Default::default() },
            at: NOW,
        });
        token
    }

    fn after(onboarding: &Onboarding) -> (OnboardingToken, Enrollment) {
        let (mut token, mut enrollment) = (a_token_for_one(), Enrollment::default());
        onboarding.token.iter().for_each(|event| token.evolve(event));
        onboarding.enrollment.iter().for_each(|event| enrollment.evolve(event));
        (token, enrollment)
    }

    #[test]
    fn a_new_device_uses_the_token() {
        let onboarding = decide(&a_token_for_one(), &Enrollment::default(), &onboard());
        let used = onboarding_token::Event::Used { device: onboard().device, at: NOW };
        let Ok(Onboarding { token, enrollment }) = onboarding else { panic!("refused: {onboarding:?}") };
        assert_eq!(token, [used]);
        assert!(matches!(enrollment[..], [enrollment::Event::Onboarded { .. }]));
    }

    #[test]
    fn a_repeat_burns_no_use_even_of_a_token_that_is_used_up_and_expired() {
        let first = decide(&a_token_for_one(), &Enrollment::default(), &onboard()).expect("a good token");
        let (token, enrollment) = after(&first);
        let repeat = Onboard { now: EXPIRY, ..onboard() };
        assert_eq!(decide(&token, &enrollment, &repeat), Ok(Onboarding::default()));
    }

    #[test]
    fn a_new_key_needs_a_use_of_its_own() {
        let first = decide(&a_token_for_one(), &Enrollment::default(), &onboard()).expect("a good token");
        let (token, enrollment) = after(&first);
        let again = Onboard { key_digest: [2; 32], ..onboard() };
        let used_up = onboarding_token::Error::UsedUp { uses_max: 1 };
        assert_eq!(decide(&token, &enrollment, &again), Err(Error::Token(used_up)));
    }

    #[test]
    fn a_wrong_secret_lets_nobody_in_not_even_again() {
        let first = decide(&a_token_for_one(), &Enrollment::default(), &onboard()).expect("a good token");
        let (token, enrollment) = after(&first);
        let wrong = Onboard { secret_hash: [8; 32], ..onboard() };
        let unknown = Err(Error::Token(onboarding_token::Error::Unknown));
        assert_eq!(decide(&token, &enrollment, &wrong), unknown);
    }
}
