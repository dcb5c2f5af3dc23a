//! `muster pki`: on the folder itself, without a server.

mod policy_key;
mod status;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use muster_errors::{ErrorCode, Fault};
use muster_pki::local::RotationStep;
use muster_pki::{InitOptions, LocalTrust};
use muster_types::{Clock as _, SystemClock};

use crate::flags::Output;
use crate::output::note;

/// Keys and certificates.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make what is missing: authority, service certificates, admin token, policy signing key
    Init {
        /// Folder to keep them in; keys get mode 0600
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Further DNS names the services are reached by
        #[arg(long = "dns-name")]
        dns_names: Vec<String>,
        /// Further addresses the services are reached by
        #[arg(long = "ip")]
        ips: Vec<IpAddr>,
    },
    /// Replace the authority, stage by stage, so that nobody loses trust
    ///
    /// prepare makes the next authority, which servers and devices learn to believe; switch lets it issue; retire takes
    /// the old one away. Servers take up a stage when they start again, and each stage but the first waits until all
    /// devices have followed the one before.
    Rotate {
        /// What to do
        #[arg(long, value_enum)]
        stage: Stage,
        /// Folder of keys and certificates
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Do not wait for devices; those that have not followed lose their trust and must be onboarded again
        #[arg(long)]
        force: bool,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Replace the key that signs policies, stage by stage, so that no device refuses one
    ///
    /// prepare makes the next key, which signs beside the present one and which devices learn to believe; switch makes it
    /// the one that signs, with the old one beside it; retire takes the old one away. Servers take up a stage when they
    /// start again.
    RotatePolicyKey {
        /// What to do
        #[arg(value_enum)]
        stage: Stage,
        /// Folder of keys and certificates
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Do not wait for devices; one that has not followed gets a policy by the new key at its next check-in
        #[arg(long)]
        force: bool,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Show the keys that sign policies and how far their rotation is; policy-signing.pub in the folder has them in PEM
    PolicyKeys {
        /// Folder of keys and certificates
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Show the authorities, how far a rotation is, and what comes next
    Status {
        /// Folder of keys and certificates
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// A stage of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Make the next one, and believe it
    Prepare,
    /// Let it take the place of the old one
    Switch,
    /// Believe the old one no more
    Retire,
}

impl From<Stage> for RotationStep {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Prepare => Self::Prepare,
            Stage::Switch => Self::Switch,
            Stage::Retire => Self::Retire,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be written or holds keys that others can read, or a stage is refused.
pub fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Init { dir, dns_names, ips } => init(&dir, dns_names, ips),
        Command::Rotate { stage, dir, force, output } => {
            let status = LocalTrust::rotate(&dir, stage.into(), force, SystemClock.now())
                .map_err(|error| refused(&error))?;
            status::print(&status, output.format)
        }
        Command::RotatePolicyKey { stage, dir, force, output } => {
            let rotation = LocalTrust::rotate_policy_key(&dir, stage.into(), force, SystemClock.now())
                .map_err(|error| refused(&error))?;
            policy_key::print(&rotation, output.format)
        }
        Command::PolicyKeys { dir, output } => {
            let rotation = LocalTrust::policy_key_rotation(&dir).map_err(|error| refused(&error))?;
            policy_key::print(&rotation, output.format)
        }
        Command::Status { dir, output } => {
            let status = LocalTrust::rotation(&dir).map_err(|error| refused(&error))?;
            status::print(&status, output.format)
        }
    }
}

fn init(dir: &Path, dns_names: Vec<String>, ips: Vec<IpAddr>) -> Result<(), Fault> {
    let mut options = InitOptions::local(SystemClock.now());
    options.dns_names.extend(dns_names);
    options.ips.extend(ips);
    LocalTrust::init(dir, &options).map_err(|error| refused(&error))?;
    note(&format!("keys and certificates are in {}", dir.display()));
    Ok(())
}

fn refused(error: &dyn std::error::Error) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, error.to_string())
}
