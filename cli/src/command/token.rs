//! `muster token`.

use std::time::Duration;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::convert;
use muster_proto::enroll::v1::{
    CreateOnboardingTokenRequest, ListOnboardingTokensRequest, RevokeOnboardingTokenRequest,
};

use crate::connect::{Api, once, request_id};
use crate::flags::{Output, Page, Target};
use crate::output::{Data, note};
use crate::view;

/// Onboarding tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token; its secret is shown now and never again
    Create {
        /// How long it works: 90s, 15m, 24h, 7d
        #[arg(long, default_value = "24h", value_parser = crate::parse::duration)]
        ttl: Duration,
        /// How many devices it may onboard
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// List tokens, newest first
    List {
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Take a token back; devices that came in with it stay
    Revoke {
        /// The token's id
        token: String,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Create { ttl, uses, dry_run, target, output } => {
            let api = Api::connect(&target)?;
            let request = CreateOnboardingTokenRequest {
                parent: api.parent(),
                ttl: Some(convert::duration(ttl)),
                uses_max: uses,
                request_id: request_id(),
                validate_only: dry_run,
            };
            let reply = api.call(api.enrollment_admin().create_onboarding_token(once(request))).await?;
            let token = reply.onboarding_token.unwrap_or_default();
            let columns = &[
                ("token", "/id"),
                ("secret", "/secret"),
                ("uses", "/uses_max"),
                ("expires", "/expire_time"),
            ];
            Data::one(view::token(&token, Some(&reply.secret)), columns).print(output.format)?;
            note("Give the secret to the devices; it cannot be shown again.");
            Ok(())
        }
        Command::List { page, target, output } => {
            let api = Api::connect(&target)?;
            let request = ListOnboardingTokensRequest {
                parent: api.parent(),
                page_size: page.page_size,
                page_token: page.page_token,
            };
            let reply = api.call(api.enrollment_admin().list_onboarding_tokens(request)).await?;
            let items = reply.onboarding_tokens.iter().map(|token| view::token(token, None)).collect();
            Data::list("onboarding_tokens", items, reply.next_page_token, view::TOKEN).print(output.format)
        }
        Command::Revoke { token, dry_run, target, output } => {
            let api = Api::connect(&target)?;
            let name = api.name("onboardingTokens", &token);
            let request =
                RevokeOnboardingTokenRequest { name, request_id: request_id(), validate_only: dry_run };
            let token = api.call(api.enrollment_admin().revoke_onboarding_token(once(request))).await?;
            Data::one(view::token(&token, None), view::TOKEN).print(output.format)
        }
    }
}
