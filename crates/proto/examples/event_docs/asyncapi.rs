//! The AsyncAPI 3.0 document: channels by aggregate, CloudEvents headers, payloads as JSON Schema of their JSON form.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::events::{Bytes, EVENTS, EventKind, json};
use muster_types::Aggregate;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::said;

const ABOUT: &str = "\
Every change in Muster is an event, public and versioned. On NATS an event is a CloudEvent in binary mode: attributes as \
lower-case headers, the payload as a protobuf message. Over gRPC, `muster.log.v1.LogService/Tail` streams the same events \
from both kinds of log; `muster events tail -o json` prints them with decoded payloads. The schemas here are those of the \
decoded payloads: the protobuf JSON mapping, but with ids as UUIDs, digests as hexadecimal digits, and bitmaps of device \
ordinals as a count and the first of them. What is promised about order, delivery and resuming stands in consume.md.";

const NATS: &str = "\
The log of a cluster: NATS JetStream, a JetStream stream for each service. Read with a consumer of your own; publishing is \
the services' alone.";

const GRPC: &str = "\
The control plane itself, whichever log it has: the server-streaming call `muster.log.v1.LogService/Tail`, with the admin \
token as `authorization: Bearer`.";

/// The document.
pub(super) fn document() -> Value {
    let mut schemas = Schemas::default();
    for kind in EVENTS {
        schemas.add(&descriptor(kind));
    }
    let mut all = schemas.found;
    all.insert("CloudEvent".to_owned(), headers());
    all.insert("Ordinals".to_owned(), ordinals());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Muster events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/protobuf",
        "servers": {
            "nats": {"host": "localhost:4222", "protocol": "nats", "description": NATS},
            "grpc": {"host": "localhost:7443", "protocol": "grpc", "description": GRPC},
        },
        "channels": object(aggregates().map(|aggregate| (aggregate.to_string(), channel(aggregate)))),
        "operations": object(aggregates().map(|aggregate| (format!("receive.{aggregate}"), operation(aggregate)))),
        "components": {
            "parameters": parameters(),
            "messages": object(EVENTS.iter().map(|kind| (kind.name.to_owned(), message(kind)))),
            "schemas": object(all),
        },
    })
}

fn object(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(Map::from_iter(fields))
}

fn reference(place: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/{place}/{name}") })
}

/// Aggregates that have events, by service.
fn aggregates() -> impl Iterator<Item = Aggregate> {
    let with_events = |aggregate: &Aggregate| EVENTS.iter().any(|kind| kind.aggregate == *aggregate);
    let mut all: Vec<_> = Aggregate::ALL.into_iter().filter(with_events).collect();
    all.sort_by_key(|aggregate| aggregate.service());
    all.into_iter()
}

fn events_of(aggregate: Aggregate) -> impl Iterator<Item = &'static EventKind> {
    EVENTS.iter().filter(move |kind| kind.aggregate == aggregate)
}

fn descriptor(kind: &EventKind) -> MessageDescriptor {
    json::contract().get_message_by_name(kind.name).expect("a test holds the table to the contract")
}

fn channel(aggregate: Aggregate) -> Value {
    let service = aggregate.service();
    let messages = events_of(aggregate)
        .map(|kind| (kind.short().to_owned(), reference("components/messages", kind.name)));
    let parameter = |name: &str| (name.to_owned(), reference("components/parameters", name));
    json!({
        "address": format!("muster.v1.{service}.{{tenant}}.{{partition}}.{aggregate}.{{id}}"),
        "title": format!("{service}: {aggregate}"),
        "description": format!("Events of the aggregate `{aggregate}`, which service {service} owns. One subject for each."),
        "servers": [reference("servers", "nats"), reference("servers", "grpc")],
        "parameters": object(["tenant", "partition", "id"].map(parameter)),
        "messages": object(messages),
    })
}

fn operation(aggregate: Aggregate) -> Value {
    let place = format!("channels/{aggregate}/messages");
    json!({
        "action": "receive",
        "channel": reference("channels", aggregate.as_str()),
        "summary": format!("Follow the events of `{aggregate}`"),
        "messages": events_of(aggregate).map(|kind| reference(&place, kind.short())).collect::<Vec<_>>(),
    })
}

fn parameters() -> Value {
    json!({
        "tenant": {"description": "The tenant: 1 to 32 of a-z, 0-9 and '-', beginning with a letter.", "examples": ["default"]},
        "partition": {"description": "One of 256 partitions, two hexadecimal digits: a stable hash of the id.", "examples": ["9f"]},
        "id": {"description": "The aggregate's UUID without hyphens.", "examples": ["0192f0c1a2b37c4d8e5f60718293a4b5"]},
    })
}

fn message(kind: &EventKind) -> Value {
    let service = kind.service();
    let mut message = json!({
        "name": kind.name,
        "title": kind.short(),
        "summary": kind.meaning(),
        "description": said(kind.name),
        "contentType": "application/protobuf",
        "headers": {
            "allOf": [
                reference("components/schemas", "CloudEvent"),
                {"type": "object", "properties": {
                    "ce-type": {"const": kind.name},
                    "ce-source": {"const": format!("/muster/{service}")},
                }},
            ],
        },
        "payload": reference("components/schemas", kind.name),
        "x-protobuf": {"message": kind.name, "file": format!("proto/muster/{service}/v1/events.proto")},
        "x-since": kind.since,
    });
    for (name, paths) in [("x-ordinals", kind.bitmaps), ("x-device-ids", kind.devices)] {
        if !paths.is_empty() {
            message[name] = paths.iter().map(|path| path.names).collect();
        }
    }
    message
}

fn headers() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let uuid = |description: &str| json!({"type": "string", "format": "uuid", "description": description});
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 attributes as NATS headers, and W3C trace context.",
        "required": [
            "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "ce-sequence",
            "ce-datacontenttype", "ce-correlationid", "ce-actor", "ce-prevhash",
        ],
        "properties": {
            "ce-specversion": {"type": "string", "const": "1.0"},
            "ce-id": uuid("Identity of the event: drop duplicates by it."),
            "ce-type": text("Full name of the payload's message."),
            "ce-source": text("`/muster/` and the service."),
            "ce-subject": text("The aggregate: its kind, `/`, its UUID."),
            "ce-time": {"type": "string", "format": "date-time", "description": "When the fact was decided, by the service's clock."},
            "ce-sequence": text("Version: the event's place in its aggregate's stream, 1, 2, 3 … A gap means loss."),
            "ce-datacontenttype": {"type": "string", "const": "application/protobuf"},
            "ce-correlationid": uuid("The same for all events that one request caused."),
            "ce-causationid": uuid("The event that this one reacts to; absent when a command from outside caused it."),
            "ce-actor": text("Who caused it: `admin:<name>`, `device:<id>` or `service:<name>`; percent-encoded."),
            "ce-prevhash": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 link to the event before it in the stream; zeros for the first."},
            "traceparent": text("W3C trace context of the command; absent when it was not traced."),
        },
    })
}

fn ordinals() -> Value {
    json!({
        "type": "object",
        "description": "Devices by ordinal. On the wire a roaring bitmap in the portable serialisation.",
        "required": ["count", "ordinals"],
        "properties": {
            "count": {"type": "integer", "minimum": 0, "description": "How many they are."},
            "ordinals": {
                "type": "array",
                "maxItems": json::ORDINALS_MAX,
                "items": {"type": "integer", "minimum": 0},
                "description": "The first of them.",
            },
        },
    })
}

/// Schemas of messages and enums, by full name.
#[derive(Default)]
struct Schemas {
    found: BTreeMap<String, Value>,
    open: BTreeSet<String>,
}

impl Schemas {
    fn add(&mut self, message: &MessageDescriptor) {
        let name = message.full_name();
        if !self.open.insert(name.to_owned()) {
            return;
        }
        let fields = message.fields().map(|field| (field.json_name().to_owned(), self.of_field(&field)));
        let properties = object(fields.collect::<Vec<_>>());
        let schema = json!({"type": "object", "description": said(name), "properties": properties});
        self.found.insert(name.to_owned(), schema);
    }

    fn add_enum(&mut self, kind: &EnumDescriptor) {
        let values: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
        let name = kind.full_name();
        let meanings =
            object(values.iter().map(|value| (value.clone(), said(&format!("{name}.{value}")).into())));
        let schema =
            json!({"type": "string", "description": said(name), "enum": values, "x-values": meanings});
        self.found.insert(name.to_owned(), schema);
    }

    fn of_field(&mut self, field: &FieldDescriptor) -> Value {
        let description = said(field.full_name());
        if field.is_map() {
            let entry = field.kind();
            let value = entry.as_message().and_then(|entry| entry.get_field_by_name("value"));
            let values = value.map_or(json!(true), |value| self.of_kind(&value));
            return json!({"type": "object", "additionalProperties": values, "description": description});
        }
        let one = self.of_kind(field);
        if field.is_list() {
            return json!({"type": "array", "items": one, "description": description});
        }
        let Value::Object(mut schema) = one else { return one };
        // Beside a reference nothing else counts.
        if schema.contains_key("$ref") {
            return json!({"allOf": [schema], "description": description});
        }
        schema.insert("description".to_owned(), description.into());
        Value::Object(schema)
    }

    fn of_kind(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
                "google.protobuf.Duration" => json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"}),
                name => {
                    self.add(&message);
                    reference("components/schemas", name)
                }
            },
            Kind::Enum(kind) => {
                self.add_enum(&kind);
                reference("components/schemas", kind.full_name())
            }
            Kind::Bytes => match Bytes::of(field.full_name()) {
                Bytes::Id => json!({"type": "string", "format": "uuid"}),
                Bytes::Ordinals => reference("components/schemas", "Ordinals"),
                Bytes::Hex => json!({"type": "string", "pattern": "^[0-9a-f]*$"}),
                Bytes::Opaque => json!({"type": "string", "contentEncoding": "base64"}),
            },
            Kind::String => json!({"type": "string"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer"}),
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "pattern": "^[0-9]+$"}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "pattern": "^-?[0-9]+$"}),
        }
    }
}
