//! What the identity service can be told.

use std::time::Duration;

/// How long a device's certificate lasts, unless something else is said: 7 days. Never longer, since an authority that
/// was replaced is believed only so long.
pub const CERTIFICATE_HOURS: u16 = 7 * 24;
const _: () = assert!(CERTIFICATE_HOURS as u64 * 3600 == muster_pki::DEVICE_VALIDITY.as_secs());

/// Options of the identity service.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "identity")]
pub struct Config {
    /// How long a device's certificate lasts, in hours; devices renew at half of it
    #[arg(
        long,
        env = "MUSTER_CERTIFICATE_HOURS",
        value_name = "HOURS",
        default_value_t = CERTIFICATE_HOURS,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(CERTIFICATE_HOURS)),
    )]
    pub certificate_hours: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self { certificate_hours: CERTIFICATE_HOURS }
    }
}

impl Config {
    /// How long a device's certificate lasts.
    #[must_use]
    pub fn certificate_validity(&self) -> Duration {
        Duration::from_secs(u64::from(self.certificate_hours) * 3600)
    }
}
