//! What the enroll service can be told.

/// Options of the enroll service. Addresses that are not said are those of this very process.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "enroll")]
pub struct Config {
    /// Base URL where this process finds the identity service, for example https://identity:7443
    #[arg(long, env = "MUSTER_IDENTITY_URL", value_name = "URL")]
    pub identity_url: Option<String>,

    /// Base URL where devices find the enroll service
    #[arg(long, env = "MUSTER_PUBLIC_ENROLL_URL", value_name = "URL")]
    pub public_enroll_url: Option<String>,

    /// Base URL where devices find the identity service
    #[arg(long, env = "MUSTER_PUBLIC_IDENTITY_URL", value_name = "URL")]
    pub public_identity_url: Option<String>,

    /// Base URL where devices find the policy service
    #[arg(long, env = "MUSTER_PUBLIC_POLICY_URL", value_name = "URL")]
    pub public_policy_url: Option<String>,

    /// Base URL where devices find the report service
    #[arg(long, env = "MUSTER_PUBLIC_REPORT_URL", value_name = "URL")]
    pub public_report_url: Option<String>,
}

impl Config {
    /// Fills in what was not said with the address this process is reached at.
    #[must_use]
    pub fn served_at(self, base_url: &str) -> Self {
        let here = |url: Option<String>| url.or_else(|| Some(base_url.to_owned()));
        let Self {
            identity_url,
            public_enroll_url,
            public_identity_url,
            public_policy_url,
            public_report_url,
        } = self;
        Self {
            identity_url: here(identity_url),
            public_enroll_url: here(public_enroll_url),
            public_identity_url: here(public_identity_url),
            public_policy_url: here(public_policy_url),
            public_report_url: here(public_report_url),
        }
    }
}
