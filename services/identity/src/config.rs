//! What the identity service can be told.

use std::time::Duration;

/// How long a device's certificate lasts.
pub const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Options of the identity service: none of its own yet, beyond those of every server.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "identity")]
pub struct Config {}
