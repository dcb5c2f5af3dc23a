//! `muster quickstart`: the main job on this machine, on real parts, a line for each step.

mod demo;
mod step;

use std::net::SocketAddr;
use std::path::PathBuf;

use muster_agent::Agent;
use muster_runtime::TaskGroup;
use muster_runtime::config::{LogSelection, NatsArgs, ServerConfig, TelemetryArgs};
use muster_runtime::process::Failure;
use serde_json::Value;

use crate::output::{Format, note, print_json, print_text, table};
use crate::serve;
use demo::Demo;
use step::Steps;

/// Options of the demonstration.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Stop after the first convergence instead of staying up
    #[arg(long)]
    pub exit: bool,
    /// Form of the output
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub format: Format,
    /// Folder for everything: log, views, keys, the agent's state, the device root
    #[arg(long, env = "MUSTER_DATA_DIR", default_value = "./muster-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Address to take gRPC calls on
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:7443", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Address to answer probes and Prometheus on
    #[arg(long, env = "MUSTER_ADMIN_LISTEN", default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// Event log: embedded, or nats://host:port
    #[arg(long, env = "MUSTER_LOG", default_value = "embedded", value_name = "LOG")]
    pub log: LogSelection,
    /// How the event log on NATS is used
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Where the agent writes configuration [default: device-root in the data folder; / does it for real]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Where to send traces by OTLP over gRPC, such as http://localhost:4317
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// What is logged, such as info,muster_policy=debug
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "warn")]
    pub log_filter: String,
}

impl Options {
    /// What is logged and where traces go.
    #[must_use]
    pub fn telemetry(&self) -> TelemetryArgs {
        TelemetryArgs {
            otlp_endpoint: self.otlp_endpoint.clone(),
            log_filter: self.log_filter.clone(),
            ..TelemetryArgs::default()
        }
    }

    fn server(&self) -> ServerConfig {
        ServerConfig {
            listen: self.listen,
            admin_listen: self.admin_listen,
            log: self.log.clone(),
            nats: self.nats.clone(),
            telemetry: self.telemetry(),
            ..ServerConfig::local(self.data_dir.clone())
        }
    }

    fn root(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(|| self.data_dir.join("device-root"))
    }
}

/// Runs the demonstration; without `--exit` it stays up until the group stops.
///
/// # Errors
/// [`Failure`] of the step that did not succeed.
pub async fn run(options: Options, tasks: TaskGroup) -> Result<(), Failure> {
    let steps = Steps::begin();
    let outcome = tokio::select! {
        outcome = converge(&options, &tasks, &steps) => outcome?,
        () = tasks.stopping().cancelled() => return Ok(()),
    };
    print(&options, &outcome)?;
    if options.exit {
        return Ok(());
    }
    note("\nStaying up; Ctrl-C ends it, and the next run goes on from here.");
    tasks.stopping().cancelled().await;
    Ok(())
}

async fn converge(options: &Options, tasks: &TaskGroup, steps: &Steps) -> Result<demo::Outcome, Failure> {
    let running = serve::start(serve::Options::on(options.server()), tasks).await?;
    step::ready(&running.readiness).await?;
    let ready =
        steps.done("control plane ready", &format!("{} on the {} log", running.endpoint, options.log));

    let demo = Demo::connect(&running, &options.data_dir)?;
    let state_dir = options.data_dir.join("agent");
    let token = demo.onboarding_token(muster_agent::is_onboarded(&state_dir)).await?;
    let agent = Agent::new(muster_agent::Config {
        server: Some(running.endpoint.clone()),
        ca: Some(running.trust.dir().join("ca.pem")),
        token,
        root: options.root(),
        state_dir,
        ..muster_agent::Config::default()
    })?;
    let seen = agent.observe();
    let stopping = tasks.stopping().clone();
    let group = tasks.clone();
    tasks.spawn("agent", async move {
        if let Err(error) = agent.run(stopping.cancelled_owned()).await {
            tracing::error!(error = %muster_runtime::process::chain(&error), "the agent ended");
            group.stop();
        }
    });
    Ok(demo.converge(seen, steps, ready, &options.root()).await?)
}

fn print(options: &Options, outcome: &demo::Outcome) -> Result<(), Failure> {
    if options.format == Format::Json {
        return Ok(print_json(&outcome.json())?);
    }
    let settings = outcome.report["settings"].as_array().cloned().unwrap_or_default();
    let profile =
        settings.first().and_then(|item| item["id"].as_str()?.split('/').next()).unwrap_or_default();
    print_text(&format!("\nWhat the device read back ({profile})"))?;
    let rows = settings.iter().map(|item| {
        vec![
            text(&item["id"]).rsplit('/').next().unwrap_or_default().to_owned(),
            shortened(&text(&item["desired"]), VALUE_CHARS_MAX),
            shortened(&text(&item["observed"]), VALUE_CHARS_MAX),
            text(&item["state"]),
        ]
    });
    print_text(&table(&["setting", "desired", "observed", "state"], rows))?;
    print_text("\nWhat happened, as it stands in the log")?;
    let rows = outcome.events.iter().map(|item| {
        let stream = text(&item["stream"]);
        let (aggregate, id) = stream.rsplit_once('/').unwrap_or_default();
        let aggregate = aggregate.rsplit('/').next().unwrap_or_default();
        vec![
            text(&item["service"]),
            text(&item["position"]),
            text(&item["type"]),
            format!("{aggregate}/{}", shortened(id, ID_CHARS_MAX)),
            text(&item["version"]),
        ]
    });
    print_text(&table(&["service", "pos", "type", "stream", "ver"], rows))?;
    match (outcome.timings.assign_to_applied, outcome.timings.assign_to_reported) {
        (Some(applied), Some(reported)) => {
            print_text(&format!(
                "\nFrom assignment to applied {applied:.1} ms, to reported {reported:.1} ms."
            ))?;
        }
        _ => print_text("\nThe policy was in force already; nothing moved.")?,
    }
    let device = outcome.device["id"].as_str().unwrap_or_default();
    let staying =
        if options.exit { "after `muster serve` with the same --data-dir" } else { "in another terminal" };
    print_text(&format!(
        "\nTry next, {staying} (MUSTER_DATA_DIR={}):\n  \
         muster device get {device}\n  muster report device {device}\n  muster explain device {device}\n  \
         muster policy list\n  muster events tail\n  muster log verify\n  \
         muster catalog explain linux-antivirus/enforcement_level",
        options.data_dir.display()
    ))?;
    Ok(())
}

/// Longest value and id shown in the tables; `-o json` has them whole.
const VALUE_CHARS_MAX: usize = 20;
const ID_CHARS_MAX: usize = 9;

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}
