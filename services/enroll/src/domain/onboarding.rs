//! Onboarding: the one command on two aggregates, whose events stand or fall together.

use muster_types::{DeviceId, Digest, Timestamp, TokenId};

use super::enrollment::{self, Enrollment, Rules};
use super::facts::DeviceFacts;
use super::onboarding_token::{self, OnboardingToken};
use super::trouble::Trouble;

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
    /// What had kept it from getting through.
    pub troubles: Vec<Trouble>,
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

/// Decides an onboarding. A device uses a token at most once for each key, and only when it may be managed: a lost reply
/// burns nothing, nor does a device that is refused. A repeat is let in even when the token has expired or is used up
/// since; a newcomer needs a good one even to be refused by the other rules.
///
/// # Errors
/// [`Error`] when the token is unknown, revoked, expired, used up or not for this platform, the facts are out of bounds,
/// or the device is leaving or gone.
pub fn decide(
    token: &OnboardingToken,
    enrollment: &Enrollment,
    command: &Onboard,
    rules: &Rules<'_>,
) -> Result<Onboarding, Error> {
    let Onboard { token: token_id, secret_hash, device, key_digest, facts, troubles, now } = command;
    token.admit(secret_hash)?;
    let events = enrollment.decide(
        &enrollment::Command::Onboard {
            token: *token_id,
            tags: token.issued().map(|issued| issued.terms.tags.clone()).unwrap_or_default(),
            key_digest: *key_digest,
            facts: facts.clone(),
            troubles: troubles.clone(),
        },
        rules,
    )?;
    let comes_in = events.iter().any(|event| matches!(event, enrollment::Event::Onboarded { .. }));
    if !comes_in || enrollment.has_used(*token_id, key_digest) {
        return Ok(Onboarding { token: vec![], enrollment: events });
    }
    let used = token.decide(&onboarding_token::Command::Use {
        device: *device,
        platform: facts.platform,
        now: *now,
    })?;
    let permitted = enrollment.after(&events).has_used(*token_id, key_digest);
    Ok(Onboarding { token: if permitted { used } else { vec![] }, enrollment: events })
}

#[cfg(test)]
mod tests {
    use muster_types::RequestId;
    use uuid::Uuid;

    use super::*;
    use crate::domain::enrollment::{Outcome, Seat};
    use crate::domain::facts::tests::a_linux_device;
    use crate::domain::scope::{Scope, ScopeMode};
    use crate::domain::tags::sorted;

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
            troubles: vec![],
            now: NOW,
        }
    }

    /// Decides where all devices are in scope.
    fn all(token: &OnboardingToken, enrollment: &Enrollment, wish: &Onboard) -> Result<Onboarding, Error> {
        by(&Scope::default(), Seat::Free, token, enrollment, wish)
    }

    fn by(
        scope: &Scope,
        seat: Seat,
        token: &OnboardingToken,
        enrollment: &Enrollment,
        wish: &Onboard,
    ) -> Result<Onboarding, Error> {
        let request = id(RequestId::from_uuid, 3);
        decide(token, enrollment, wish, &Rules { scope, scope_version: 1, seat, request })
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
        let onboarding = all(&a_token_for_one(), &Enrollment::default(), &onboard());
        let used = onboarding_token::Event::Used { device: onboard().device, at: NOW };
        let Ok(Onboarding { token, enrollment }) = onboarding else { panic!("refused: {onboarding:?}") };
        assert_eq!(token, [used]);
        assert!(matches!(enrollment[..], [enrollment::Event::Onboarded { .. }]));
    }

    #[test]
    fn a_repeat_burns_no_use_even_of_a_token_that_is_used_up_and_expired() {
        let first = all(&a_token_for_one(), &Enrollment::default(), &onboard()).expect("a good token");
        let (token, enrollment) = after(&first);
        let repeat = Onboard { now: EXPIRY, ..onboard() };
        assert_eq!(all(&token, &enrollment, &repeat), Ok(Onboarding::default()));
    }

    #[test]
    fn a_new_key_needs_a_use_of_its_own() {
        let first = all(&a_token_for_one(), &Enrollment::default(), &onboard()).expect("a good token");
        let (token, enrollment) = after(&first);
        let again = Onboard { key_digest: [2; 32], ..onboard() };
        let used_up = onboarding_token::Error::UsedUp { uses_max: 1 };
        assert_eq!(all(&token, &enrollment, &again), Err(Error::Token(used_up)));
    }

    #[test]
    fn a_wrong_secret_lets_nobody_in_not_even_again() {
        let first = all(&a_token_for_one(), &Enrollment::default(), &onboard()).expect("a good token");
        let (token, enrollment) = after(&first);
        let wrong = Onboard { secret_hash: [8; 32], ..onboard() };
        let unknown = Err(Error::Token(onboarding_token::Error::Unknown));
        assert_eq!(all(&token, &enrollment, &wrong), unknown);
    }

    #[test]
    fn a_device_that_is_refused_uses_nothing_up_and_comes_in_once_it_may() {
        let off = Scope { linux: ScopeMode::Off, ..Scope::default() };
        let refused = by(&off, Seat::Free, &a_token_for_one(), &Enrollment::default(), &onboard());
        let refused = refused.expect("an event, no error");
        assert_eq!(refused.token, []);
        let (token, enrollment) = after(&refused);
        assert_eq!(enrollment.onboarded().map(|known| known.outcome), Some(Outcome::Refused));
        assert_eq!(by(&off, Seat::Free, &token, &enrollment, &onboard()), Ok(Onboarding::default()));

        let permitted = all(&token, &enrollment, &onboard()).expect("let in");
        assert_eq!(permitted.token.len(), 1);
        let used_up = Err(Error::Token(onboarding_token::Error::UsedUp { uses_max: 1 }));
        let another = Onboard { key_digest: [2; 32], ..onboard() };
        let (token, _) = after(&permitted);
        assert_eq!(by(&off, Seat::Free, &token, &Enrollment::default(), &another), used_up);
    }

    #[test]
    fn the_tags_of_the_token_count_for_the_decision() {
        let tagged = Scope { linux: ScopeMode::Tagged, ..Scope::default() };
        let mut token = a_token_for_one();
        token.evolve(&onboarding_token::Event::Issued {
            secret_hash: [9; 32],
            expire_time: EXPIRY,
            terms: onboarding_token::Terms {
                uses_max: 1,
                tags: sorted(["MDE-Management"]),
                ..Default::default()
            },
            at: NOW,
        });
        let let_in = by(&tagged, Seat::Free, &token, &Enrollment::default(), &onboard()).expect("let in");
        let added = sorted(["MDE-Management"]);
        assert_eq!(let_in.enrollment[1..], [enrollment::Event::Tagged { added, removed: vec![] }]);
        assert_eq!(let_in.token.len(), 1);
    }
}
