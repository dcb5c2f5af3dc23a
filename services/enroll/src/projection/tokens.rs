//! Onboarding tokens, in the order they were made.

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, Service, TenantId, TokenId};
use rustc_hash::FxHashMap;

use crate::domain::onboarding_token::{Issued, OnboardingToken};
use crate::store::{self, Key};

/// The view.
#[derive(Debug, Default)]
pub struct Tokens {
    rows: Vec<Token>,
    by_id: FxHashMap<TokenId, u32>,
}

/// An onboarding token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The tenant it is for.
    pub tenant: TenantId,
    /// Its id.
    pub id: TokenId,
    /// What is known of it.
    pub issued: Issued,
}

impl Tokens {
    /// One token.
    #[must_use]
    pub fn get(&self, id: TokenId) -> Option<&Token> {
        self.rows.get(*self.by_id.get(&id)? as usize)
    }

    /// A tenant's tokens made before the `before`-th, newest first, each with its number.
    pub fn before(&self, tenant: TenantId, before: u32) -> impl Iterator<Item = (u32, &Token)> {
        let rows = self.rows.iter().take(before as usize).rev();
        (0..before.min(count(&self.rows))).rev().zip(rows).filter(move |(_, token)| token.tenant == tenant)
    }

    fn put(&mut self, number: u32, token: Token) {
        self.by_id.insert(token.id, number);
        match self.rows.get_mut(number as usize) {
            Some(row) => *row = token,
            None => self.rows.push(token),
        }
    }
}

impl View for Tokens {
    const NAME: &'static str = "tokens";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Enroll];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::OnboardingToken {
            return Ok(());
        }
        let Some(change) = OnboardingToken::decode(event).map_err(|reason| FoldError::new(event, reason))?
        else {
            return Ok(());
        };
        let id = TokenId::from_uuid(event.stream.id);
        let number = self.by_id.get(&id).copied().unwrap_or(count(&self.rows));
        let mut token = OnboardingToken::from(self.get(id).map(|row| row.issued.clone()));
        token.evolve(&change);
        if let Some(issued) = token.issued() {
            self.put(number, Token { tenant: event.stream.tenant, id, issued: issued.clone() });
            dirty.mark(store::token_key(number));
        }
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..count(&self.rows)).for_each(|number| row(&store::token_key(number)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let Some(Key::Token(number)) = store::read_key(key) else { return None };
        self.rows.get(number as usize).map(store::encode_token)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let Some(Key::Token(number)) = store::read_key(key) else {
            return Err("not the key of a token".into());
        };
        if number != count(&self.rows) {
            return Err(format!("token {} is missing", self.rows.len()));
        }
        self.put(number, store::decode_token(value)?);
        Ok(())
    }
}

fn count<T>(rows: &[T]) -> u32 {
    u32::try_from(rows.len()).expect("a view of 4 billion rows does not fit in memory")
}
