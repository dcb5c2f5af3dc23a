//! `muster loadgen`.

mod fleet;
mod onboard;

use std::str::FromStr;

use clap::Subcommand;
use muster_errors::Fault;

use crate::flags::{Output, Target};

/// Load from made-up devices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Onboard believable devices of every documented platform, each over its own connection
    Onboard(Onboard),
    /// Print the facts of made-up devices as JSON lines, without a server
    Facts {
        /// Which devices
        #[command(flatten)]
        fleet: Fleet,
    },
}

/// Which devices to make up.
#[derive(Debug, Clone, clap::Args)]
pub struct Fleet {
    /// How many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    devices: u32,
    /// Shares of windows, windows-server, domain-controller, linux and macos, for example windows=6,linux=4
    #[arg(long, default_value = "windows=60,windows-server=15,linux=20,macos=5")]
    mix: Mix,
    /// Share of devices in per cent that are below a minimum or of a kind that is not supported
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    unsupported: u8,
    /// Share of devices in per cent that an MDM manages
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    mdm: u8,
    /// The same seed makes the same devices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Devices to onboard.
#[derive(Debug, clap::Args)]
pub struct Onboard {
    /// Which devices
    #[command(flatten)]
    fleet: Fleet,
    /// How many at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,
    /// Secret of the token to come in with [default: one is made for this run]
    #[arg(long, env = "MUSTER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How to find the server
    #[command(flatten)]
    target: Target,
    /// How to print
    #[command(flatten)]
    output: Output,
}

/// A kind of device of the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Windows client.
    Windows,
    /// Windows Server.
    WindowsServer,
    /// Windows Server that is a domain controller.
    DomainController,
    /// Linux.
    Linux,
    /// macOS.
    Macos,
}

/// Shares of the kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix(Vec<(Kind, u32)>);

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shares: Vec<_> = text.split(',').map(share).collect::<Result<_, _>>()?;
        let sum: u64 = shares.iter().map(|(_, share)| u64::from(*share)).sum();
        if sum == 0 || sum > u64::from(u32::MAX) {
            return Err("the shares must add up to more than 0".to_owned());
        }
        Ok(Self(shares))
    }
}

fn share(text: &str) -> Result<(Kind, u32), String> {
    let (kind, share) = text.split_once('=').ok_or_else(|| format!("expected KIND=SHARE, found {text:?}"))?;
    let kind = match kind.trim() {
        "windows" => Kind::Windows,
        "windows-server" => Kind::WindowsServer,
        "domain-controller" => Kind::DomainController,
        "linux" => Kind::Linux,
        "macos" => Kind::Macos,
        other => {
            let kinds = "windows, windows-server, domain-controller, linux, macos";
            return Err(format!("no kind {other:?}; there are {kinds}"));
        }
    };
    let share = share.trim().parse().map_err(|_| format!("the share {share:?} is no whole number"))?;
    Ok((kind, share))
}

impl Mix {
    /// The kind at a point of the shares; the point is taken modulo their sum.
    fn at(&self, point: u32) -> Kind {
        let sum: u32 = self.0.iter().map(|(_, share)| share).sum();
        let mut left = point % sum;
        for (kind, share) in &self.0 {
            if left < *share {
                return *kind;
            }
            left -= share;
        }
        Kind::Windows
    }
}

/// Runs the command.
///
/// # Errors
/// The call's fault, or that of the first device that met one that says nothing about the device.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Onboard(options) => onboard::run(options).await,
        Command::Facts { fleet } => onboard::print_facts(&fleet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_shares_of_kinds() {
        let mix: Mix = "windows=3,linux=1".parse().expect("a good mix");
        let kinds: Vec<_> = (0..8).map(|point| mix.at(point)).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Linux).count(), 2);
        for bad in ["", "windows", "windows=x", "beos=1", "windows=0"] {
            assert!(bad.parse::<Mix>().is_err(), "{bad:?} passed");
        }
    }
}
