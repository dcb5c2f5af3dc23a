//! What the policy service can be told.

/// Options of the policy service: so far there are none of its own.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[group(id = "policy")]
pub struct Config {}
