//! What can be typed: the doc comments are the help texts.

use clap::{Parser, Subcommand};

use crate::command::{
    apply, catalog, check_in, delete, device, diff, error, events, explain, export, group, history, import,
    loadgen, log, pki, plan, policy, registration, render, report, scope, token, trust_anchor, validate,
    verify_policy, waiver,
};
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
    Serve(Box<serve::Options>),
    /// Onboarding tokens: what a device needs to come in
    #[command(subcommand)]
    Token(token::Command),
    /// Devices: the inventory, tags, offboarding, deletion, and telling one to check in now
    #[command(subcommand)]
    Device(device::Command),
    /// The enforcement scope: which devices this channel may manage, and on what terms
    #[command(subcommand)]
    Scope(scope::Command),
    /// Check-ins: how often devices come, and how changes reach them
    #[command(subcommand)]
    CheckIn(check_in::Command),
    /// Registrations of devices: what their trust rests on, the directory feed, revocation, clones
    #[command(subcommand)]
    Registration(registration::Command),
    /// Authorities whose certificates prove full registrations
    #[command(subcommand)]
    TrustAnchor(trust_anchor::Command),
    /// Groups of devices
    #[command(subcommand)]
    Group(group::Command),
    /// Policies and their assignments
    #[command(subcommand)]
    Policy(policy::Command),
    /// Waivers: exemptions of devices from settings or policies, for a time
    #[command(subcommand)]
    Waiver(waiver::Command),
    /// Make the server have what files have: groups, policies, assignments, waivers, scope; twice changes nothing
    Apply(apply::Options),
    /// Show what apply would change, field by field; exit code 0 nothing, 2 something, 1 error
    Diff(diff::Options),
    /// Show what apply would do to devices, with a digest for apply --plan; exit code 0 nothing, 2 something, 1 error
    Plan(plan::Options),
    /// Write what the server has as files that apply to nothing
    Export(export::Options),
    /// Delete what files have
    Delete(delete::Options),
    /// Check files of policies, groups, assignments, scope and waivers (offline)
    Validate(validate::Options),
    /// Why a device is set to what it is set to
    #[command(subcommand)]
    Explain(explain::Command),
    /// What became of something, from its first event
    #[command(subcommand)]
    History(history::Command),
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
    /// Turn a managed configuration of a security product into policy files (offline)
    #[command(subcommand)]
    Import(import::Command),
    /// Show what policy files become on a device (offline)
    Render(render::Options),
    /// Whether a signed policy would be obeyed, and what it says (offline)
    VerifyPolicy(verify_policy::Options),
    /// What an error or enrollment code means and what to do (offline)
    #[command(subcommand)]
    Error(error::Command),
    /// Keys and certificates for services that run apart
    #[command(subcommand)]
    Pki(pki::Command),
    /// Load on a control plane from made-up devices
    #[command(subcommand)]
    Loadgen(loadgen::Command),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_option_contradicts_another() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_page_token_is_taken_whatever_it_begins_with() {
        for token in ["-4v3bHRItWYAAAAA", "--", "_-"] {
            let words = ["muster", "report", "policy", "strict", "--devices", "--page-token", token];
            assert!(Arguments::try_parse_from(words).is_ok(), "{token}");
        }
    }
}
