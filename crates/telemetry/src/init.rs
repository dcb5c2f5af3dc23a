//! Setting it up.

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt as format};

/// What is logged when nothing else is asked for: our own at `info`, the transport's chatter only when it matters.
pub const DEFAULT_FILTER: &str = "info,h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,rustls=warn,sled=warn,fjall=warn,async_nats=warn";

/// How long a process waits at its end for spans to be exported.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(3);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("not a log format (text, json)".to_owned()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What to set up.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// Name of the process in traces, for example `muster-enroll`.
    pub service_name: String,
    /// Where to send spans by OTLP over gRPC (`http://host:4317`); nowhere when `None`.
    pub otlp_endpoint: Option<String>,
    /// How log lines on stderr look.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub log_filter: String,
}

impl TelemetryConfig {
    /// For a process of that name: text at [`DEFAULT_FILTER`], no export.
    #[must_use]
    pub fn new(service_name: &str) -> Self {
        Self {
            service_name: service_name.to_owned(),
            otlp_endpoint: None,
            log_format: LogFormat::Text,
            log_filter: DEFAULT_FILTER.to_owned(),
        }
    }
}

/// Why it could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter cannot be made.
    #[error("spans cannot be sent to the OTLP endpoint")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// It was set up before in this process.
    #[error("telemetry is already set up")]
    Installed(#[from] TryInitError),
}

/// Keeps telemetry going; exports what is left when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the export"]
pub struct Guard(SdkTracerProvider);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_WAIT_MAX) {
            tracing::warn!(error = %error, "the last spans were not exported");
        }
    }
}

/// Sets telemetry up for the process: log lines on stderr, spans to the OTLP endpoint if there is one. Must be called
/// inside a multi-threaded Tokio runtime when there is.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(config: TelemetryConfig) -> Result<Guard, TelemetryError> {
    let TelemetryConfig { service_name, otlp_endpoint, log_format, log_filter } = config;
    let provider = provider(service_name, otlp_endpoint)?;
    let lines = format::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(EnvFilter::try_new(log_filter)?)
        .with(spans(&provider))
        .with(lines)
        .try_init()?;
    Ok(Guard(provider))
}

fn provider(service_name: String, endpoint: Option<String>) -> Result<SdkTracerProvider, TelemetryError> {
    let builder = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(service_name).build());
    // A process that exports records everything, whatever its caller does; one that does not only hands ids on.
    Ok(match endpoint {
        Some(endpoint) => {
            let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
            builder.with_sampler(Sampler::AlwaysOn).with_batch_exporter(exporter).build()
        }
        None => builder.with_sampler(Sampler::AlwaysOff).build(),
    })
}

/// The layer that gives spans their ids.
pub(crate) fn spans<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("muster"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn spans_are_sent_to_the_endpoint_when_the_guard_is_dropped() {
        let collector = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", collector.local_addr().unwrap());
        let config = TelemetryConfig { otlp_endpoint: Some(endpoint), ..TelemetryConfig::new("test") };
        let guard = init(config).unwrap();
        tracing::info_span!("work").in_scope(|| ());
        let dropped = tokio::task::spawn_blocking(move || drop(guard));
        collector.accept().await.unwrap();
        dropped.await.unwrap();
    }
}
