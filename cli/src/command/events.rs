//! `muster events`.

mod follow;

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::{Subcommand, ValueEnum};
use futures::stream::{Stream, StreamExt as _};
use muster_errors::Fault;
use muster_proto::events;
use muster_proto::identity::v1::GetRegistrationRequest;
use muster_proto::log::v1::{Envelope, GetHeadRequest, TailRequest};
use muster_types::Service;
use uuid::Uuid;

use crate::connect::Api;
use crate::flags::{self, Target};
use crate::output::print_text;
use crate::view;
use crate::view::event as shown;

/// The event stream.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stream events: those that come from now on, or with --from those before, too. With --no-follow, everything that
    /// is there, by time
    Tail(Tail),
}

/// What to stream and how.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Where to begin, in each service's log: a position, `beginning` or `now` [default: now; beginning with --no-follow]
    #[arg(long, value_name = "POSITION")]
    from: Option<From>,
    /// Only this service's part of the log [default: all four]
    #[arg(long, value_parser = flags::service)]
    service: Option<Service>,
    /// Only events of this type, for example PolicyAssigned; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only events of this kind of aggregate, for example group; may be repeated
    #[arg(long = "aggregate", value_name = "KIND")]
    aggregates: Vec<String>,
    /// Only events that concern this device, by id or host name: its own, and those for many that reach it
    #[arg(long)]
    device: Option<String>,
    /// End when everything that is there was shown
    #[arg(long)]
    no_follow: bool,
    /// Form of the output
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    format: Form,
    /// How to find the server
    #[command(flatten)]
    target: Target,
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Form {
    /// A line each, for people
    #[default]
    Table,
    /// One JSON object a line: a CloudEvent with the decoded payload as `data`
    Json,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Position(u64),
    Now,
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self::Position(0)),
            "now" => Ok(Self::Now),
            number => number.parse().map(Self::Position).map_err(|_| {
                format!("expected a position such as 120, `beginning` or `now`, found {text:?}")
            }),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    let Command::Tail(Tail { from, service, types, aggregates, device, no_follow, format, target }) = command;
    let api = Api::connect(&target)?;
    let mut filter =
        TailRequest { tenant: api.tenant().to_string(), types, aggregates, ..Default::default() };
    if let Some(device) = device {
        let device = known(&api, &api.device(&device).await?).await?;
        filter.device_id = device.id.as_bytes().to_vec();
        filter.device_ordinal = device.ordinal;
    }
    let from = from.unwrap_or(if no_follow { From::Position(0) } else { From::Now });
    let mut requests = Vec::new();
    for service in service.map_or_else(|| concerned(&filter), |service| vec![service]) {
        let from_position = match from {
            From::Position(position) => position,
            From::Now => head(&api, service).await? + 1,
        };
        let types = of_service(service, &filter.types);
        let aggregates = aggregates_of(service, &filter.aggregates);
        let service = service.to_string();
        requests.push(TailRequest { service, from_position, types, aggregates, ..filter.clone() });
    }
    let print = |event: &Envelope| match format {
        Form::Json => print_text(&shown::cloud_event(event).to_string()),
        Form::Table => print_text(&shown::line(event)),
    };
    if format == Form::Table {
        print_text(shown::HEADING)?;
    }
    if no_follow {
        follow::once(&api, requests, print).await
    } else {
        follow::on(&api, requests, print).await
    }
}

/// The services whose logs can hold what is asked for: a name of one service's types says so. What no service has is
/// asked of all, so that the server tells what is wrong with it.
fn concerned(filter: &TailRequest) -> Vec<Service> {
    let of_types = filter.types.iter().map(|name| type_service(name));
    let of_aggregates = filter.aggregates.iter().map(|name| aggregate_service(name));
    let narrowed = |named: Vec<Option<Service>>| -> BTreeSet<Service> {
        let all = named.is_empty() || named.contains(&None);
        if all { Service::ALL.into() } else { named.into_iter().flatten().collect() }
    };
    let (types, aggregates) = (narrowed(of_types.collect()), narrowed(of_aggregates.collect()));
    let both: Vec<_> = types.intersection(&aggregates).copied().collect();
    if both.is_empty() { types.into_iter().collect() } else { both }
}

fn type_service(name: &str) -> Option<Service> {
    let named = || name.strip_prefix("muster.")?.split('.').next()?.parse().ok();
    events::find(name).map(events::EventKind::service).or_else(named)
}

fn aggregate_service(name: &str) -> Option<Service> {
    name.parse::<muster_types::Aggregate>().ok().map(muster_types::Aggregate::service)
}

fn of_service(service: Service, types: &[String]) -> Vec<String> {
    types.iter().filter(|name| type_service(name).is_none_or(|of| of == service)).cloned().collect()
}

fn aggregates_of(service: Service, aggregates: &[String]) -> Vec<String> {
    let here: Vec<_> =
        aggregates.iter().filter(|name| aggregate_service(name).is_none_or(|of| of == service)).collect();
    // Kinds of other services only: the server says what is wrong with them.
    if here.is_empty() { aggregates.to_vec() } else { here.into_iter().cloned().collect() }
}

async fn head(api: &Api, service: Service) -> Result<u64, Fault> {
    let request = GetHeadRequest { service: service.to_string() };
    Ok(api.call(api.log(service).get_head(request)).await?.position)
}

/// A device by its resource name, with its ordinal where it has one.
///
/// # Errors
/// The call's fault.
pub async fn known(api: &Api, device: &str) -> Result<events::mention::Device, Fault> {
    let id = view::id(device);
    let request = GetRegistrationRequest { name: api.name("registrations", id) };
    // A device that was never trusted has no registration, and is in no bitmap.
    let ordinal = match api.call(api.registrations().get_registration(request)).await {
        Ok(registration) => Some(registration.ordinal),
        Err(fault) if fault.code.status() == tonic::Code::NotFound => None,
        Err(fault) => return Err(fault),
    };
    let id =
        Uuid::parse_str(id).map_err(|error| Fault::invalid_field("device", format!("{id:?}: {error}")))?;
    Ok(events::mention::Device { id, ordinal })
}

/// Everything the services' logs hold from a position on, by time.
///
/// # Errors
/// The call's fault.
pub async fn all(api: &Api, services: &[Service], from: u64) -> Result<Vec<Envelope>, Fault> {
    let requests = services.iter().map(|service| TailRequest {
        service: service.to_string(),
        from_position: from,
        ..TailRequest::default()
    });
    let mut events = Vec::new();
    let collect = |event: &Envelope| {
        events.push(event.clone());
        Ok(())
    };
    follow::once(api, requests.collect(), collect).await?;
    Ok(events)
}

/// Streams one service's log.
///
/// # Errors
/// The call's fault, also in the middle of the stream.
pub async fn tail(
    api: &Api,
    service: Service,
    from_position: u64,
    follow: bool,
) -> Result<impl Stream<Item = Result<Envelope, Fault>> + use<>, Fault> {
    let service = service.to_string();
    tail_of(api, TailRequest { service, from_position, follow, ..TailRequest::default() }).await
}

/// Streams what is asked for of one service's log.
///
/// # Errors
/// The call's fault, also in the middle of the stream.
pub async fn tail_of(
    api: &Api,
    request: TailRequest,
) -> Result<impl Stream<Item = Result<Envelope, Fault>> + use<>, Fault> {
    let service = flags::service(&request.service).map_err(|error| Fault::invalid_field("service", error))?;
    let stream = api.call(api.log(service).tail(request)).await?;
    Ok(stream.filter_map(|reply| async {
        match reply {
            Ok(reply) => reply.envelope.map(Ok),
            Err(status) => Some(Err(Fault::from_status(&status))),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_services_that_can_have_it_are_asked() {
        let services = |types: &[&str], aggregates: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            concerned(&TailRequest {
                types: owned(types),
                aggregates: owned(aggregates),
                ..Default::default()
            })
        };
        assert_eq!(services(&[], &[]), Service::ALL);
        assert_eq!(services(&["PolicyAssigned"], &[]), [Service::Policy]);
        assert_eq!(services(&["muster.report.v1.NotYetHere"], &[]), [Service::Report]);
        assert_eq!(services(&["PolicyAssigned", "StatusReported"], &[]), [Service::Policy, Service::Report]);
        assert_eq!(services(&[], &["group"]), [Service::Identity]);
        assert_eq!(services(&["Weather"], &[]), Service::ALL);
        assert_eq!(services(&["PolicyAssigned"], &["group"]), [Service::Policy]);
    }

    #[test]
    fn a_beginning_is_a_position_or_a_word() {
        assert_eq!("7".parse(), Ok(From::Position(7)));
        assert_eq!("beginning".parse(), Ok(From::Position(0)));
        assert_eq!("now".parse(), Ok(From::Now));
        assert!("yesterday".parse::<From>().is_err_and(|problem| problem.contains("beginning")));
    }
}
