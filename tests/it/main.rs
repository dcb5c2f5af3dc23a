//! Whole deployments of the real programs, told as stories.

mod deployment;
mod quickstart;
mod refusals;
mod story;
