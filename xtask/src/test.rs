//! Every check and every test, cheapest first; the test runner's summary is the last line.

use std::path::Path;

use anyhow::Context as _;

use crate::{codegen, contract, setup, sh, tidy};

/// What is off by default and tested all the same. One set for all commands, so that nothing is built twice.
const FEATURES: &str = "muster-cli/tpm,muster-identity/tpm,muster-fuzz/tpm";

/// Sets up, then checks and tests; with a filter, only those tests.
pub(crate) fn run(root: &Path, filter: Option<&str>) -> anyhow::Result<()> {
    setup::run(root)?;
    let tools = setup::bin(root);
    if filter.is_none() {
        sh(root, "cargo", &["fmt", "--all", "--check"])?;
        contract::check(root)?;
        codegen::run(root, true)?;
        tidy::run(root)?;
        sh(
            root,
            tools.join("cargo-deny"),
            &["--offline", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"],
        )?;
        let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--features", FEATURES];
        sh(root, "cargo", &[&clippy[..], &["--", "-D", "warnings"]].concat())?;
        // Without them it must build too.
        sh(root, "cargo", &["check", "--locked", "-p", "muster-identity"])?;
    }
    // The end-to-end tests start the real programs.
    sh(root, "cargo", &["build", "--locked", "--workspace", "--bins", "--features", FEATURES])?;
    let nextest = tools.join("cargo-nextest");
    let nextest = nextest.to_str().context("the workspace path is not UTF-8")?;
    let mut args = vec!["nextest", "run", "--locked", "--workspace", "--features", FEATURES];
    if let Some(filter) = filter {
        args.extend(["-E", filter]);
    }
    sh(root, nextest, &args)
}
