//! Options that several commands share.

use std::path::PathBuf;

use clap::Args;
use muster_types::Service;

use crate::output::Format;

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

/// A call that reads.
#[derive(Debug, Clone, Args)]
pub struct Read {
    /// How to find the server
    #[command(flatten)]
    pub target: Target,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// A call that changes something.
#[derive(Debug, Clone, Args)]
pub struct Write {
    /// Only check; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to find the server
    #[command(flatten)]
    pub target: Target,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// A page of a list.
#[derive(Debug, Clone, Args)]
pub struct Page {
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub page_size: i32,
    /// Token of the page, from the page before
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub page_token: String,
}

/// Reads a service's name.
///
/// # Errors
/// When it is none of the four.
pub fn service(text: &str) -> Result<Service, String> {
    text.parse().map_err(|error: muster_types::stream::UnknownName| error.to_string())
}
