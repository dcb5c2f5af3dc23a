//! `muster device timeline`: a device's history across the services, in causal order.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_proto::events::mention::Device;
use muster_proto::identity::v1::{GetGroupRequest, GroupKind};
use muster_proto::log::v1::{Envelope, TailRequest};
use muster_proto::policy::v1::GetPolicyRequest;
use muster_types::Service;
use serde_json::json;

use crate::command::events;
use crate::connect::Api;
use crate::flags::Read;
use crate::output::{Data, Format, print_json};
use crate::view::event;
use crate::view::timeline::{self, Names};

/// Most events of a device that are put in order at once.
const EVENTS_MAX: usize = 100_000;
/// The event that tells what a resolution is.
const EFFECTIVE: &str = "muster.policy.v1.EffectivePoliciesChanged";

/// Prints the history of a device.
///
/// # Errors
/// The call's fault.
pub(super) async fn run(device: String, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let name = api.device(&device).await?;
    let device = events::known(&api, &name).await?;
    let found = ordered(mentions(&api, &device).await?);
    let names = names(&api, &found, &device).await?;
    let items: Vec<_> = found
        .iter()
        .map(|event| {
            let mut item = event::cloud_event(event);
            item["sentence"] = json!(timeline::sentence(event, &device, &names));
            item["name"] = item["id"].clone();
            item["service"] = json!(event.service);
            // A device's id fills half a line, and it is nearly always this one's.
            item["by"] = json!(if event.actor.starts_with("device:") { "device" } else { &event.actor });
            item["place"] = json!(format!("{}:{}", event.service, event.position));
            item
        })
        .collect();
    if output.format == Format::Json {
        return print_json(&json!({"device": name, "ordinal": device.ordinal, "events": items}));
    }
    Data::list("events", items, String::new(), timeline::COLUMNS).print(output.format)
}

/// The events that concern the device, service by service.
async fn mentions(api: &Api, device: &Device) -> Result<Vec<Envelope>, Fault> {
    let mut found = Vec::new();
    for service in Service::ALL {
        let request = TailRequest {
            service: service.to_string(),
            tenant: api.tenant().to_string(),
            device_id: device.id.as_bytes().to_vec(),
            device_ordinal: device.ordinal,
            ..TailRequest::default()
        };
        let mut tail = Box::pin(events::tail_of(api, request).await?);
        while let Some(event) = tail.next().await {
            if found.len() >= EVENTS_MAX {
                let problem = format!("more than {EVENTS_MAX} events concern the device");
                return Err(Fault::new(ErrorCode::Overloaded, problem).with("limit", EVENTS_MAX));
            }
            found.push(event?);
        }
    }
    Ok(found)
}

/// Events in causal order: each service's by position, an event after the one it names as cause, else by time.
fn ordered(events: Vec<Envelope>) -> Vec<Envelope> {
    let mut queues: BTreeMap<String, std::collections::VecDeque<Envelope>> = BTreeMap::new();
    for event in events {
        queues.entry(event.service.clone()).or_default().push_back(event);
    }
    let mut waiting: BTreeSet<Vec<u8>> =
        queues.values().flatten().map(|event| event.event_id.clone()).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let at = |event: &Envelope| event.time.map_or((0, 0), |time| (time.seconds, time.nanos));
        let heads = || queues.iter().filter_map(|(service, queue)| Some((service, queue.front()?)));
        let ready = heads().filter(|(_, head)| !waiting.contains(&head.causation_id));
        // Causes that contradict the logs' order cannot be obeyed: then time decides.
        let next = ready
            .min_by_key(|(_, head)| at(head))
            .or_else(|| heads().min_by_key(|(_, head)| at(head)))
            .map(|(service, _)| service.clone());
        let Some(event) = next.and_then(|service| queues.get_mut(&service)?.pop_front()) else { break };
        waiting.remove(&event.event_id);
        sorted.push(event);
    }
    sorted
}

/// Names of the groups and policies that the events speak of, and what resolutions are.
async fn names(api: &Api, found: &[Envelope], device: &Device) -> Result<Names, Fault> {
    let mut names = Names::default();
    if found.iter().any(|event| event.r#type == EFFECTIVE) {
        resolutions(api, found, device, &mut names).await?;
    }
    let (groups, policies) = timeline::spoken_of(found, &names);
    for id in groups {
        let request = GetGroupRequest { name: api.name("groups", &id.to_string()) };
        if let Some(group) = there(api.call(api.groups().get_group(request)).await)? {
            let by_rule = group.kind() == GroupKind::Dynamic;
            names.groups.insert(id, (group.display_name, by_rule));
        }
    }
    for id in policies {
        let request = GetPolicyRequest { name: api.name("policies", &id.to_string()) };
        if let Some(policy) = there(api.call(api.policies().get_policy(request)).await)? {
            names.policies.insert(id, policy.display_name);
        }
    }
    Ok(names)
}

/// What is deleted has no name any more.
fn there<T>(reply: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match reply {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.code.status() == tonic::Code::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// What the device's resolutions are: each was told when nobody had it, perhaps because another device came to it.
async fn resolutions(api: &Api, found: &[Envelope], device: &Device, names: &mut Names) -> Result<(), Fault> {
    let mut missing = BTreeSet::new();
    for event in found.iter().filter(|event| event.r#type == EFFECTIVE) {
        let told = timeline::resolutions(&event.payload);
        missing.extend(timeline::reached(&event.payload, device));
        names.resolutions.extend(told);
    }
    missing.retain(|id| !names.resolutions.contains_key(id));
    if missing.is_empty() {
        return Ok(());
    }
    let request = TailRequest {
        service: Service::Policy.to_string(),
        types: vec![EFFECTIVE.to_owned()],
        tenant: api.tenant().to_string(),
        ..TailRequest::default()
    };
    let mut tail = Box::pin(events::tail_of(api, request).await?);
    while let Some(event) = tail.next().await {
        let told = timeline::resolutions(&event?.payload);
        missing.retain(|id| !told.contains_key(id));
        names.resolutions.extend(told);
        if missing.is_empty() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(service: &str, position: u64, seconds: i64, id: u8, cause: Option<u8>) -> Envelope {
        Envelope {
            service: service.to_owned(),
            position,
            event_id: vec![id; 16],
            causation_id: cause.map_or_else(Vec::new, |cause| vec![cause; 16]),
            time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..Envelope::default()
        }
    }

    fn order(events: Vec<Envelope>) -> Vec<u8> {
        ordered(events).iter().map(|event| event.event_id[0]).collect()
    }

    #[test]
    fn causes_come_before_what_they_caused_and_logs_keep_their_order() {
        // The clock of identity is behind: its reaction seems to be older than its cause.
        let events = vec![
            event("enroll", 1, 10, 1, None),
            event("enroll", 2, 20, 2, None),
            event("identity", 1, 9, 3, Some(1)),
            event("identity", 2, 8, 4, None),
            event("policy", 1, 15, 5, Some(99)),
        ];
        assert_eq!(order(events), [1, 3, 4, 5, 2]);
    }

    #[test]
    fn causes_in_a_circle_lose_no_event() {
        let events = vec![event("enroll", 1, 2, 1, Some(2)), event("policy", 1, 1, 2, Some(1))];
        assert_eq!(order(events), [2, 1]);
    }
}
