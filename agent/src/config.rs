//! What the agent is told at start.

use std::fmt;
use std::path::PathBuf;

/// Where an agent keeps its state when nothing else is said.
pub const STATE_DIR: &str = "/var/lib/muster-agent";

/// Flags of the agent.
#[derive(Clone, clap::Args)]
pub struct Config {
    /// Server to onboard with, for example https://127.0.0.1:7443; without it, an onboarded device uses the addresses it was
    /// told then.
    #[arg(long, env = "MUSTER_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// PEM file of the authorities whose servers are believed when onboarding.
    #[arg(long, env = "MUSTER_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Onboarding token; needed until the device is onboarded, and again when its certificate has expired.
    #[arg(long, env = "MUSTER_ONBOARDING_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub token: Option<String>,
    /// Where the file system that settings are written to begins.
    #[arg(long, default_value = "/", value_name = "DIR")]
    pub root: PathBuf,
    /// Where the file system that facts are read from begins.
    #[arg(long, default_value = "/", value_name = "DIR", hide = true)]
    pub facts_root: PathBuf,
    /// Folder of the agent's own state: key, certificate, last good policy.
    #[arg(long, env = "MUSTER_STATE_DIR", default_value = STATE_DIR, value_name = "DIR")]
    pub state_dir: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: None,
            ca: None,
            token: None,
            root: "/".into(),
            facts_root: "/".into(),
            state_dir: STATE_DIR.into(),
        }
    }
}

/// Tells whether there is a token, and nothing of it.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, ca, token, root, facts_root, state_dir } = self;
        f.debug_struct("Config")
            .field("server", server)
            .field("ca", ca)
            .field("token", &token.as_ref().map(|_| "…"))
            .field("root", root)
            .field("facts_root", facts_root)
            .field("state_dir", state_dir)
            .finish()
    }
}
