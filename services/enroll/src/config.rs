//! What the enroll service can be told.

/// Options of the enroll service. Addresses that are not said are those of this very process.
#[derive(Debug, Clone, clap::Args)]
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

    /// Most devices that are onboarded at once; more are told to come again. 0 means no limit
    #[arg(
        long,
        env = "MUSTER_ONBOARDINGS_IN_FLIGHT_MAX",
        value_name = "COUNT",
        default_value_t = ONBOARDINGS_IN_FLIGHT_MAX
    )]
    pub onboardings_in_flight_max: u32,

    /// Most devices that are onboarded in a second; a second's worth may come at once. 0 means no limit
    #[arg(
        long,
        env = "MUSTER_ONBOARDING_RATE_MAX",
        value_name = "PER_SECOND",
        default_value_t = ONBOARDING_RATE_MAX
    )]
    pub onboarding_rate_max: u32,
}

/// Onboardings at once, unless told otherwise.
pub const ONBOARDINGS_IN_FLIGHT_MAX: u32 = 1_024;
/// Onboardings a second, unless told otherwise.
pub const ONBOARDING_RATE_MAX: u32 = 5_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            identity_url: None,
            public_enroll_url: None,
            public_identity_url: None,
            public_policy_url: None,
            public_report_url: None,
            onboardings_in_flight_max: ONBOARDINGS_IN_FLIGHT_MAX,
            onboarding_rate_max: ONBOARDING_RATE_MAX,
        }
    }
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
            onboardings_in_flight_max,
            onboarding_rate_max,
        } = self;
        Self {
            identity_url: here(identity_url),
            public_enroll_url: here(public_enroll_url),
            public_identity_url: here(public_identity_url),
            public_policy_url: here(public_policy_url),
            public_report_url: here(public_report_url),
            onboardings_in_flight_max,
            onboarding_rate_max,
        }
    }
}
