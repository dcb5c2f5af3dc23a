//! What of the log a tail is asked for.

use muster_errors::{ErrorCode, Fault};
use muster_proto::events::mention::Device;
use muster_proto::events::{EVENTS, EventKind, find, meant};
use muster_proto::log::v1 as pb;
use muster_types::name::InvalidTenant;
use muster_types::{Aggregate, Service, TenantId};
use uuid::Uuid;

use crate::Envelope;

/// Most types or kinds of aggregate that one tail may name.
pub const FILTERS_MAX: usize = 64;
/// Longest name in a filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 256;

/// What of the log is wanted; what is empty wants everything.
#[derive(Debug, Default)]
pub(super) struct Filter {
    types: Vec<&'static str>,
    aggregates: Vec<Aggregate>,
    aggregate_id: Option<Uuid>,
    tenant: Option<TenantId>,
    device: Option<Device>,
}

impl Filter {
    /// Reads what a request asks for, of one service's part of the log.
    ///
    /// # Errors
    /// `FILTER_INVALID` with the field and what it may say.
    pub(super) fn new(service: Service, request: &pb::TailRequest) -> Result<Self, Fault> {
        let pb::TailRequest {
            service: _,
            from_position: _,
            follow: _,
            types,
            aggregates,
            aggregate_id,
            tenant,
            device_id,
            device_ordinal,
        } = request;
        let device = match (id("device_id", device_id)?, *device_ordinal) {
            (Some(id), ordinal) => Some(Device { id, ordinal }),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(wrong(
                    "device_ordinal",
                    "needs device_id beside it: an ordinal alone names nobody",
                ));
            }
        };
        let tenant = match tenant.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error: InvalidTenant| wrong("tenant", error))?),
        };
        Ok(Self {
            types: each("types", types, |name| kind(service, name))?,
            aggregates: each("aggregates", aggregates, |name| aggregate(service, name))?,
            aggregate_id: id("aggregate_id", aggregate_id)?,
            tenant,
            device,
        })
    }

    pub(super) fn wants(&self, event: &Envelope) -> bool {
        let Self { types, aggregates, aggregate_id, tenant, device } = self;
        let stream = &event.stream;
        (types.is_empty() || types.contains(&event.kind.as_str()))
            && (aggregates.is_empty() || aggregates.contains(&stream.aggregate))
            && aggregate_id.is_none_or(|id| id == stream.id)
            && tenant.is_none_or(|tenant| tenant == stream.tenant)
            && device.is_none_or(|device| {
                device.is_in(stream.aggregate, stream.id, event.kind.as_str(), &event.payload)
            })
    }
}

fn each<T>(field: &str, names: &[String], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Fault> {
    if names.len() > FILTERS_MAX {
        return Err(wrong(field, format!("names {}, the limit is {FILTERS_MAX}", names.len())));
    }
    let read = |(i, name): (usize, &String)| {
        let value = if name.len() > FILTER_BYTES_MAX {
            Err(format!("is longer than {FILTER_BYTES_MAX} bytes"))
        } else {
            read(name)
        };
        value.map_err(|problem| wrong(format!("{field}[{i}]"), problem))
    };
    names.iter().enumerate().map(read).collect()
}

fn kind(service: Service, name: &str) -> Result<&'static str, String> {
    match find(name) {
        Some(kind) if kind.service() == service => Ok(kind.name),
        Some(kind) => Err(format!("{} is in the log of {}, not of {service}", kind.short(), kind.service())),
        None => {
            let here: Vec<&EventKind> = EVENTS.iter().filter(|kind| kind.service() == service).collect();
            let guess = meant(name, &here).or_else(|| meant(name, &EVENTS.iter().collect::<Vec<_>>()));
            let names = || here.iter().map(|kind| kind.short()).collect::<Vec<_>>().join(", ");
            let hint = guess.map_or_else(
                || format!("the log of {service} has {}", names()),
                |guess| format!("did you mean {guess}?"),
            );
            Err(format!("no type of event is called {name:?}; {hint}"))
        }
    }
}

fn aggregate(service: Service, name: &str) -> Result<Aggregate, String> {
    match name.parse::<Aggregate>() {
        Ok(aggregate) if aggregate.service() == service => Ok(aggregate),
        Ok(aggregate) => {
            Err(format!("{aggregate} is in the log of {}, not of {service}", aggregate.service()))
        }
        Err(_) => {
            let here = Aggregate::ALL.into_iter().filter(|aggregate| aggregate.service() == service);
            let names = here.map(Aggregate::as_str).collect::<Vec<_>>().join(", ");
            Err(format!("no kind of aggregate is called {name:?}; the log of {service} has {names}"))
        }
    }
}

fn id(field: &str, bytes: &[u8]) -> Result<Option<Uuid>, Fault> {
    match bytes {
        [] => Ok(None),
        bytes => Uuid::from_slice(bytes)
            .map(Some)
            .map_err(|_| wrong(field, format!("must be the 16 bytes of a UUID, is {} bytes", bytes.len()))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "takes texts and errors alike")]
fn wrong(field: impl Into<String>, problem: impl ToString) -> Fault {
    let (field, problem) = (field.into(), problem.to_string());
    Fault::new(ErrorCode::FilterInvalid, format!("{field}: {problem}")).with_field(field, problem)
}
