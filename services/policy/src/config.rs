//! What the policy service can be told.

/// Options of the policy service.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "policy")]
pub struct Config {
    /// Seconds between two entries in the log of which devices checked in
    #[arg(long, env = "MUSTER_PRESENCE_SECONDS", value_name = "SECONDS", default_value_t = PRESENCE_SECONDS)]
    pub presence_seconds: u64,

    /// Base URL where the policy service finds the identity service, for example https://identity:7443
    #[arg(long, env = "MUSTER_IDENTITY_URL", value_name = "URL")]
    pub policy_identity_url: Option<String>,
}

const PRESENCE_SECONDS: u64 = 5 * 60;

impl Default for Config {
    fn default() -> Self {
        Self { presence_seconds: PRESENCE_SECONDS, policy_identity_url: None }
    }
}

impl Config {
    /// Fills in what was not said with the address this process is reached at.
    #[must_use]
    pub fn served_at(self, base_url: &str) -> Self {
        let Self { presence_seconds, policy_identity_url } = self;
        let policy_identity_url = policy_identity_url.or_else(|| Some(base_url.to_owned()));
        Self { presence_seconds, policy_identity_url }
    }
}
