//! The reference page: every type of event with its fields.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use muster_proto::events::{Bytes, EVENTS, EventKind, json};
use muster_types::Service;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::said;

const HEAD: &str = "\
# Events

<!-- Made by `cargo xtask codegen` from proto/ and crates/proto/src/events.rs. -->

Every change in Muster is an event, and every event is public: the payload is a protobuf message of `proto/muster/*/v1/events.proto`,
in an envelope with id, time, actor, cause and a hash chain. [consume.md](consume.md) says how to read them and what is
promised; [asyncapi.yaml](asyncapi.yaml) says the same as this page for programs.

On NATS the subject of an aggregate is `muster.v1.<service>.<tenant>.<partition>.<aggregate>.<id>`, and the envelope is CloudEvents
headers. With either log, `muster events tail` shows events, with `-o json` one CloudEvent a line whose `data` is the decoded
payload: the protobuf JSON mapping (lowerCamelCase names, 64-bit numbers as text, fields that are not set left out), but with ids as
UUIDs, digests and serial numbers as hexadecimal digits, and ordinals of devices as `{\"count\": n, \"ordinals\": [the first 20]}`.

An event that reaches many devices is one event with a bitmap of their ordinals. A device's ordinal is the number of devices that had a
first `TrustEstablished` before it in identity's log; `muster events tail --device D` looks into the bitmaps, and
`muster device timeline D` tells in sentences what concerned one device.

Fields are only ever added. A consumer leaves alone what it does not know.

";

/// The page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    for service in Service::ALL {
        overview(&mut page, service);
    }
    let (mut parts, mut enums) = (BTreeSet::new(), BTreeSet::new());
    for service in Service::ALL {
        writeln!(page, "# Events of {service}\n").expect(INFALLIBLE);
        for kind in EVENTS.iter().filter(|kind| kind.service() == service) {
            let message = json::contract().get_message_by_name(kind.name);
            let message = message.expect("a test holds the table to the contract");
            of_event(&mut page, kind, &message);
            collect(&message, &mut parts, &mut enums);
        }
    }
    page.push_str("# Parts of events\n\n");
    for name in &parts {
        let message = json::contract().get_message_by_name(name).expect("it was found there");
        writeln!(page, "## {name}\n\n{}\n", said(name)).expect(INFALLIBLE);
        fields(&mut page, &message);
    }
    page.push_str("# Enums of events\n\n");
    for name in &enums {
        let kind = json::contract().get_enum_by_name(name).expect("it was found there");
        of_enum(&mut page, &kind);
    }
    format!("{}\n", page.trim_end())
}

const INFALLIBLE: &str = "writing to a string cannot fail";

fn overview(page: &mut String, service: Service) {
    writeln!(page, "## {service}\n\n| type | aggregate | what happened |\n|---|---|---|").expect(INFALLIBLE);
    for kind in EVENTS.iter().filter(|kind| kind.service() == service) {
        let (short, anchor) = (kind.short(), anchor(kind.short()));
        writeln!(page, "| [{short}](#{anchor}) | `{}` | {} |", kind.aggregate, kind.meaning())
            .expect(INFALLIBLE);
    }
    page.push('\n');
}

fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace('.', "")
}

fn of_event(page: &mut String, kind: &EventKind, message: &MessageDescriptor) {
    let name = kind.name;
    writeln!(page, "## {}\n\n`{name}`, since {}\n\n{}\n", kind.short(), kind.since, said(name))
        .expect(INFALLIBLE);
    fields(page, message);
}

fn fields(page: &mut String, message: &MessageDescriptor) {
    if message.fields().len() == 0 {
        page.push_str("No fields.\n\n");
        return;
    }
    page.push_str("| field | type | meaning |\n|---|---|---|\n");
    for field in message.fields() {
        let meaning = said(field.full_name()).replace('|', "\\|");
        writeln!(page, "| `{}` | {} | {meaning} |", field.name(), kind_of(&field)).expect(INFALLIBLE);
    }
    page.push('\n');
}

fn kind_of(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => "time".to_owned(),
            "google.protobuf.Duration" => "length of time".to_owned(),
            name => link(name),
        },
        Kind::Enum(kind) => link(kind.full_name()),
        Kind::Bytes => match Bytes::of(field.full_name()) {
            Bytes::Id => "id",
            Bytes::Ordinals => "ordinals",
            Bytes::Hex => "bytes, shown in hexadecimal",
            Bytes::Opaque => "bytes",
        }
        .to_owned(),
        Kind::String => "text".to_owned(),
        Kind::Bool => "yes or no".to_owned(),
        number @ (Kind::Double
        | Kind::Float
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64) => format!("{number:?}").to_lowercase(),
    };
    if field.is_list() { format!("list of {one}") } else { one }
}

fn link(name: &str) -> String {
    format!("[{}](#{})", name.rsplit('.').next().unwrap_or(name), anchor(name))
}

fn collect(message: &MessageDescriptor, parts: &mut BTreeSet<String>, enums: &mut BTreeSet<String>) {
    for field in message.fields() {
        let kind = field.kind();
        if let Some(part) = kind.as_message().filter(|part| part.full_name().starts_with("muster."))
            && parts.insert(part.full_name().to_owned())
        {
            collect(part, parts, enums);
        }
        enums.extend(kind.as_enum().map(|kind| kind.full_name().to_owned()));
    }
}

fn of_enum(page: &mut String, kind: &EnumDescriptor) {
    let name = kind.full_name();
    writeln!(page, "## {name}\n\n{}\n\n| value | meaning |\n|---|---|", said(name)).expect(INFALLIBLE);
    for value in kind.values() {
        let value = value.name();
        writeln!(page, "| `{value}` | {} |", said(&format!("{name}.{value}"))).expect(INFALLIBLE);
    }
    page.push('\n');
}
