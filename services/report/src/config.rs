//! What the report service can be told.

/// Options of the report service. It has none of its own yet.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "report")]
pub struct Config {}
