//! Onboarding tokens are made and revoked.

use std::time::Duration;

use muster_eventlog::Actor;
use muster_eventlog::command::{ExecuteError, Executed};
use muster_types::id::derive;
use muster_types::{Digest, RequestId, TenantId, TokenId};

use super::{Commands, token_stream};
use crate::domain::onboarding_token::{self, OnboardingToken, Terms};

/// A token to make.
#[derive(Debug, Clone)]
pub struct IssueToken {
    /// The tenant it is for.
    pub tenant: TenantId,
    /// The request; the token's id follows from it.
    pub request: RequestId,
    /// SHA-256 of its secret.
    pub secret_hash: Digest,
    /// How long it works.
    pub ttl: Duration,
    /// What it lets in, and what it gives.
    pub terms: Terms,
    /// Only say what would come of it.
    pub validate_only: bool,
}

impl Commands {
    /// Makes an onboarding token. The same request again finds the token it made.
    ///
    /// # Errors
    /// Refused when the request id made another token.
    pub async fn issue_token(
        &self,
        issue: &IssueToken,
        actor: Actor,
    ) -> Result<Executed<OnboardingToken>, ExecuteError<onboarding_token::Error>> {
        let context = self.context(actor, issue.request);
        let command = onboarding_token::Command::Issue {
            secret_hash: issue.secret_hash,
            expire_time: context.time.plus(issue.ttl),
            terms: issue.terms.clone(),
            now: context.time,
        };
        let stream = token_stream(issue.tenant, token_id(issue.tenant, issue.request));
        let decide = |token: &OnboardingToken| token.decide(&command);
        if issue.validate_only {
            return self.tokens.rehearse(&self.log, stream, decide).await;
        }
        // Of two calls with one request id, each with a secret of its own, the log must take only one as written.
        let call = derive("issue-token", &[issue.request.as_bytes(), &issue.secret_hash]);
        self.tokens.execute(&self.log, stream, RequestId::from_uuid(call), &context, decide).await
    }

    /// Checks that a secret is a token's and that the token was not revoked: before others are asked on behalf of who
    /// presents it.
    ///
    /// # Errors
    /// Refused when it is not, or was.
    pub async fn admit(
        &self,
        (tenant, id): (TenantId, TokenId),
        secret_hash: &Digest,
    ) -> Result<(), ExecuteError<onboarding_token::Error>> {
        let (token, _) = self.tokens.load(&self.log, token_stream(tenant, id)).await?;
        token.admit(secret_hash).map_err(ExecuteError::Refused)
    }

    /// Revokes an onboarding token.
    ///
    /// # Errors
    /// Refused when there is no such token.
    pub async fn revoke_token(
        &self,
        (tenant, id): (TenantId, TokenId),
        request: RequestId,
        validate_only: bool,
        actor: Actor,
    ) -> Result<Executed<OnboardingToken>, ExecuteError<onboarding_token::Error>> {
        let context = self.context(actor, request);
        let command = onboarding_token::Command::Revoke { now: context.time };
        let stream = token_stream(tenant, id);
        let decide = |token: &OnboardingToken| token.decide(&command);
        if validate_only {
            return self.tokens.rehearse(&self.log, stream, decide).await;
        }
        self.tokens.execute(&self.log, stream, request, &context, decide).await
    }
}

/// The id of the token that a request makes.
#[must_use]
pub fn token_id(tenant: TenantId, request: RequestId) -> TokenId {
    TokenId::from_uuid(derive("onboarding-token", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}
