//! How it came to be: the events that led to what a device is set to, and to what it read back, the oldest first.

use std::collections::BTreeSet;

use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_types::Service;
use prost_types::Timestamp;
use serde_json::{Value, json};

use crate::view::explanation::Names;
use crate::view::{self, id};

/// The links, the oldest first. A link without a time stands where its step belongs: last.
#[derive(Debug, Default)]
pub(super) struct Chain {
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    step: Step,
    /// Whose log holds the event; none of what happened on the device.
    service: Option<Service>,
    position: u64,
    time: Option<Timestamp>,
    actor: String,
    what: String,
}

/// Steps, in the order in which they follow from one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Fact,
    Rule,
    Group,
    Revision,
    Assignment,
    Resolved,
    Delivered,
    Applied,
    Reported,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Fact => "fact",
            Self::Rule => "rule",
            Self::Group => "group",
            Self::Revision => "revision",
            Self::Assignment => "assignment",
            Self::Resolved => "resolved",
            Self::Delivered => "delivered",
            Self::Applied => "applied",
            Self::Reported => "reported",
        }
    }
}

impl Chain {
    /// Takes in who wrote and assigned what, what came of it, and when that was sent.
    pub(super) fn explained(&mut self, explanation: &policy::Explanation, names: &Names) {
        for setting in &explanation.settings {
            for (sources, wins) in [(&setting.winners, true), (&setting.losers, false)] {
                sources.iter().for_each(|source| self.source(setting, source, wins, names));
            }
        }
        let sent = format!("the policy with etag {} was sent to it", short(&explanation.etag));
        for (step, at, what) in [
            (Step::Resolved, &explanation.resolved, results(explanation)),
            (Step::Delivered, &explanation.delivered, sent),
        ] {
            let Some(policy::ExplainedStep { time, position }) = at else { continue };
            let actor = "service:policy".to_owned();
            self.add(Link {
                step,
                service: Some(Service::Policy),
                position: *position,
                time: *time,
                actor,
                what,
            });
        }
    }

    fn source(
        &mut self,
        setting: &policy::ExplainedSetting,
        source: &policy::ExplainedSource,
        wins: bool,
        names: &Names,
    ) {
        let name = &source.display_name;
        let because =
            if source.reason.is_empty() { String::new() } else { format!(", because {:?}", source.reason) };
        let lost = if wins { "" } else { ", which is not in force" };
        let value = view::setting_value(source.value.as_ref());
        let what = format!(
            "revision {} of policy {name:?} wants {} = {value}{lost}{because}",
            source.revision, setting.id
        );
        let actor = source.actor.clone();
        let (position, time) = (source.position, source.change_time);
        self.add(Link { step: Step::Revision, service: Some(Service::Policy), position, time, actor, what });
        for assignment in &source.assignments {
            let group = names.get(&assignment.group).map_or(id(&assignment.group), String::as_str);
            let priority = assignment.priority.map(|number| format!(" with priority {number}"));
            let what =
                format!("policy {name:?} is assigned to group {group:?}{}", priority.unwrap_or_default());
            let (position, time) = (assignment.position, assignment.create_time);
            let actor = assignment.actor.clone();
            self.add(Link {
                step: Step::Assignment,
                service: Some(Service::Policy),
                position,
                time,
                actor,
                what,
            });
        }
    }

    /// Takes in why the device is in a group.
    pub(super) fn member(&mut self, of: &identity::MembershipExplanation) {
        let group = if of.display_name.is_empty() { id(&of.group) } else { &of.display_name };
        let steps = [
            (
                Step::Rule,
                &of.defined,
                match of.rule.as_str() {
                    "" => format!("group {group:?} is defined"),
                    rule => format!("the rule of group {group:?} is {rule}"),
                },
            ),
            (Step::Group, &of.changed, {
                let goes = if of.member { "comes into" } else { "leaves" };
                format!("the device {goes} group {group:?}")
            }),
        ];
        for (step, at, what) in steps {
            let Some(identity::MembershipStep { position, time, actor }) = at else { continue };
            let (position, time, actor) = (*position, *time, actor.clone());
            self.add(Link { step, service: Some(Service::Identity), position, time, actor, what });
        }
        for fact in &of.facts {
            let Ok(service) = fact.service.parse::<Service>() else { continue };
            let value = if fact.unknown { "unknown".to_owned() } else { format!("{:?}", fact.value) };
            let what =
                format!("device.{} is {value}, which the rule of group {group:?} reads", fact.property);
            let (position, time) = (fact.position, fact.time);
            self.add(Link {
                step: Step::Fact,
                service: Some(service),
                position,
                time,
                actor: String::new(),
                what,
            });
        }
    }

    /// Takes in what the device said of the settings that are explained.
    pub(super) fn reported(&mut self, report: &report::DeviceReport, settings: &BTreeSet<&str>) {
        let device = format!("device:{}", id(&report.device));
        if let Some(time) = report.applied_time {
            let what = "the policy is in force, by the device's clock".to_owned();
            let actor = device.clone();
            self.add(Link { step: Step::Applied, service: None, position: 0, time: Some(time), actor, what });
        }
        if report.report_position == 0 {
            return;
        }
        for setting in report.settings.iter().filter(|setting| settings.contains(setting.id.as_str())) {
            let state = view::word(setting.state().as_str_name(), "SETTING_STATE_");
            let value = view::setting_value(setting.observed.as_ref());
            let why = [&setting.reason, &setting.message].into_iter().filter(|why| !why.is_empty());
            let why: String = why.map(|why| format!(", {why}")).collect();
            let what = format!("the device read back {} = {value}: {state}{why}", setting.id);
            let (position, time) = (report.report_position, report.report_time);
            let (step, service, actor) = (Step::Reported, Some(Service::Report), device.clone());
            self.add(Link { step, service, position, time, actor, what });
        }
    }

    fn add(&mut self, link: Link) {
        let is = |other: &Link| {
            (other.service, other.position, &other.what) == (link.service, link.position, &link.what)
        };
        if !self.links.iter().any(is) {
            self.links.push(link);
        }
    }

    /// The links as data.
    #[must_use]
    pub(super) fn into_values(mut self) -> Vec<Value> {
        self.links.sort_by_key(|link| {
            let time = link.time.map_or((1, 0, 0), |time| (0, time.seconds, time.nanos));
            (time, link.step, link.service, link.position)
        });
        self.links.into_iter().map(value).collect()
    }
}

fn value(link: Link) -> Value {
    let Link { step, service, position, time, actor, what } = link;
    json!({
        "step": step.as_str(),
        "service": service.map(Service::as_str),
        "position": service.map(|_| position),
        "time": view::moment(time),
        "actor": actor,
        "what": what,
    })
}

/// What the settings came to, with those who lost and how values are brought together.
fn results(explanation: &policy::Explanation) -> String {
    let result = |setting: &policy::ExplainedSetting| {
        let value = view::setting_value(setting.value.as_ref());
        let is = match (value.is_null(), setting.withheld()) {
            (false, _) => value.to_string(),
            (true, policy::WithheldReason::Unspecified) => "not set".to_owned(),
            (true, _) => "withheld".to_owned(),
        };
        let lost: Vec<_> = setting.losers.iter().map(|loser| format!("{:?}", loser.display_name)).collect();
        let lost = if lost.is_empty() { String::new() } else { format!(" over {}", lost.join(" and ")) };
        format!("{} = {is} by {}{lost}", setting.id, setting.merge_mode)
    };
    let etag = short(&explanation.etag);
    match explanation.settings.as_slice() {
        [] => format!("it came to the policy with etag {etag}, which sets nothing"),
        [setting] => format!("it came to {}, in the policy with etag {etag}", result(setting)),
        settings => format!("it came to {} settings, in the policy with etag {etag}", settings.len()),
    }
}

fn short(etag: &[u8]) -> String {
    view::hex(etag.get(..4).unwrap_or(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn links_stand_in_the_order_of_their_times_each_once() {
        let assignments = vec![policy::ExplainedAssignment {
            group: "tenants/default/groups/g".into(),
            priority: Some(5),
            actor: "admin:ada".into(),
            create_time: at(30),
            position: 8,
        }];
        let source = policy::ExplainedSource {
            display_name: "Servers".into(),
            revision: 3,
            actor: "admin:ada".into(),
            reason: "lunch".into(),
            change_time: at(40),
            position: 9,
            assignments,
            ..Default::default()
        };
        let setting = |id: &str| policy::ExplainedSetting {
            id: id.into(),
            winners: vec![source.clone()],
            ..Default::default()
        };
        let explanation = policy::Explanation {
            etag: vec![0xab; 32],
            settings: vec![setting("a/b"), setting("a/c")],
            resolved: Some(policy::ExplainedStep { time: at(40), position: 10 }),
            delivered: Some(policy::ExplainedStep { time: at(41), position: 11 }),
            ..Default::default()
        };
        let membership = identity::MembershipExplanation {
            group: "tenants/default/groups/g".into(),
            display_name: "web".into(),
            member: true,
            changed: Some(identity::MembershipStep {
                position: 4,
                time: at(20),
                actor: "service:identity".into(),
            }),
            rule: "device.deviceOSType -eq \"Linux\"".into(),
            defined: Some(identity::MembershipStep { position: 2, time: at(10), actor: "admin:eve".into() }),
            facts: vec![identity::ExplainedFact {
                property: "deviceOSType".into(),
                value: "Linux".into(),
                service: "enroll".into(),
                position: 1,
                time: at(5),
                ..Default::default()
            }],
            ..Default::default()
        };
        let report = report::DeviceReport {
            device: "tenants/default/devices/d".into(),
            report_position: 6,
            report_time: at(50),
            applied_time: at(45),
            settings: vec![
                report::DeviceSetting { id: "a/b".into(), reason: "BUSY".into(), ..Default::default() },
                report::DeviceSetting { id: "x/y".into(), ..Default::default() },
            ],
            ..Default::default()
        };
        let mut chain = Chain::default();
        chain.reported(&report, &BTreeSet::from(["a/b", "a/c"]));
        chain.explained(&explanation, &Names::from([("tenants/default/groups/g".into(), "web".into())]));
        chain.member(&membership);
        let links = chain.into_values();
        let steps: Vec<_> = links.iter().map(|link| link["step"].as_str().unwrap_or_default()).collect();
        assert_eq!(
            steps,
            [
                "fact",
                "rule",
                "group",
                "assignment",
                "revision",
                "revision",
                "resolved",
                "delivered",
                "applied",
                "reported"
            ]
        );
        assert_eq!((&links[3]["service"], &links[3]["position"]), (&json!("policy"), &json!(8)));
        assert!(links[9]["what"].as_str().is_some_and(|what| what.contains("a/b") && what.ends_with("BUSY")));
        assert_eq!((&links[8]["service"], &links[8]["position"]), (&Value::Null, &Value::Null));
    }
}
