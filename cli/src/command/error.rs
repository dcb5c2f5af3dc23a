//! `muster error`.

use clap::Subcommand;
use muster_errors::{ErrorCode, Fault};
use serde_json::json;

use crate::flags::Output;
use crate::output::{Data, print_text};

/// Error codes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every code
    List {
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Say what a code means and what to do
    Explain {
        /// The code, for example TOKEN_EXPIRED
        code: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When there is no such code.
pub fn run(command: &Command) -> Result<(), Fault> {
    match command {
        Command::List { output } => {
            let items = ErrorCode::ALL.iter().map(|code| {
                let meaning = code.page().lines().nth(2).unwrap_or_default();
                json!({"name": code.as_str(), "meaning": meaning, "grpc_status": format!("{:?}", code.status())})
            });
            let columns = &[("code", "/name"), ("meaning", "/meaning")];
            Data::list("errors", items.collect(), String::new(), columns).print(output.format)
        }
        Command::Explain { code } => {
            let code: ErrorCode = code.to_uppercase().parse().map_err(|error| {
                Fault::invalid_field("code", format!("{error}; `muster error list` shows them all"))
            })?;
            print_text(code.page())
        }
    }
}
