//! `muster log`.

use clap::Subcommand;
use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Envelope;
use muster_eventlog::chain::ChainVerifier;
use muster_proto::log::v1::{VerifyViewsRequest, VerifyViewsResponse, ViewVerified};
use muster_types::Service;
use serde_json::{Value, json};

use crate::command::events;
use crate::connect::Api;
use crate::flags::{Output, Target};
use crate::output::{Data, Format, note, print_json, print_text, print_yaml, table};
use crate::view;

/// The event log itself.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the whole log and check every stream, then fold every view anew and compare it with the one that answers
    #[command(
        after_help = "Exit code 0 when all is well; 1 with LOG_CORRUPT when a stream is broken or cannot be folded, \
                      and with VIEW_MISMATCH when a view holds other rows than the log gives."
    )]
    Verify {
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// Events between two words on how far the reading is.
const TOLD_EVERY: u64 = 100_000;

/// Runs the command.
///
/// # Errors
/// `LOG_CORRUPT` with the place, `VIEW_MISMATCH` with the views, or the call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    let Command::Verify { target, output } = command;
    let api = Api::connect(&target)?;
    let (mut services, mut views) = (Vec::new(), Vec::new());
    for service in Service::ALL {
        services.push(chains(&api, service).await?);
    }
    for service in Service::ALL {
        views.extend(verify_views(&api, service).await?);
    }
    print(output.format, &services, &views)?;
    verdict(&views)
}

/// Reads the log of a service and checks every stream.
async fn chains(api: &Api, service: Service) -> Result<Value, Fault> {
    let mut verifier = ChainVerifier::new(service, false);
    let mut stream = Box::pin(events::tail(api, service, 0, false).await?);
    let (mut count, mut head) = (0_u64, 0);
    while let Some(event) = stream.next().await {
        let envelope = Envelope::try_from(event?).map_err(corrupt)?;
        verifier.check(&envelope).map_err(corrupt)?;
        (count, head) = (count + 1, envelope.position);
        if count.is_multiple_of(TOLD_EVERY) {
            note(&format!("{service}: {count} events read"));
        }
    }
    note(&format!("{service}: {count} events, every stream is whole"));
    Ok(json!({"name": service.as_str(), "events": count, "head": head, "chain": "whole"}))
}

fn corrupt(error: impl std::fmt::Display) -> Fault {
    Fault::new(ErrorCode::LogCorrupt, error.to_string())
}

/// Lets a service verify its views.
async fn verify_views(api: &Api, service: Service) -> Result<Vec<Value>, Fault> {
    let request = VerifyViewsRequest { service: service.to_string() };
    let mut stream = api.call(api.log(service).verify_views(request)).await?;
    let (mut found, mut begun) = (Vec::new(), 0);
    while let Some(part) = stream.message().await.map_err(|status| Fault::from_status(&status))? {
        let VerifyViewsResponse { view, events, verified } = part;
        match verified {
            Some(verified) => found.push(compared(service, &view, events, verified)),
            None if events == 0 => begun += 1,
            None => note(&format!("{service}: view {view}, {events} events folded")),
        }
    }
    if found.len() < begun {
        let message = format!("the server stopped verifying the views of {service} before the end");
        return Err(Fault::new(ErrorCode::ShuttingDown, message));
    }
    note(&format!("{service}: {} views compared", found.len()));
    Ok(found)
}

fn compared(service: Service, view: &str, events: u64, verified: ViewVerified) -> Value {
    let ViewVerified { position, rows, digest, rebuilt_rows, rebuilt_digest, differing_rows, differing } =
        verified;
    let verdict = if digest == rebuilt_digest { SAME } else { "differs" };
    json!({
        "name": format!("{service}/{view}"),
        "service": service.as_str(),
        "view": view,
        "rows": rows,
        "events": events,
        "position": position,
        "verdict": verdict,
        "digest": view::hex(&digest),
        "rebuilt_rows": rebuilt_rows,
        "rebuilt_digest": view::hex(&rebuilt_digest),
        "differing_rows": differing_rows,
        "differing": differing,
    })
}

const SAME: &str = "same";

fn print(format: Format, services: &[Value], views: &[Value]) -> Result<(), Fault> {
    const SERVICES: &[(&str, &str)] =
        &[("service", "/name"), ("events", "/events"), ("head", "/head"), ("chain", "/chain")];
    const VIEWS: &[(&str, &str)] = &[
        ("service", "/service"),
        ("view", "/view"),
        ("rows", "/rows"),
        ("events", "/events"),
        ("verdict", "/verdict"),
    ];
    let both = || json!({"services": services, "views": views});
    match format {
        Format::Json => print_json(&both()),
        Format::Yaml => print_yaml(&both()),
        Format::Name => Data::list("views", views.to_vec(), String::new(), VIEWS).print(format),
        Format::Table => {
            Data::list("services", services.to_vec(), String::new(), SERVICES).print(format)?;
            print_text("\n")?;
            Data::list("views", views.to_vec(), String::new(), VIEWS).print(format)?;
            let rows = views.iter().flat_map(|view| {
                let of_it = view["differing"].as_array().into_iter().flatten();
                of_it.map(|row| {
                    let cell = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    vec![cell(&view["name"]), cell(row)]
                })
            });
            let rows: Vec<_> = rows.collect();
            if rows.is_empty() {
                return Ok(());
            }
            print_text(&format!("\n{}", table(&["view", "row"], rows)))
        }
    }
}

/// All well, or which views are not.
fn verdict(views: &[Value]) -> Result<(), Fault> {
    let wrong = views.iter().filter(|view| view["verdict"] != SAME);
    let wrong: Vec<_> = wrong.filter_map(|view| view["name"].as_str()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let wrong = wrong.join(", ");
    let message = format!("these views hold other rows than the log gives: {wrong}");
    Err(Fault::new(ErrorCode::ViewMismatch, message).with("views", wrong))
}
