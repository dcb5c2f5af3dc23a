//! `muster report`.

pub mod device;
pub mod export;
pub mod filter;
pub mod fleet;
pub mod policy;
pub mod settings;
mod words;

use clap::Subcommand;
use muster_errors::Fault;

/// How devices stand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How a device stands with each setting, now or at a past moment: what it should have, what it read back, and why
    Device(device::Options),
    /// How the devices of a policy stand: counts, or each device, each setting, or how long it took
    Policy(Box<policy::Options>),
    /// How all devices stand, and each policy
    Fleet(fleet::Options),
    /// Write a row for each device of a policy, all at one position of the logs
    #[command(subcommand)]
    Export(export::Command),
    /// When devices count as stale or drifting
    #[command(subcommand)]
    Settings(settings::Command),
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Device(options) => device::run(options).await,
        Command::Policy(options) => policy::run(*options).await,
        Command::Fleet(options) => fleet::run(options).await,
        Command::Export(command) => export::run(command).await,
        Command::Settings(command) => settings::run(command).await,
    }
}
