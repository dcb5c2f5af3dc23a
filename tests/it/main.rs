//! Whole deployments of the real programs, told as stories.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a deployment that cannot be set up fails its test")]

mod authoring;
mod deployment;
mod dynamic_groups;
mod events;
mod examples;
mod lifecycle;
mod policy_files;
mod quickstart;
mod refusals;
mod reports;
mod story;
mod traces;
mod trust;
mod verified;
