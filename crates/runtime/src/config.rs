//! Settings that every server has.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::jetstream::{self, SyncCheck};
use muster_pki::{AuthorityFiles, TrustDomain};
use muster_telemetry::{DEFAULT_FILTER, LogFormat, TelemetryConfig};
use muster_types::TenantId;

/// Where the event log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSelection {
    /// In the data directory: one process.
    Embedded,
    /// On NATS JetStream at this URL: any number of processes.
    Nats(String),
}

impl FromStr for LogSelection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            url if url.strip_prefix("nats://").is_some_and(|host| !host.is_empty()) => {
                Ok(Self::Nats(url.to_owned()))
            }
            _ => Err("not a log (embedded, or nats://host:port)".to_owned()),
        }
    }
}

impl fmt::Display for LogSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Nats(urls) => {
                // Without the password that may stand in one.
                let shown = urls.split(',').map(|url| match url.rsplit_once('@') {
                    Some((_, host)) => format!("nats://{host}"),
                    None => url.to_owned(),
                });
                f.write_str(&shown.collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// Settings that every server has.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerConfig {
    /// Address to take gRPC calls on
    #[arg(long, env = "MUSTER_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7443")]
    pub listen: SocketAddr,

    /// Address to answer probes and Prometheus on (plain HTTP: /livez, /readyz, /metrics)
    #[arg(long, env = "MUSTER_ADMIN_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7444")]
    pub admin_listen: SocketAddr,

    /// Allow addresses that other machines can reach
    #[arg(long, env = "MUSTER_LISTEN_BEYOND_LOOPBACK")]
    pub listen_beyond_loopback: bool,

    /// Names and addresses, besides those of this machine's loopback, that clients reach the server by; they go into
    /// its certificate
    #[arg(long, env = "MUSTER_SERVER_NAMES", value_name = "NAME", value_delimiter = ',')]
    pub server_names: Vec<String>,

    /// Folder for the embedded log and the views
    #[arg(long, env = "MUSTER_DATA_DIR", value_name = "DIR", default_value = "./muster-data")]
    pub data_dir: PathBuf,

    /// Folder for keys and certificates [default: pki in the data directory]
    #[arg(long, env = "MUSTER_PKI_DIR", value_name = "DIR")]
    pub pki_dir: Option<PathBuf>,

    /// Certificate of the authority that issues, in PEM, if it is not kept in that folder; it names the trust domain
    #[arg(long, env = "MUSTER_CA_CERTIFICATE_FILE", value_name = "FILE", requires = "ca_key_file")]
    pub ca_certificate_file: Option<PathBuf>,

    /// PKCS #8 key of that certificate, in PEM; only its owner and group may read it
    #[arg(long, env = "MUSTER_CA_KEY_FILE", value_name = "FILE", requires = "ca_certificate_file")]
    pub ca_key_file: Option<PathBuf>,

    /// Event log: embedded, or nats://host:port; nats://user:password@host:port where the nats-server has users, best in
    /// the environment, where others do not see it
    #[arg(long, env = "MUSTER_LOG", value_name = "LOG", default_value = "embedded", hide_env_values = true)]
    pub log: LogSelection,

    /// Tenant served
    #[arg(long, env = "MUSTER_TENANT", default_value = "default")]
    pub tenant: TenantId,

    /// Trust domain of SPIFFE IDs
    #[arg(long, env = "MUSTER_TRUST_DOMAIN", default_value = "muster.local")]
    pub trust_domain: TrustDomain,

    /// How the event log on NATS is used
    #[command(flatten)]
    pub nats: NatsArgs,

    /// What is logged on stderr and how, and where traces go
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// Settings of the event log on NATS.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct NatsArgs {
    /// Servers that hold a copy of each event: 1, 3 or 5
    #[arg(long, env = "MUSTER_NATS_REPLICAS", value_name = "COUNT", default_value_t = 1)]
    pub nats_replicas: usize,

    /// Monitoring ports of the nats-servers, asked whether they sync before they acknowledge [default: port 8222 of
    /// each server in --log, and where that does not answer it is measured]
    #[arg(long, env = "MUSTER_NATS_MONITORS", value_name = "URL", value_delimiter = ',')]
    pub nats_monitors: Vec<String>,

    /// Believe that the nats-servers sync before they acknowledge (`sync_interval: always`), without asking
    #[arg(long, env = "MUSTER_NATS_TRUST_SYNC")]
    pub nats_trust_sync: bool,
}

impl Default for NatsArgs {
    fn default() -> Self {
        Self { nats_replicas: 1, nats_monitors: Vec::new(), nats_trust_sync: false }
    }
}

impl NatsArgs {
    /// How the log at `urls` is used.
    #[must_use]
    pub fn options(&self, urls: &str) -> jetstream::Options {
        let Self { nats_replicas, nats_monitors, nats_trust_sync } = self;
        let sync = if *nats_trust_sync {
            SyncCheck::Trust
        } else if nats_monitors.is_empty() {
            SyncCheck::MonitorOrMeasure(urls.split(',').filter_map(monitor_of).collect())
        } else {
            SyncCheck::Monitor(nats_monitors.clone())
        };
        jetstream::Options { replicas: *nats_replicas, sync, ..jetstream::Options::default() }
    }
}

/// The monitoring port of the server at a URL, where it usually is.
fn monitor_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.trim().parse().ok()?;
    Some(format!("http://{}:8222", uri.host()?))
}

/// Settings of logging and tracing.
#[derive(Debug, Clone, clap::Args)]
pub struct TelemetryArgs {
    /// Where to send traces by OTLP over gRPC, such as http://localhost:4317
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Form of log lines on stderr: text or json
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged, such as info,muster_policy=debug
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = DEFAULT_FILTER, hide_default_value = true)]
    pub log_filter: String,
}

impl TelemetryArgs {
    /// For a process of that name.
    #[must_use]
    pub fn config(&self, service_name: &str) -> TelemetryConfig {
        let Self { otlp_endpoint, log_format, log_filter } = self.clone();
        TelemetryConfig {
            service_name: service_name.to_owned(),
            // An empty variable means that none was set.
            otlp_endpoint: otlp_endpoint.filter(|endpoint| !endpoint.is_empty()),
            log_format,
            log_filter,
        }
    }
}

impl Default for TelemetryArgs {
    fn default() -> Self {
        Self { otlp_endpoint: None, log_format: LogFormat::Text, log_filter: DEFAULT_FILTER.to_owned() }
    }
}

impl ServerConfig {
    /// The settings of a server on free ports of the loopback that keeps everything in `data_dir`.
    #[must_use]
    pub fn local(data_dir: PathBuf) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: free,
            admin_listen: free,
            listen_beyond_loopback: false,
            server_names: Vec::new(),
            data_dir,
            pki_dir: None,
            ca_certificate_file: None,
            ca_key_file: None,
            log: LogSelection::Embedded,
            tenant: TenantId::DEFAULT,
            trust_domain: TrustDomain::local(),
            nats: NatsArgs::default(),
            telemetry: TelemetryArgs::default(),
        }
    }

    /// Where keys and certificates are.
    #[must_use]
    pub fn pki_dir(&self) -> PathBuf {
        self.pki_dir.clone().unwrap_or_else(|| self.data_dir.join("pki"))
    }

    /// The authority's files, if they are not where keys and certificates are.
    #[must_use]
    pub fn authority_files(&self) -> Option<AuthorityFiles> {
        let (certificate, key) = (self.ca_certificate_file.clone()?, self.ca_key_file.clone()?);
        Some(AuthorityFiles { certificate, key })
    }

    /// Checks what the parser cannot, and reports all mistakes at once.
    ///
    /// # Errors
    /// `CONFIG_INVALID` with a field for each.
    pub fn validate(&self) -> Result<(), Fault> {
        let mut mistakes = Vec::new();
        for (flag, address) in [("--listen", self.listen), ("--admin-listen", self.admin_listen)] {
            if !address.ip().is_loopback() && !self.listen_beyond_loopback {
                let mistake = format!(
                    "{address} can be reached by other machines; allow that with --listen-beyond-loopback"
                );
                mistakes.push((flag, mistake));
            }
        }
        if self.listen == self.admin_listen && self.listen.port() != 0 {
            mistakes.push(("--admin-listen", format!("{} is the address of --listen too", self.listen)));
        }
        if !matches!(self.nats.nats_replicas, 1 | 3 | 5) {
            mistakes.push(("--nats-replicas", format!("{} is neither 1, 3 nor 5", self.nats.nats_replicas)));
        }
        for name in self.server_names.iter().filter(|name| !is_host(name)) {
            mistakes.push(("--server-names", format!("{name:?} is neither a DNS name nor an IP address")));
        }
        let is_url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        let endpoint = self.telemetry.otlp_endpoint.as_deref().filter(|text| !text.is_empty());
        if let Some(endpoint) = endpoint.filter(|text| !is_url(text)) {
            mistakes.push(("--otlp-endpoint", format!("{endpoint:?} is no http or https URL")));
        }
        if mistakes.is_empty() {
            return Ok(());
        }
        let all = mistakes.iter().map(|(flag, mistake)| format!("{flag}: {mistake}"));
        let message = all.collect::<Vec<_>>().join("; ");
        let fault = Fault::new(ErrorCode::ConfigInvalid, message);
        Err(mistakes.into_iter().fold(fault, |fault, (flag, mistake)| fault.with_field(flag, mistake)))
    }
}

fn is_host(name: &str) -> bool {
    rustls::pki_types::ServerName::try_from(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let mut config = ServerConfig::local(PathBuf::from("data"));
        assert_eq!(config.validate(), Ok(()));
        config.listen = "0.0.0.0:7443".parse().unwrap();
        config.admin_listen = "[::]:7444".parse().unwrap();
        config.server_names = vec!["good.example".to_owned(), "10.0.0.1".to_owned(), "no good".to_owned()];
        config.telemetry.otlp_endpoint = Some("localhost".to_owned());
        let fault = config.validate().unwrap_err();
        assert_eq!(fault.code, ErrorCode::ConfigInvalid);
        let fields: Vec<_> = fault.fields.iter().map(|field| field.field.as_str()).collect();
        assert_eq!(fields, ["--listen", "--admin-listen", "--server-names", "--otlp-endpoint"]);
        config.listen_beyond_loopback = true;
        assert_eq!(config.validate().unwrap_err().fields.len(), 2);
    }

    #[test]
    fn monitors_are_looked_for_beside_the_servers() {
        let options = NatsArgs::default().options("nats://a:4222,nats://[::1]:4222");
        let beside = ["http://a:8222", "http://[::1]:8222"].map(str::to_owned);
        assert_eq!(options.sync, SyncCheck::MonitorOrMeasure(Vec::from(beside)));
    }

    #[test]
    fn logs_are_named_embedded_or_by_url() {
        assert_eq!("embedded".parse(), Ok(LogSelection::Embedded));
        assert_eq!("nats://a:1".parse(), Ok(LogSelection::Nats("nats://a:1".to_owned())));
        let with_user: LogSelection = "nats://muster:secret@a:1,nats://b:1".parse().unwrap();
        assert_eq!(with_user.to_string(), "nats://a:1,nats://b:1");
        assert!("nats://".parse::<LogSelection>().is_err());
        assert!("kafka".parse::<LogSelection>().is_err());
    }
}
