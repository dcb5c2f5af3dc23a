//! `muster events`.

use clap::Subcommand;
use futures::stream::{SelectAll, StreamExt as _};
use muster_errors::Fault;
use muster_proto::log::v1::{Envelope, TailRequest};
use muster_types::Service;

use crate::connect::Api;
use crate::flags::{self, Target};
use crate::output::{Data, Format, cell, print_text, table};
use crate::view;

/// The event stream.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stream events: first what is there, then what comes
    Tail {
        /// Only this service's part of the log [default: all four]
        #[arg(long, value_parser = flags::service)]
        service: Option<Service>,
        /// First position wanted, in each part
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Only events of this type, for example PolicyAssigned; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// Only events of this device, by id or host name
        #[arg(long)]
        device: Option<String>,
        /// End when everything that is there was shown
        #[arg(long)]
        no_follow: bool,
        /// Form of the output: json prints one object a line
        #[arg(short = 'o', long = "output", value_enum, default_value_t)]
        format: Format,
        /// How to find the server
        #[command(flatten)]
        target: Target,
    },
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    let Command::Tail { service, from, types, device, no_follow, format, target } = command;
    let api = Api::connect(&target)?;
    let services = service.map_or_else(|| Service::ALL.to_vec(), |service| vec![service]);
    let device = match device {
        Some(device) => Some(api.device(&device).await?),
        None => None,
    };
    let filter = Filter { types, device };
    if no_follow {
        let events = all(&api, &services, from).await?;
        let items = events.iter().filter(|event| filter.takes(event)).map(view::event).collect();
        return Data::list("events", items, String::new(), view::EVENT).print(format);
    }
    let mut streams = SelectAll::new();
    for service in services {
        streams.push(Box::pin(tail(&api, service, from, true).await?));
    }
    while let Some(event) = streams.next().await {
        let event = event?;
        if filter.takes(&event) {
            print_line(&event, format)?;
        }
    }
    Ok(())
}

struct Filter {
    types: Vec<String>,
    device: Option<String>,
}

impl Filter {
    fn takes(&self, event: &Envelope) -> bool {
        let short = event.r#type.rsplit('.').next().unwrap_or_default();
        let type_fits = self.types.is_empty() || self.types.iter().any(|t| *t == event.r#type || t == short);
        let device_fits = self.device.as_ref().is_none_or(|device| {
            uuid::Uuid::from_slice(&event.aggregate_id).is_ok_and(|id| view::id(device) == id.to_string())
        });
        type_fits && device_fits
    }
}

fn print_line(event: &Envelope, format: Format) -> Result<(), Fault> {
    let value = view::event(event);
    match format {
        Format::Json => print_text(&value.to_string()),
        Format::Table | Format::Yaml | Format::Name => {
            let cells = view::EVENT.iter().map(|(_, pointer)| cell(&value, pointer));
            print_text(&table(&[], [cells.collect()]))
        }
    }
}

/// Everything the services' logs hold from a position on, by time.
///
/// # Errors
/// The call's fault.
pub async fn all(api: &Api, services: &[Service], from: u64) -> Result<Vec<Envelope>, Fault> {
    let mut events = Vec::new();
    for service in services {
        let mut stream = Box::pin(tail(api, *service, from, false).await?);
        while let Some(event) = stream.next().await {
            events.push(event?);
        }
    }
    // Positions order one service's events; between services only time can, and a reaction may share its cause's.
    let moment = |event: &Envelope| event.time.map_or((0, 0), |time| (time.seconds, time.nanos));
    events.sort_by(|a, b| {
        moment(a).cmp(&moment(b)).then(a.service.cmp(&b.service)).then(a.position.cmp(&b.position))
    });
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
) -> Result<impl futures::Stream<Item = Result<Envelope, Fault>> + use<>, Fault> {
    let request =
        TailRequest { service: service.to_string(), from_position, follow, ..TailRequest::default() };
    let stream = api.call(api.log(service).tail(request)).await?;
    Ok(stream.filter_map(|reply| async {
        match reply {
            Ok(reply) => reply.envelope.map(Ok),
            Err(status) => Some(Err(Fault::from_status(&status))),
        }
    }))
}
