//! Events: as CloudEvents with decoded payloads for programs, and as a line each for people.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_proto::events::json;
use muster_proto::log::v1::Envelope;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{hex, time};

/// Longest line.
const COLUMNS_MAX: usize = 100;
/// Above the lines.
pub const HEADING: &str = "TIME                  SERVICE   POSITION  EVENT";
/// Names of fields that say the most of an event, most telling first.
const TELLING: &[&str] = &[
    "displayName",
    "setting",
    "revision",
    "code",
    "reason",
    "added",
    "removed",
    "devices",
    "none",
    "resolved",
    "delivered",
    "settings",
    "rule",
    "policyId",
    "groupId",
    "deviceId",
];

fn uuid(bytes: &[u8]) -> Option<String> {
    Uuid::from_slice(bytes).ok().map(|id| id.to_string())
}

/// The event as a CloudEvent in the JSON format, its attributes named as on NATS, its payload decoded. A payload that
/// this program does not know stands in `data_base64`.
#[must_use]
pub fn cloud_event(event: &Envelope) -> Value {
    let Envelope {
        position,
        event_id,
        tenant,
        service,
        aggregate,
        aggregate_id,
        version,
        r#type,
        time: at,
        actor,
        correlation_id,
        causation_id,
        prev_hash,
        traceparent,
        payload,
    } = event;
    let subject = format!("{aggregate}/{}", uuid(aggregate_id).unwrap_or_default());
    let (data, content) = match json::payload(r#type, payload) {
        Some(data) => (("data", data), "application/json"),
        None => (("data_base64", STANDARD.encode(payload).into()), "application/protobuf"),
    };
    let attributes: [(&str, Option<Value>); 16] = [
        ("specversion", Some("1.0".into())),
        ("id", uuid(event_id).map(Value::from)),
        ("source", Some(format!("/muster/{service}").into())),
        ("type", Some(r#type.as_str().into())),
        ("subject", Some(subject.into())),
        ("time", Some(time(*at))),
        ("datacontenttype", Some(content.into())),
        ("tenant", Some(tenant.as_str().into())),
        ("position", Some((*position).into())),
        ("version", Some((*version).into())),
        ("actor", Some(actor.as_str().into())),
        ("correlationid", uuid(correlation_id).map(Value::from)),
        ("causationid", uuid(causation_id).map(Value::from)),
        ("prevhash", Some(hex(prev_hash).into())),
        ("traceparent", (!traceparent.is_empty()).then(|| traceparent.as_str().into())),
        (data.0, Some(data.1)),
    ];
    let set = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(set.collect())
}

/// The event in a line: when, whose, where, what, and what it says above all.
#[must_use]
pub fn line(event: &Envelope) -> String {
    let at = time(event.time);
    let at = at.as_str().and_then(|text| text.get(..19)).unwrap_or_default().to_owned();
    let short = event.r#type.rsplit('.').next().unwrap_or_default();
    let place = format!("{at}Z  {:<8}  {:>8}  {short}", event.service, event.position);
    let subject = uuid(&event.aggregate_id).and_then(|id| Some(id.get(..8)?.to_owned())).unwrap_or_default();
    let said = json::payload(&event.r#type, &event.payload).map(|data| said(&data)).unwrap_or_default();
    let line = format!("{place} {}/{subject} {said}", event.aggregate);
    cut(line.trim_end(), COLUMNS_MAX)
}

/// The fields of a payload that say the most.
fn said(data: &Value) -> String {
    // Some events hold one message that says it all.
    let inner = data.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.values().next());
    let empty = Map::new();
    let outer = data.as_object().unwrap_or(&empty);
    let fields =
        inner.and_then(Value::as_object).filter(|inner| !inner.contains_key("count")).unwrap_or(outer);
    let told = TELLING.iter().filter_map(|name| Some(format!("{name}={}", brief(fields.get(*name)?)?)));
    told.take(3).collect::<Vec<_>>().join(" ")
}

fn brief(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let quoted = text.contains(char::is_whitespace);
            let short = cut(text, 36);
            Some(if quoted { format!("{short:?}") } else { short })
        }
        Value::Array(items) => Some(items.len().to_string()),
        Value::Object(fields) => fields.get("count").map(ToString::to_string),
        Value::Null => None,
        other @ (Value::Bool(_) | Value::Number(_)) => Some(other.to_string()),
    }
}

/// A text in at most so many characters.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use muster_proto::policy::v1::PolicyRevised;
    use prost::Message as _;

    use super::*;

    fn event(kind: &str, payload: Vec<u8>) -> Envelope {
        Envelope {
            position: 7,
            event_id: vec![1; 16],
            tenant: "default".to_owned(),
            service: "policy".to_owned(),
            aggregate: "policy".to_owned(),
            aggregate_id: vec![2; 16],
            version: 3,
            r#type: kind.to_owned(),
            time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000 }),
            actor: "admin:ann".to_owned(),
            correlation_id: vec![4; 16],
            prev_hash: vec![6; 32],
            payload: payload.into(),
            ..Envelope::default()
        }
    }

    #[test]
    fn an_event_is_a_cloud_event_with_its_payload() {
        let revised =
            PolicyRevised { revision: 2, display_name: "Base line".to_owned(), ..Default::default() };
        let shown = cloud_event(&event("muster.policy.v1.PolicyRevised", revised.encode_to_vec()));
        assert_eq!(shown["id"], "01010101-0101-0101-0101-010101010101");
        assert_eq!(shown["source"], "/muster/policy");
        assert_eq!(shown["subject"], "policy/02020202-0202-0202-0202-020202020202");
        assert_eq!((&shown["position"], &shown["version"]), (&Value::from(7), &Value::from(3)));
        assert_eq!(shown["data"]["revision"], "2");
        assert_eq!(shown.get("causationid"), None, "nothing is null: {shown}");
        let unheard = cloud_event(&event("muster.policy.v9.Unheard", vec![1, 2, 3]));
        assert_eq!((unheard.get("data"), &unheard["data_base64"]), (None, &Value::from("AQID")));
    }

    #[test]
    fn lines_fit_and_say_what_counts() {
        let revised = PolicyRevised {
            revision: 2,
            display_name: "A long name that goes on and on and on".to_owned(),
            reason: "because".to_owned(),
            ..Default::default()
        };
        let told = line(&event("muster.policy.v1.PolicyRevised", revised.encode_to_vec()));
        assert!(told.chars().count() <= COLUMNS_MAX, "{told}");
        assert!(
            told.starts_with("2023-11-14T22:13:20Z  policy           7  PolicyRevised policy/02020202"),
            "{told}"
        );
        assert!(told.contains("displayName="), "{told}");
    }
}
