//! `muster history`.

use std::collections::BTreeMap;

use clap::Subcommand;
use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_proto::log::v1::{Envelope, TailRequest};
use muster_proto::policy::v1 as pb;
use muster_types::Service;
use prost::Message;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connect::Api;
use crate::flags::Read;
use crate::output::{self, Data, Format};
use crate::view;

/// What became of something, from its first event.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All that happened to a policy: revisions, rollbacks, assignments, deletion and return, with who and why
    Policy {
        /// The policy's id or name; of a deleted one the name it had
        policy: String,
        /// Show what each revision changed
        #[arg(long)]
        diff: bool,
        /// How to call
        #[command(flatten)]
        read: Read,
    },
}

/// Columns of an event of a policy.
const EVENT: &[(&str, &str)] =
    &[("at", "/position"), ("when", "/time"), ("who", "/actor"), ("what", "/what"), ("why", "/reason")];

/// Events that a policy's history is made of.
const TYPES: [&str; 6] = [
    "muster.policy.v1.PolicyCreated",
    "muster.policy.v1.PolicyRevised",
    "muster.policy.v1.PolicyDeleted",
    "muster.policy.v1.PolicyUndeleted",
    "muster.policy.v1.PolicyAssigned",
    "muster.policy.v1.PolicyUnassigned",
];

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    let Command::Policy { policy, diff, read: Read { target, output } } = command;
    let api = Api::connect(&target)?;
    let name = super::policy::made(&api, &policy).await?;
    let mut history = History::of(view::id(&name), diff)?;
    let request = TailRequest {
        service: Service::Policy.to_string(),
        types: TYPES.map(str::to_owned).into(),
        ..TailRequest::default()
    };
    let mut events = api.call(api.log(Service::Policy).tail(request)).await?;
    while let Some(event) = events.next().await {
        let event = event.map_err(|status| Fault::from_status(&status))?;
        if let Some(event) = event.envelope {
            history.take(&event)?;
        }
    }
    let items = history.items;
    if diff && output.format == Format::Table {
        return output::print_text(&text(&items));
    }
    Data::list("events", items, String::new(), EVENT).print(output.format)
}

/// The history of one policy, event by event.
struct History {
    policy: Uuid,
    diff: bool,
    /// What the policy was after the last event.
    latest: Option<Revision>,
    items: Vec<Value>,
}

#[derive(Clone)]
struct Revision {
    display_name: String,
    on_unassign: i32,
    settings: BTreeMap<String, Option<pb::SettingValue>>,
}

impl History {
    fn of(policy: &str, diff: bool) -> Result<Self, Fault> {
        let policy = policy.parse().map_err(|_| Fault::invalid_field("policy", "is not a policy's name"))?;
        Ok(Self { policy, diff, latest: None, items: Vec::new() })
    }

    fn take(&mut self, event: &Envelope) -> Result<(), Fault> {
        let own = event.aggregate_id == self.policy.as_bytes();
        let is_tie = |policy: &[u8]| policy == self.policy.as_bytes();
        let kind = event.r#type.rsplit('.').next().unwrap_or_default();
        let (what, reason, changes) = match kind {
            "PolicyCreated" if own => {
                let pb::PolicyCreated { display_name, profile: _, settings, on_unassign, reason } =
                    read(event)?;
                let count = settings.len();
                let what = format!("created {display_name:?} with {count} settings (revision 1)");
                (what, reason, self.became(display_name, settings, on_unassign))
            }
            "PolicyRevised" if own => {
                let pb::PolicyRevised {
                    revision,
                    display_name,
                    settings,
                    on_unassign,
                    reason,
                    rolled_back_to,
                } = read(event)?;
                let what = match rolled_back_to {
                    0 => format!("revised (revision {revision})"),
                    back => format!("rolled back to revision {back} (revision {revision})"),
                };
                (what, reason, self.became(display_name, settings, on_unassign))
            }
            "PolicyDeleted" if own => {
                let pb::PolicyDeleted { reason } = read(event)?;
                ("deleted".to_owned(), reason, Vec::new())
            }
            "PolicyUndeleted" if own => {
                let pb::PolicyUndeleted { reason } = read(event)?;
                ("brought back".to_owned(), reason, Vec::new())
            }
            "PolicyAssigned" => {
                let assigned: pb::PolicyAssigned = read(event)?;
                if !is_tie(&assigned.policy_id) {
                    return Ok(());
                }
                (tied(&assigned), String::new(), Vec::new())
            }
            "PolicyUnassigned" => {
                let pb::PolicyUnassigned { policy_id, group_id } = read(event)?;
                if !is_tie(&policy_id) {
                    return Ok(());
                }
                (format!("taken back from group {}", group(&group_id)), String::new(), Vec::new())
            }
            _ => return Ok(()),
        };
        let mut item = json!({
            "position": format!("{}:{}", event.service, event.position),
            "time": view::moment(event.time),
            "actor": event.actor,
            "type": kind,
            "what": what,
            "reason": reason,
        });
        if self.diff {
            item["changes"] = Value::Array(changes);
        }
        self.items.push(item);
        Ok(())
    }

    /// What a revision changed, setting by setting, and the name and what becomes of settings if they did.
    fn became(&mut self, display_name: String, settings: Vec<pb::Setting>, on_unassign: i32) -> Vec<Value> {
        let settings = settings.into_iter().map(|setting| (setting.id, setting.value)).collect();
        let after = Revision { display_name, on_unassign, settings };
        let Some(before) = self.latest.replace(after.clone()) else { return Vec::new() };
        let mut changes = Vec::new();
        let mut change = |id: &str, before: Value, after: Value| {
            if before != after {
                changes.push(json!({"id": id, "before": before, "after": after}));
            }
        };
        change("name", json!(before.display_name), json!(after.display_name));
        change("on unassign", json!(told(before.on_unassign)), json!(told(after.on_unassign)));
        let mut ids: Vec<_> = before.settings.keys().chain(after.settings.keys()).collect();
        ids.sort_unstable();
        ids.dedup();
        let value =
            |of: &Revision, id: &str| view::setting_value(of.settings.get(id).and_then(Option::as_ref));
        ids.into_iter().for_each(|id| change(id, value(&before, id), value(&after, id)));
        changes
    }
}

fn told(on_unassign: i32) -> &'static str {
    match pb::OnUnassign::try_from(on_unassign) {
        Ok(pb::OnUnassign::Keep) => "keep",
        Ok(pb::OnUnassign::Unspecified | pb::OnUnassign::Revert) | Err(_) => "revert",
    }
}

fn tied(assigned: &pb::PolicyAssigned) -> String {
    let group = group(&assigned.group_id);
    let priority = assigned.priority.map(|number| format!(" with priority {number}")).unwrap_or_default();
    match assigned.intent() {
        pb::AssignmentIntent::Exclude => format!("excludes group {group}"),
        pb::AssignmentIntent::Unspecified | pb::AssignmentIntent::Include => {
            format!("assigned to group {group}{priority}")
        }
    }
}

fn group(id: &[u8]) -> String {
    Uuid::from_slice(id).unwrap_or_default().to_string()
}

fn read<M: Message + Default>(event: &Envelope) -> Result<M, Fault> {
    M::decode(&event.payload[..]).map_err(|error| {
        let message = format!("the event at {}:{} cannot be read: {error}", event.service, event.position);
        Fault::new(ErrorCode::LogCorrupt, message)
    })
}

/// What people read: a line for each event, with its changes below.
fn text(items: &[Value]) -> String {
    let mut lines = Vec::new();
    let word = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    for item in items {
        let why = match word(item, "reason") {
            why if why.is_empty() => String::new(),
            why => format!(", {why:?}"),
        };
        lines.push(format!("{}  {}  {}", word(item, "time"), word(item, "position"), word(item, "actor")));
        lines.push(format!("  {}{why}", word(item, "what")));
        for change in item["changes"].as_array().into_iter().flatten() {
            lines.push(format!("    {}", word(change, "id")));
            for (sign, key) in [("-", "before"), ("+", "after")] {
                if !change[key].is_null() {
                    lines.push(format!("      {sign} {}", output::cell(change, &format!("/{key}"))));
                }
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: u64, kind: &str, id: Uuid, message: &impl Message) -> Envelope {
        Envelope {
            position,
            service: "policy".into(),
            r#type: format!("muster.policy.v1.{kind}"),
            aggregate_id: id.as_bytes().to_vec(),
            actor: "admin:ada".into(),
            payload: message.encode_to_vec().into(),
            ..Default::default()
        }
    }

    fn setting(value: i64) -> pb::Setting {
        let value = Some(pb::SettingValue { kind: Some(pb::setting_value::Kind::Integer(value)) });
        pb::Setting { id: "a/b".into(), value }
    }

    #[test]
    fn everything_that_happened_to_a_policy_stands_in_its_history_and_nothing_else() {
        let (policy, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let created = pb::PolicyCreated {
            display_name: "Base".into(),
            settings: vec![setting(1)],
            ..Default::default()
        };
        let revised = pb::PolicyRevised {
            revision: 2,
            display_name: "Base".into(),
            settings: vec![setting(2)],
            reason: "lunch".into(),
            ..Default::default()
        };
        let back = pb::PolicyRevised {
            revision: 3,
            rolled_back_to: 1,
            settings: vec![setting(1)],
            ..revised.clone()
        };
        let tie = |of: Uuid| pb::PolicyAssigned { policy_id: of.as_bytes().to_vec(), ..Default::default() };
        let events = [
            event(1, "PolicyCreated", policy, &created),
            event(2, "PolicyCreated", other, &created),
            event(3, "PolicyAssigned", Uuid::from_u128(9), &tie(policy)),
            event(4, "PolicyAssigned", Uuid::from_u128(8), &tie(other)),
            event(5, "PolicyRevised", policy, &revised),
            event(6, "PolicyRevised", policy, &back),
            event(7, "PolicyDeleted", policy, &pb::PolicyDeleted::default()),
            event(8, "PolicyUndeleted", policy, &pb::PolicyUndeleted::default()),
        ];
        let mut history = History::of(&policy.to_string(), true).expect("an id");
        events.iter().for_each(|event| history.take(event).expect("it can be read"));
        let positions: Vec<_> =
            history.items.iter().map(|item| item["position"].as_str().unwrap_or_default()).collect();
        assert_eq!(positions, ["policy:1", "policy:3", "policy:5", "policy:6", "policy:7", "policy:8"]);
        assert_eq!(history.items[2]["changes"], json!([{"id": "a/b", "before": 1, "after": 2}]));
        assert!(history.items[3]["what"].as_str().is_some_and(|what| what.contains("back to revision 1")));
        let text = text(&history.items);
        assert!(text.contains("- 1") && text.contains("+ 2") && text.contains("\"lunch\""), "{text}");
    }
}
