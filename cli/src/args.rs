//! What can be typed: the doc comments are the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use muster_types::Service;

use crate::command::{catalog, device, error, events, group, log, pki, policy, report, token};
use crate::output::Format;
use crate::quickstart;
use crate::serve;

/// Endpoint security settings for devices without an MDM: a control plane in one program
#[derive(Debug, Parser)]
#[command(name = "muster", version, propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show it all on this machine: start the control plane, onboard this machine, bring it under policy, report
    Quickstart(quickstart::Options),
    /// Run the control plane: the four services in one process
    Serve(serve::Options),
    /// Onboarding tokens: what a device needs to come in
    #[command(subcommand)]
    Token(token::Command),
    /// Devices: the inventory, and telling one to check in now
    #[command(subcommand)]
    Device(device::Command),
    /// Groups of devices
    #[command(subcommand)]
    Group(group::Command),
    /// Policies and their assignments
    #[command(subcommand)]
    Policy(policy::Command),
    /// How devices stand: what they read back
    #[command(subcommand)]
    Report(report::Command),
    /// The event stream
    #[command(subcommand)]
    Events(events::Command),
    /// The event log itself
    #[command(subcommand)]
    Log(log::Command),
    /// The settings catalogue (offline)
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// What an error code means and what to do (offline)
    #[command(subcommand)]
    Error(error::Command),
    /// Keys and certificates for services that run apart
    #[command(subcommand)]
    Pki(pki::Command),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How to find the server.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Address of the server [default: as the server wrote it into the data folder, else https://127.0.0.1:7443]
    #[arg(long, env = "MUSTER_ENDPOINT", global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The server's data folder: holds its authority's certificate and the admin token
    #[arg(long, env = "MUSTER_DATA_DIR", global = true, default_value = "./muster-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Tenant to work in
    #[arg(long, env = "MUSTER_TENANT", global = true, default_value = "default")]
    pub tenant: String,
}

/// How to print.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Form of the output
    #[arg(short = 'o', long = "output", global = true, value_enum, default_value_t)]
    pub format: Format,
}

/// A page of a list.
#[derive(Debug, Clone, Args)]
pub struct Page {
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub page_size: i32,
    /// Token of the page, from the page before
    #[arg(long, default_value = "")]
    pub page_token: String,
}

/// Reads a service's name.
///
/// # Errors
/// When it is none of the four.
pub fn service(text: &str) -> Result<Service, String> {
    text.parse().map_err(|error: muster_types::stream::UnknownName| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_option_contradicts_another() {
        Arguments::command().debug_assert();
    }
}
