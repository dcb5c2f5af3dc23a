//! Writes the pages of `docs/events`: an AsyncAPI document for programs and a reference for people, from the contract and
//! the table of events. `cargo xtask codegen` runs it, after it made the code that this reads.

mod asyncapi;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use muster_proto::events::comment;

fn main() -> anyhow::Result<()> {
    let check = std::env::args().any(|argument| argument == "--check");
    for (path, fresh) in pages()? {
        if fs::read_to_string(&path).is_ok_and(|current| current == fresh) {
            continue;
        }
        if check {
            bail!("{} is stale; run `cargo xtask codegen` and commit", path.display());
        }
        fs::write(&path, fresh).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn pages() -> anyhow::Result<[(PathBuf, String); 2]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events");
    Ok([(folder.join("asyncapi.yaml"), asyncapi()?), (folder.join("README.md"), reference::page())])
}

/// A comment for a table or a single line.
fn said(name: &str) -> String {
    comment(name).unwrap_or_default().replace('\n', " ")
}

/// The AsyncAPI document.
fn asyncapi() -> anyhow::Result<String> {
    let document = serde_saphyr::to_string(&asyncapi::document()).context("writing the AsyncAPI document")?;
    Ok(format!("# Made by `cargo xtask codegen` from proto/ and crates/proto/src/events.rs.\n{document}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use muster_proto::events::EVENTS;
    use serde_json::Value;

    use super::*;

    fn refs<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| refs(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| refs(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn the_pages_are_fresh() {
        for (path, fresh) in pages().unwrap() {
            let current = fs::read_to_string(&path).unwrap_or_default();
            assert!(current == fresh, "{} is stale: run `cargo xtask codegen` and commit", path.display());
        }
    }

    #[test]
    fn the_yaml_says_what_was_meant() {
        let read: Value = serde_saphyr::from_str(&asyncapi().unwrap()).unwrap();
        assert_eq!(read, asyncapi::document());
    }

    #[test]
    fn every_reference_leads_somewhere_and_everything_is_referred_to() {
        let document = asyncapi::document();
        let mut found = Vec::new();
        refs(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let used: BTreeSet<_> = found.into_iter().collect();
        for kind in ["schemas", "messages", "parameters"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let reference = format!("#/components/{kind}/{name}");
                assert!(used.contains(&*reference), "nothing refers to {reference}");
            }
        }
    }

    #[test]
    fn every_event_is_in_the_channel_of_its_aggregate() {
        let document = asyncapi::document();
        for kind in EVENTS {
            let channel = &document["channels"][kind.aggregate.as_str()];
            let address =
                format!("muster.v1.{}.{{tenant}}.{{partition}}.{}.{{id}}", kind.service(), kind.aggregate);
            assert_eq!(channel["address"], address);
            let reference = format!("#/components/messages/{}", kind.name);
            assert_eq!(channel["messages"][kind.short()]["$ref"], reference);
            let message = &document["components"]["messages"][kind.name];
            assert_eq!(message["headers"]["allOf"][1]["properties"]["ce-type"]["const"], kind.name);
        }
        let channels = document["channels"].as_object().unwrap();
        for (name, channel) in channels {
            let parameters: BTreeSet<_> = channel["parameters"].as_object().unwrap().keys().collect();
            let address = channel["address"].as_str().unwrap();
            assert!(
                parameters.iter().all(|parameter| address.contains(&format!("{{{parameter}}}"))),
                "{name}"
            );
            assert_eq!(parameters.len(), address.matches('{').count(), "{name}");
        }
        for operation in document["operations"].as_object().unwrap().values() {
            assert_eq!(operation["action"], "receive");
        }
        assert_eq!(document["operations"].as_object().unwrap().len(), channels.len());
    }
}
