//! `muster pki`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Subcommand;
use muster_errors::{ErrorCode, Fault};
use muster_pki::{InitOptions, LocalTrust};
use muster_types::{Clock as _, SystemClock};

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
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be written or holds keys that others can read.
pub fn run(command: Command) -> Result<(), Fault> {
    let Command::Init { dir, dns_names, ips } = command;
    let mut options = InitOptions::local(SystemClock.now());
    options.dns_names.extend(dns_names);
    options.ips.extend(ips);
    LocalTrust::init(&dir, &options)
        .map_err(|error| Fault::new(ErrorCode::ConfigInvalid, error.to_string()))?;
    note(&format!("keys and certificates are in {}", dir.display()));
    Ok(())
}
