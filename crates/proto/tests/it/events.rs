//! The table of events agrees with the contract, and samples of all of them can be shown.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use muster_proto::events::{Bytes, EVENTS, comment, find, json, meant};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::json;

/// What the contract calls an event: a message of an `events.proto` whose comment names its aggregate.
fn of_the_contract() -> Vec<MessageDescriptor> {
    let of_events = |message: &MessageDescriptor| message.parent_file().name().ends_with("/events.proto");
    let says =
        |message: &MessageDescriptor| comment(message.full_name()).is_some_and(|c| c.contains("Aggregate `"));
    json::contract().all_messages().filter(of_events).filter(says).collect()
}

/// Every way from a message to a field of type bytes: names and numbers.
fn byte_fields(message: &MessageDescriptor) -> Vec<(Vec<FieldDescriptor>, FieldDescriptor)> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), message.clone())];
    while let Some((way, message)) = open.pop() {
        for field in message.fields() {
            let kind = field.kind();
            if let Some(inner) = kind.as_message().filter(|_| way.len() < 4) {
                open.push(([&way[..], &[field]].concat(), inner.clone()));
            } else if matches!(kind, Kind::Bytes) {
                found.push((way.clone(), field));
            }
        }
    }
    found
}

fn names(way: &[FieldDescriptor], field: &FieldDescriptor) -> (String, Vec<u32>) {
    let whole = || way.iter().chain([field]);
    let names: Vec<_> = whole().map(|field| field.name().to_owned()).collect();
    (names.join("."), whole().map(FieldDescriptor::number).collect())
}

#[test]
fn the_table_has_every_event_of_the_contract_and_no_other() {
    let contract: Vec<_> = of_the_contract().iter().map(|message| message.full_name().to_owned()).collect();
    let table: Vec<_> = EVENTS.iter().map(|kind| kind.name.to_owned()).collect();
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&table), set(&contract));
    assert_eq!(table.len(), contract.len(), "one is there twice");
}

#[test]
fn every_message_beside_the_events_is_a_part_of_one() {
    let mut parts = BTreeSet::new();
    let mut open = of_the_contract();
    while let Some(message) = open.pop() {
        if parts.insert(message.full_name().to_owned()) {
            open.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
        }
    }
    for message in json::contract().all_messages() {
        let of_events = message.parent_file().name().ends_with("/events.proto");
        let name = message.full_name();
        assert!(!of_events || parts.contains(name), "{name}: its comment names no aggregate");
    }
}

#[test]
fn aggregates_and_packages_are_those_of_the_contract() {
    for kind in EVENTS {
        let comment = comment(kind.name).expect("every event has a comment");
        assert!(comment.contains(&format!("Aggregate `{}`", kind.aggregate)), "{}: {comment}", kind.name);
        assert_eq!(kind.name, format!("muster.{}.v1.{}", kind.service(), kind.short()));
        assert!(!kind.meaning().is_empty() && !kind.meaning().ends_with('.'), "{}", kind.name);
    }
}

#[test]
fn bitmaps_and_devices_are_those_of_the_contract() {
    for kind in EVENTS {
        let message = json::contract().get_message_by_name(kind.name).expect("in the contract");
        let (mut bitmaps, mut devices) = (BTreeSet::new(), BTreeSet::new());
        for (way, field) in byte_fields(&message) {
            let names = names(&way, &field);
            match Bytes::of(field.full_name()) {
                Bytes::Ordinals => drop(bitmaps.insert(names)),
                Bytes::Id if field.name().contains("device_id") => drop(devices.insert(names)),
                Bytes::Id | Bytes::Hex | Bytes::Opaque => {}
            }
        }
        let table = |paths: &[muster_proto::events::Path]| -> BTreeSet<_> {
            paths.iter().map(|path| (path.names.to_owned(), path.numbers.to_vec())).collect()
        };
        assert_eq!(table(kind.bitmaps), bitmaps, "{}", kind.name);
        assert_eq!(table(kind.devices), devices, "{}", kind.name);
    }
}

#[test]
fn kinds_are_found_by_both_names_and_mistyped_ones_are_guessed() {
    for kind in EVENTS {
        assert_eq!(find(kind.name), Some(kind));
        assert_eq!(find(kind.short()), Some(kind), "two events are called {}", kind.short());
    }
    let all: Vec<_> = EVENTS.iter().collect();
    assert_eq!(meant("PolicyAsigned", &all), Some("PolicyAssigned"));
    assert_eq!(meant("policyassigned", &all), Some("PolicyAssigned"));
    assert_eq!(meant("muster.policy.v1.PolicyAsigned", &all), Some("muster.policy.v1.PolicyAssigned"));
    assert_eq!(meant("Weather", &all), None);
}

fn samples(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of samples is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            samples(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The golden samples of a service: short name of the event, and the payload.
fn golden(service: &str) -> Vec<(String, Vec<u8>)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services").join(service).join("tests/golden");
    let mut found = Vec::new();
    samples(&folder, &mut found);
    let name = |path: &Path| {
        let file = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        file.split('.').next().expect("a name").to_owned()
    };
    found.iter().map(|path| (name(path), fs::read(path).expect("readable"))).collect()
}

#[test]
fn every_event_has_a_sample_and_every_sample_can_be_shown() {
    let mut missing = Vec::new();
    for kind in EVENTS {
        let samples = golden(kind.service().as_str());
        let mut of_kind = samples.iter().filter(|(name, _)| name == kind.short()).peekable();
        if of_kind.peek().is_none() {
            missing.push(kind.name);
        }
        for (_, payload) in of_kind {
            assert!(
                json::payload(kind.name, payload).is_some_and(|shown| shown.is_object()),
                "{}",
                kind.name
            );
        }
    }
    assert!(missing.is_empty(), "no sample under services/*/tests/golden: {missing:?}");
}

#[test]
fn bytes_are_shown_as_what_they_are() {
    let shown = |service: &str, name: &str| {
        let (_, payload) = golden(service).into_iter().find(|(found, _)| found == name).expect("a sample");
        json::payload(find(name).expect("known").name, &payload).expect("decodes")
    };
    let sync = shown("policy", "DevicesSyncRequested");
    assert_eq!(sync, json!({"devices": {"count": 3, "ordinals": [1, 7, 70_000]}}));
    let assigned = shown("policy", "PolicyUnassigned");
    assert_eq!(assigned["policyId"], "00000000-0000-0000-0000-000000000001");
    let trust = shown("identity", "TrustRenewed");
    assert_eq!(trust["keyDigest"], "04".repeat(32));
    assert_eq!(trust["certificateSerial"], "41".repeat(16));
    assert!(trust["notAfter"].as_str().is_some_and(|text| text.ends_with('Z')), "{trust}");
    let status = shown("report", "StatusReported");
    assert_eq!(status["status"]["settings"][0]["desired"], json!({"integer": "3"}), "{status}");
}

#[test]
fn what_is_newer_or_torn_never_fails() {
    assert_eq!(json::payload("muster.policy.v9.Unheard", b"\x08\x01"), None);
    assert_eq!(json::payload("muster.policy.v1.PolicyDeleted", b"\xff\xff"), None);
    // Field 1000, of a newer writer.
    let newer = b"\x0a\x02ok\xc2\x3e\x03new";
    assert_eq!(json::payload("muster.policy.v1.PolicyDeleted", newer), Some(json!({"reason": "ok"})));
    let unheard = b"\x18\x7f";
    assert_eq!(json::payload("muster.policy.v1.PolicyAssigned", unheard), Some(json!({"intent": 127})));
}
