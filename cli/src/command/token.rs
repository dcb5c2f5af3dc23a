//! `muster token`.

use std::time::Duration;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::convert;
use muster_proto::enroll::v1::{
    CreateOnboardingTokenRequest, ListOnboardingTokensRequest, Platform, RevokeOnboardingTokenRequest,
};

use crate::connect::{Api, once, request_id};
use crate::flags::{Page, Read, Write};
use crate::output::{Data, note};
use crate::view::enroll;

/// Onboarding tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token; its secret is shown now and never again
    Create(Create),
    /// List tokens, newest first
    List {
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Take a token back; devices that came in with it stay
    Revoke {
        /// The token's id
        token: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
}

/// A token to make.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// How long it works: 90s, 15m, 24h, 7d
    #[arg(long, default_value = "24h", value_parser = crate::parse::duration)]
    ttl: Duration,
    /// How many devices it may onboard
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// Tag that devices get when they come in with it; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Platform it lets in; may be given again [default: all]
    #[arg(long = "platform", value_name = "PLATFORM", value_enum)]
    platforms: Vec<Family>,
    /// What it is for
    #[arg(long, default_value = "")]
    name: String,
    /// How
    #[command(flatten)]
    how: Write,
}

/// Operating system family.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Family {
    /// Windows client or server
    Windows,
    /// Linux
    Linux,
    /// macOS
    Macos,
}

impl From<Family> for Platform {
    fn from(family: Family) -> Self {
        match family {
            Family::Windows => Self::Windows,
            Family::Linux => Self::Linux,
            Family::Macos => Self::Macos,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Create(token) => create(token).await,
        Command::List { page: Page { page_size, page_token }, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let request = ListOnboardingTokensRequest { parent: api.parent(), page_size, page_token };
            let reply = api.call(api.enrollment_admin().list_onboarding_tokens(request)).await?;
            let items = reply.onboarding_tokens.iter().map(|token| enroll::token(token, None)).collect();
            Data::list("onboarding_tokens", items, reply.next_page_token, enroll::TOKEN).print(output.format)
        }
        Command::Revoke { token, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.name("onboardingTokens", &token);
            let request =
                RevokeOnboardingTokenRequest { name, request_id: request_id(), validate_only: dry_run };
            let token = api.call(api.enrollment_admin().revoke_onboarding_token(once(request))).await?;
            Data::one(enroll::token(&token, None), enroll::TOKEN).print(output.format)
        }
    }
}

async fn create(token: Create) -> Result<(), Fault> {
    let Create { ttl, uses, tags, platforms, name, how: Write { dry_run, target, output } } = token;
    let api = Api::connect(&target)?;
    let request = CreateOnboardingTokenRequest {
        parent: api.parent(),
        ttl: Some(convert::duration(ttl)),
        uses_max: uses,
        request_id: request_id(),
        validate_only: dry_run,
        tags,
        platforms: platforms.into_iter().map(|family| Platform::from(family).into()).collect(),
        display_name: name,
    };
    let reply = api.call(api.enrollment_admin().create_onboarding_token(once(request))).await?;
    let token = reply.onboarding_token.unwrap_or_default();
    let columns = &[
        ("token", "/id"),
        ("secret", "/secret"),
        ("name", "/display_name"),
        ("uses", "/uses_max"),
        ("tags", "/tags_text"),
        ("platforms", "/platforms_text"),
        ("expires", "/expire_time"),
    ];
    Data::one(enroll::token(&token, Some(&reply.secret)), columns).print(output.format)?;
    note("Give the secret to the devices; it cannot be shown again.");
    Ok(())
}
