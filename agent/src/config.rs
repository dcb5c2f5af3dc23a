//! What the agent is told at start.

use std::fmt;
use std::path::PathBuf;

use muster_types::TenantId;

use crate::proof::ProofFiles;

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
    /// Tenant to onboard into; a proof of a registration is bound to it.
    #[arg(long, env = "MUSTER_TENANT", default_value_t = TenantId::DEFAULT, value_name = "TENANT")]
    pub tenant: TenantId,
    /// PEM file of a certificate that proves a registration, with its intermediates: of the corporate authority, the
    /// directory or SPIRE. May appear or change while the agent runs.
    #[arg(long, env = "MUSTER_REGISTRATION_CERT", value_name = "FILE", requires = "registration_key")]
    pub registration_cert: Option<PathBuf>,
    /// PEM file of that certificate's private key. It is used to sign, and never sent.
    #[arg(long, env = "MUSTER_REGISTRATION_KEY", value_name = "FILE", requires = "registration_cert")]
    pub registration_key: Option<PathBuf>,
    /// Where the file system that settings are written to begins.
    #[arg(long, default_value = "/", value_name = "DIR")]
    pub root: PathBuf,
    /// Where the file system that facts are read from begins.
    #[arg(long, default_value = "/", value_name = "DIR", hide = true)]
    pub facts_root: PathBuf,
    /// Folder of the agent's own state: key, certificate, last good policy.
    #[arg(long, env = "MUSTER_STATE_DIR", default_value = STATE_DIR, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// What the environment says of proxies.
    #[command(flatten)]
    pub proxy: ProxyEnvironment,
}

/// What the environment says of proxies. The agent calls the services directly and through none; it is looked at when
/// they cannot be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct ProxyEnvironment {
    #[arg(long = "https-proxy-upper", env = "HTTPS_PROXY", hide = true, hide_env = true)]
    https_upper: Option<String>,
    #[arg(long = "https-proxy-lower", env = "https_proxy", hide = true, hide_env = true)]
    https_lower: Option<String>,
    #[arg(long = "all-proxy-upper", env = "ALL_PROXY", hide = true, hide_env = true)]
    all_upper: Option<String>,
    #[arg(long = "all-proxy-lower", env = "all_proxy", hide = true, hide_env = true)]
    all_lower: Option<String>,
}

impl ProxyEnvironment {
    /// An environment in which `HTTPS_PROXY` names a proxy.
    #[must_use]
    pub fn with_https(proxy: impl Into<String>) -> Self {
        Self { https_upper: Some(proxy.into()), ..Self::default() }
    }

    /// The proxy for HTTPS and the variable that names it.
    pub(crate) fn https(&self) -> Option<(&'static str, &str)> {
        let Self { https_upper, https_lower, all_upper, all_lower } = self;
        [
            ("HTTPS_PROXY", https_upper),
            ("https_proxy", https_lower),
            ("ALL_PROXY", all_upper),
            ("all_proxy", all_lower),
        ]
        .into_iter()
        .find_map(|(name, value)| Some((name, value.as_deref().filter(|value| !value.is_empty())?)))
    }
}

impl Config {
    /// Where the proof of a registration is to be found, if anywhere.
    pub(crate) fn proof_files(&self) -> Option<ProofFiles> {
        let (certificate, key) = self.registration_cert.clone().zip(self.registration_key.clone())?;
        Some(ProofFiles { certificate, key })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: None,
            ca: None,
            token: None,
            tenant: TenantId::DEFAULT,
            registration_cert: None,
            registration_key: None,
            root: "/".into(),
            facts_root: "/".into(),
            state_dir: STATE_DIR.into(),
            proxy: ProxyEnvironment::default(),
        }
    }
}

/// Tells whether there is a token, and nothing of it.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            server,
            ca,
            token,
            tenant,
            registration_cert,
            registration_key,
            root,
            facts_root,
            state_dir,
            proxy: _,
        } = self;
        f.debug_struct("Config")
            .field("server", server)
            .field("ca", ca)
            .field("token", &token.as_ref().map(|_| "…"))
            .field("tenant", tenant)
            .field("registration_cert", registration_cert)
            .field("registration_key", registration_key)
            .field("root", root)
            .field("facts_root", facts_root)
            .field("state_dir", state_dir)
            .finish()
    }
}
