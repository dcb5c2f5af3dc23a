//! Benchmarks: each measures the product and the bare thing in turn, in the same run, and prints their ratio beside the
//! ratio it must keep. `cargo run --release -p muster-bench [-- NAME…]`.

mod append;
mod checkin;
mod convergence;
mod events;
mod export;
mod fleet;
mod groups;
mod ingest;
mod inventory;
mod jetstream;
mod measure;
mod onboard;
mod past;
mod policies;
mod replay;
mod reports;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::{Parser, ValueEnum as _};

use crate::measure::Row;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of what misses its limit.
const MISSED: u8 = 3;

/// What can be measured, in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Bench {
    /// Memory of a device in enroll's view
    Memory,
    /// Durable appends to the embedded log, 256 in flight, against single write + fdatasync
    Append,
    /// Appends to JetStream, 256 in flight, against bare publishing with the same headers
    Jetstream,
    /// Replay into a view, against bare read + decode + insert
    Replay,
    /// Check-ins that are not modified, over mTLS on open connections, against a bare tonic echo
    Checkin,
    /// The same with a new connection for each, resumed
    CheckinFresh,
    /// Check-ins that bring a changed policy of 40 settings, signed, against a bare tonic echo
    CheckinPolicy,
    /// Check-ins against nginx with a file for each device, by the server's processor time
    CheckinNginx,
    /// The same with a new connection for each, resumed
    CheckinNginxFresh,
    /// Memory of an idle watch, against a bare tonic stream
    WatchMemory,
    /// From a change to the last hint of 10,000 watching devices, against a bare push
    WatchHints,
    /// Assignment to applied on a watching agent
    Convergence,
    /// Onboarding, 64 at once, against handshake + signing + append
    Onboard,
    /// Statuses of 40 settings, 256 in flight, against bare appends of events of that size; the same again appends nothing
    StatusIngest,
    /// Naming 10,000 devices that a scope touches, of 1,000,000 against of 20,000
    Redecide,
    /// Memory of a device in policy's view
    PolicyMemory,
    /// Edit of a policy that 1,000,000 devices have, to the first hint
    PolicyEdit,
    /// What the log is told of such an edit
    PolicyTold,
    /// Plan of the edit of a policy that 1,000,000 devices have
    Plan,
    /// Memory of a device in report's view
    ReportMemory,
    /// Report on a policy that 1,000,000 devices have, of which a tenth has an error of its own
    PolicyReport,
    /// The same with a few hundred different statuses
    PolicyReportAlike,
    /// Counts of each of 40 settings of 1,000,000 devices
    PolicySettings,
    /// How one of 1,000,000 devices stands with 40 settings
    DeviceReport,
    /// Edit of a policy that 1,000,000 devices have, folded into the view of reports: how long a report may wait
    ReportEdit,
    /// Folding a log of what devices say into the view on the disk, against reading and decoding it
    ReportRebuild,
    /// Explanations of a device at past moments, over a log of 1,000,000 events
    ExplainPast,
    /// Memory of a device in the index that rules are asked of
    GroupsMemory,
    /// 100 rules over 1,000,000 devices, against bare roaring set algebra of the same sets
    GroupsAlgebra,
    /// 100 rules over 1,000,000 devices, against a loop over structs
    GroupsNaive,
    /// Changes of a device with 1,000 groups
    GroupsChanges,
    /// From a device's event to the event of the group, with 1,000 groups
    GroupsLatency,
    /// Deleting 10,000 devices, until they have left 1,000 groups
    GroupsDelete,
    /// Export of a policy's 1,000,000 devices over gRPC into a CSV file: rows a second, and memory above idle
    ReportExport,
}

#[derive(Debug, Parser)]
#[command(name = "muster-bench", about = "Measure, each against its limit in the same run")]
struct Arguments {
    /// What to measure [default: all]
    #[arg(value_enum)]
    benches: Vec<Bench>,
    /// How often to measure each pair; the median is shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The nginx to compare with; without one that comparison is skipped
    #[arg(long, env = "MUSTER_NGINX", value_name = "FILE", default_value = "nginx")]
    nginx: PathBuf,
    /// Measure this in this process, and print its row alone
    #[arg(long, hide = true)]
    alone: Option<Bench>,
    /// Serve what is measured, until the input ends
    #[arg(long, hide = true, requires = "dir")]
    serve: Option<checkin::served::Kind>,
    /// Folder that holds the trust of what is served
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
    /// Devices that what is served knows
    #[arg(long, hide = true, default_value_t = 0)]
    devices: u32,
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    if let (Some(kind), Some(dir)) = (arguments.serve, &arguments.dir) {
        runtime()?.block_on(checkin::served::run(kind, dir, arguments.devices))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(bench) = arguments.alone {
        let row = runtime()?.block_on(measured(bench, &arguments))?;
        println!("{row}");
        return Ok(ExitCode::from(if row.met() { 0 } else { MISSED }));
    }
    println!("{}", Row::heading());
    let mut missed = 0;
    let chosen = |bench: &&Bench| arguments.benches.is_empty() || arguments.benches.contains(bench);
    for bench in Bench::value_variants().iter().filter(chosen) {
        missed += usize::from(!is_met(*bench, &arguments)?);
    }
    anyhow::ensure!(missed == 0, "{missed} limits were missed");
    Ok(ExitCode::SUCCESS)
}

/// Measures in a process of its own, which prints the row: what others leave in memory and caches is not measured along.
fn is_met(bench: Bench, Arguments { rounds, nginx, .. }: &Arguments) -> anyhow::Result<bool> {
    let name = bench.to_possible_value().context("a bench without a name")?;
    let status = Command::new(std::env::current_exe()?)
        .args(["--alone", name.get_name(), "--rounds", &rounds.to_string(), "--nginx"])
        .arg(nginx)
        .status()?;
    match status.code() {
        Some(0) => Ok(true),
        Some(code) if code == i32::from(MISSED) => Ok(false),
        Some(_) | None => anyhow::bail!("{} could not be measured", name.get_name()),
    }
}

async fn measured(bench: Bench, Arguments { rounds, nginx, .. }: &Arguments) -> anyhow::Result<Row> {
    let rounds = *rounds;
    match bench {
        Bench::Append => append::run(rounds).await,
        Bench::Jetstream => jetstream::run(rounds).await,
        Bench::Replay => replay::run(rounds).await,
        Bench::Checkin => checkin::open(rounds).await,
        Bench::CheckinFresh => checkin::fresh(rounds).await,
        Bench::CheckinPolicy => checkin::policy(rounds).await,
        Bench::CheckinNginx => checkin::against_nginx(nginx, rounds).await,
        Bench::CheckinNginxFresh => checkin::fresh_against_nginx(nginx, rounds).await,
        Bench::WatchMemory => checkin::memory().await,
        Bench::WatchHints => checkin::hints(rounds).await,
        Bench::Convergence => convergence::run().await,
        Bench::Onboard => onboard::run(rounds).await,
        Bench::StatusIngest => ingest::run(rounds).await,
        Bench::Redecide => inventory::redecide(rounds),
        Bench::Memory => inventory::memory(),
        Bench::PolicyMemory => policies::memory(),
        Bench::PolicyEdit => policies::edit(rounds),
        Bench::PolicyTold => policies::told(rounds),
        Bench::Plan => policies::plan(rounds),
        Bench::PolicyReport => reports::policy_report(rounds),
        Bench::PolicyReportAlike => reports::policy_report_alike(rounds),
        Bench::PolicySettings => reports::settings(rounds),
        Bench::DeviceReport => reports::device(rounds),
        Bench::ReportEdit => reports::edit(rounds),
        Bench::ReportMemory => reports::memory(),
        Bench::ReportRebuild => reports::rebuild(rounds).await,
        Bench::ExplainPast => past::run().await,
        Bench::GroupsMemory => groups::memory(),
        Bench::GroupsAlgebra => groups::algebra(rounds),
        Bench::GroupsNaive => groups::naive(rounds),
        Bench::GroupsChanges => groups::changes(rounds),
        Bench::GroupsLatency => groups::latency().await,
        Bench::GroupsDelete => groups::delete().await,
        Bench::ReportExport => export::run(rounds).await,
    }
}
