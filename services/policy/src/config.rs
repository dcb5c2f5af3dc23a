//! What the policy service can be told.

/// Options of the policy service.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "policy")]
pub struct Config {
    /// Seconds between two entries in the log of which devices checked in
    #[arg(long, env = "MUSTER_PRESENCE_SECONDS", value_name = "SECONDS", default_value_t = PRESENCE_SECONDS)]
    pub presence_seconds: u64,
}

const PRESENCE_SECONDS: u64 = 5 * 60;

impl Default for Config {
    fn default() -> Self {
        Self { presence_seconds: PRESENCE_SECONDS }
    }
}
