//! House work: `cargo xtask codegen|contract|setup|test|tidy`.

mod codegen;
mod comments;
mod contract;
mod enrollment_docs;
mod setup;
mod test;
mod tidy;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "House work")]
enum Task {
    /// Generate crates/proto from proto/, and the pages of the catalogue, the error codes, enrollment and events
    Codegen {
        /// Only check that what is checked in is fresh
        #[arg(long)]
        check: bool,
    },
    /// Check the contract's form, and that it breaks nobody who knows the released one
    Contract {
        /// Take what there is as released, for later changes to be held to: a step of every release
        #[arg(long)]
        release: bool,
    },
    /// Install what the tests need and this machine lacks, into .tools/ (system packages only where run as root)
    Setup,
    /// Set up, then run every check and every test
    Test {
        /// Only run tests whose name matches this nextest filter expression, and no other check
        #[arg(short = 'E', long)]
        filter: Option<String>,
    },
    /// Check the house rules: dependency arrows, purity of domain/, a page per error code
    Tidy,
}

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    match Task::parse() {
        Task::Codegen { check } => {
            codegen::run(root, check)?;
            codegen::event_docs(root, check)
        }
        Task::Contract { release } => {
            setup::run(root)?;
            if release { contract::release(root) } else { contract::check(root) }
        }
        Task::Setup => setup::run(root),
        Task::Test { filter } => test::run(root, filter.as_deref()),
        Task::Tidy => tidy::run(root),
    }
}

/// Runs a command in the workspace and fails with its name.
#[expect(clippy::print_stderr, reason = "a command-line tool says what it runs")]
fn sh(root: &Path, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> anyhow::Result<()> {
    let program = program.as_ref();
    eprintln!("+ {} {}", program.display(), args.join(" "));
    let status = Command::new(program)
        .args(args)
        .current_dir(root)
        .status()
        .with_context(|| format!("starting {}", program.display()))?;
    if !status.success() {
        bail!("{} {} failed ({status})", program.display(), args.join(" "));
    }
    Ok(())
}
