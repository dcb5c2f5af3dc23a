//! What an event meant for one device, in a sentence.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::enroll::v1 as enroll;
use muster_proto::events::{find, mention};
use muster_proto::identity::v1 as identity;
use muster_proto::log::v1::Envelope;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use prost::Message;
use uuid::Uuid;

use super::{hex, word};

/// Columns of a timeline.
pub const COLUMNS: &[(&str, &str)] =
    &[("time", "/time"), ("place", "/place"), ("what", "/sentence"), ("by", "/by")];

/// What ids stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Groups: name, and whether a rule finds the members.
    pub groups: BTreeMap<Uuid, (String, bool)>,
    /// Policies.
    pub policies: BTreeMap<Uuid, String>,
    /// Policies and revisions of a resolution, by its id.
    pub resolutions: BTreeMap<Vec<u8>, Vec<(Uuid, u64)>>,
}

impl Names {
    fn group(&self, id: &Uuid) -> String {
        self.groups.get(id).map_or_else(|| short(id), |(name, _)| name.clone())
    }

    fn policy(&self, id: &Uuid) -> String {
        self.policies.get(id).cloned().unwrap_or_else(|| short(id))
    }

    fn resolution(&self, id: &[u8]) -> String {
        let Some(policies) = self.resolutions.get(id) else {
            return format!("resolution {} became desired", start(id));
        };
        let named: Vec<_> = policies
            .iter()
            .map(|(id, revision)| format!("{} revision {revision}", self.policy(id)))
            .collect();
        match &named[..] {
            [] => "no policy became desired".to_owned(),
            [one] => format!("policy {one} became desired"),
            more => format!("policies {} became desired", more.join(", ")),
        }
    }
}

/// The first digits of an id: enough for people to tell it from others.
fn short(id: &Uuid) -> String {
    id.to_string().chars().take(8).collect()
}

fn start(digest: &[u8]) -> String {
    hex(digest.get(..4).unwrap_or(digest))
}

/// What the event's stream is about; ids that cannot be read are those of nobody.
fn aggregate(event: &Envelope) -> Uuid {
    Uuid::from_slice(&event.aggregate_id).unwrap_or_default()
}

fn id(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).unwrap_or_default()
}

/// A payload; what cannot be read says nothing.
fn read<M: Message + Default>(payload: &[u8]) -> M {
    M::decode(payload).unwrap_or_default()
}

fn has(bitmap: &[u8], device: &mention::Device) -> bool {
    device.ordinal.is_some_and(|ordinal| mention::contains(bitmap, ordinal))
}

/// The resolutions that an event tells.
#[must_use]
pub fn resolutions(payload: &[u8]) -> BTreeMap<Vec<u8>, Vec<(Uuid, u64)>> {
    let event: policy::EffectivePoliciesChanged = read(payload);
    let told = event.resolved.into_iter().filter_map(|resolved| {
        let policies = resolved.resolution?.policies;
        let policies = policies.iter().map(|policy| (id(&policy.policy_id), policy.revision)).collect();
        Some((resolved.resolution_id, policies))
    });
    told.collect()
}

/// The resolutions that a device came to by an event.
#[must_use]
pub fn reached(payload: &[u8], device: &mention::Device) -> Vec<Vec<u8>> {
    let event: policy::EffectivePoliciesChanged = read(payload);
    let reached = event.resolved.into_iter().filter(|resolved| has(&resolved.devices, device));
    reached.map(|resolved| resolved.resolution_id).collect()
}

/// Ids of the groups and policies that need a name.
#[must_use]
pub fn spoken_of(events: &[Envelope], names: &Names) -> (BTreeSet<Uuid>, BTreeSet<Uuid>) {
    let mut groups = BTreeSet::new();
    let mut policies: BTreeSet<_> = names.resolutions.values().flatten().map(|(policy, _)| *policy).collect();
    for event in events {
        match kind(event) {
            "GroupMembershipChanged" => drop(groups.insert(aggregate(event))),
            "WaiverGranted" => {
                let waiver: policy::WaiverGranted = read(&event.payload);
                policies.extend(Uuid::from_slice(&waiver.policy_id).ok());
            }
            _ => {}
        }
    }
    (groups, policies)
}

fn kind(event: &Envelope) -> &str {
    event.r#type.rsplit('.').next().unwrap_or_default()
}

/// What the event meant for the device. Of an event without a sentence of its own, what the contract says of it.
#[must_use]
pub fn sentence(event: &Envelope, device: &mention::Device, names: &Names) -> String {
    match event.service.as_str() {
        "enroll" => of_enroll(event, device),
        "identity" => of_identity(event, device, names),
        "policy" => of_policy(event, device, names),
        "report" => of_report(event),
        _ => None,
    }
    .unwrap_or_else(|| find(&event.r#type).map_or_else(|| event.r#type.clone(), |kind| lower(kind.meaning())))
}

/// A sentence that begins with an article or a pronoun, in the middle of a line.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn of_enroll(event: &Envelope, device: &mention::Device) -> Option<String> {
    let payload = &event.payload[..];
    Some(match kind(event) {
        "OnboardingTokenUsed" => format!("used up one use of onboarding token {}", short(&aggregate(event))),
        "DeviceOnboarded" => {
            let onboarded: enroll::DeviceOnboarded = read(payload);
            let hostname = onboarded.facts.unwrap_or_default().hostname;
            format!("onboarded as {hostname} with token {}", short(&id(&onboarded.onboarding_token_id)))
        }
        "DeviceFactsChanged" => "reported other facts of itself".to_owned(),
        "EnrollmentSucceeded" => {
            let enrolled: enroll::EnrollmentSucceeded = read(payload);
            let managed = word(enrolled.managed_by().as_str_name(), "MANAGED_BY_");
            with_code(format!("enrolled, managed by {managed}"), &enrolled.code)
        }
        "EnrollmentRefused" => {
            let refused: enroll::EnrollmentRefused = read(payload);
            format!("refused: {}", refused.reason)
        }
        "EnrollmentPermitted" => "may enroll now".to_owned(),
        "ManagementAuthorityChanged" => {
            let changed: enroll::ManagementAuthorityChanged = read(payload);
            let [from, to] = [changed.from(), changed.to()].map(|who| word(who.as_str_name(), "MANAGED_BY_"));
            with_code(format!("managed by {to} instead of {from}"), &changed.code)
        }
        "DeviceTagged" => {
            let tagged: enroll::DeviceTagged = read(payload);
            let signed = |sign, tags: Vec<String>| tags.into_iter().map(move |tag| format!("{sign}{tag}"));
            let tags: Vec<_> = signed('+', tagged.added).chain(signed('-', tagged.removed)).collect();
            format!("tags changed: {}", tags.join(" "))
        }
        "DeviceTroubleReported" => {
            let told: enroll::DeviceTroubleReported = read(payload);
            format!("told of {} it had had", count(told.troubles.len(), "trouble"))
        }
        "DeviceOffboardingRequested" => "ordered to offboard".to_owned(),
        "DeviceOffboarded" => "offboarded".to_owned(),
        "DeviceDeleted" => "deleted".to_owned(),
        "DeviceMerged" => {
            let merged: enroll::DeviceMerged = read(payload);
            let into = id(&merged.into_device_id);
            if into == device.id {
                format!("device {} was merged into this one", short(&aggregate(event)))
            } else {
                format!("merged into device {}", short(&into))
            }
        }
        "ReenrollmentAllowed" => "may onboard again".to_owned(),
        _ => return None,
    })
}

fn with_code(text: String, code: &str) -> String {
    if code.is_empty() || code == "ENROLLED" { text } else { format!("{text} ({code})") }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn of_identity(event: &Envelope, device: &mention::Device, names: &Names) -> Option<String> {
    let payload = &event.payload[..];
    Some(match kind(event) {
        "TrustEstablished" => {
            let trust: identity::TrustEstablished = read(payload);
            let kind = word(trust.kind().as_str_name(), "REGISTRATION_KIND_");
            format!("trusted by a {kind} registration, with a certificate")
        }
        "TrustRenewed" => "got a new certificate".to_owned(),
        "CertificateActivated" => "used its new certificate for the first time".to_owned(),
        "TrustRevoked" => {
            let revoked: identity::TrustRevoked = read(payload);
            format!("certificates revoked: {}", revoked.reason)
        }
        "RegistrationPromoted" => {
            let promoted: identity::RegistrationPromoted = read(payload);
            format!("registration promoted to {}", promoted.registration)
        }
        "RegistrationRemoved" => {
            let removed: identity::RegistrationRemoved = read(payload);
            let why = word(removed.reason().as_str_name(), "REMOVAL_REASON_");
            match Uuid::from_slice(&removed.into_device_id) {
                Ok(into) if into == device.id => {
                    format!("registration of {} merged into this one", short(&aggregate(event)))
                }
                _ => format!("registration removed: {why}"),
            }
        }
        "CloneSuspected" => "a clone of it is suspected; it gets no policy".to_owned(),
        "CloneResolved" => {
            let resolved: identity::CloneResolved = read(payload);
            let how = word(resolved.resolution().as_str_name(), "CLONE_RESOLUTION_");
            format!("suspicion of a clone resolved: {how}")
        }
        "DirectoryMatchAmbiguous" => {
            format!("may be directory device {}, as may others", short(&aggregate(event)))
        }
        "GroupMembershipChanged" => {
            let changed: identity::GroupMembershipChanged = read(payload);
            let group = aggregate(event);
            let by_rule = names.groups.get(&group).is_some_and(|(_, by_rule)| *by_rule);
            let verb = if has(&changed.added, device) { "joined" } else { "left" };
            format!("{verb} group {}{}", names.group(&group), if by_rule { " by rule" } else { "" })
        }
        _ => return None,
    })
}

fn of_policy(event: &Envelope, device: &mention::Device, names: &Names) -> Option<String> {
    let payload = &event.payload[..];
    Some(match kind(event) {
        "PolicySyncRequested" => "asked to check in at once".to_owned(),
        "DevicesSyncRequested" => "asked to check in at once, as were others".to_owned(),
        "WaiverGranted" => {
            let waiver: policy::WaiverGranted = read(payload);
            let from = match (&waiver.setting[..], Uuid::from_slice(&waiver.policy_id)) {
                ("", Ok(policy)) => format!("policy {}", names.policy(&policy)),
                (setting, Ok(policy)) => format!("{setting} of policy {}", names.policy(&policy)),
                (setting, Err(_)) => setting.to_owned(),
            };
            format!("exempted from {from}: {}", waiver.reason)
        }
        "DuplicateSessionsObserved" => "two boots of it took turns in checking in".to_owned(),
        "EffectivePoliciesChanged" => {
            let changed: policy::EffectivePoliciesChanged = read(payload);
            if has(&changed.none, device) {
                "nothing is desired any more".to_owned()
            } else {
                reached(payload, device).iter().map(|id| names.resolution(id)).collect::<Vec<_>>().join("; ")
            }
        }
        "PoliciesDelivered" => {
            let delivered: policy::PoliciesDelivered = read(payload);
            let mine = delivered.delivered.iter().filter(|step| has(&step.devices, device));
            let told = mine.map(|step| {
                let policy = start(&step.etag);
                match step.step() {
                    policy::DeliveryStep::Sent => format!("policy {policy} sent"),
                    policy::DeliveryStep::Applying => format!("said it is applying policy {policy}"),
                    policy::DeliveryStep::Refused => format!("said it refuses policy {policy}"),
                    policy::DeliveryStep::Unspecified => format!("policy {policy}: a step not known here"),
                }
            });
            told.collect::<Vec<_>>().join("; ")
        }
        "DevicesSeen" => "seen".to_owned(),
        _ => return None,
    })
}

fn of_report(event: &Envelope) -> Option<String> {
    let payload = &event.payload[..];
    Some(match kind(event) {
        "StatusReported" => {
            let reported: report::StatusReported = read(payload);
            reported_states(&reported.status.unwrap_or_default())
        }
        "DriftSuspected" => {
            let drift: report::DriftSuspected = read(payload);
            let times = count(drift.corrections as usize, "time");
            format!("put {} back {times}: something works against it", drift.setting)
        }
        "DeviceWentStale" => "went stale: not heard of for too long".to_owned(),
        "DeviceReturned" => "heard of again".to_owned(),
        _ => return None,
    })
}

/// `reported: 1 error, 3 succeeded`.
fn reported_states(status: &report::DeviceStatus) -> String {
    if !status.refused_reason.is_empty() {
        return format!("reported: policy refused, {}", status.refused_reason);
    }
    let mut counts = BTreeMap::<i32, usize>::new();
    for setting in &status.settings {
        *counts.entry(setting.state).or_default() += 1;
    }
    let succeeded = report::SettingState::Succeeded as i32;
    let word_of = |state: i32| {
        let name = report::SettingState::try_from(state).map_or("unknown", |state| state.as_str_name());
        word(name, "SETTING_STATE_").replace('_', " ")
    };
    let (good, bad): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(state, _)| *state == succeeded);
    let told: Vec<_> =
        bad.iter().chain(&good).map(|(state, number)| format!("{number} {}", word_of(*state))).collect();
    if told.is_empty() {
        "reported: no settings".to_owned()
    } else {
        format!("reported: {}", told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use roaring::RoaringBitmap;

    use super::*;

    const DEVICE: mention::Device = mention::Device { id: Uuid::from_u128(1), ordinal: Some(4) };

    fn bitmap(ordinals: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ordinals: RoaringBitmap = ordinals.iter().copied().collect();
        ordinals.serialize_into(&mut bytes).expect("a vector takes everything");
        bytes
    }

    fn event(kind: &str, payload: &impl Message) -> Envelope {
        let service = kind.split('.').nth(1).unwrap_or_default().to_owned();
        let aggregate_id = Uuid::from_u128(7).as_bytes().to_vec();
        let (r#type, payload) = (kind.to_owned(), payload.encode_to_vec().into());
        Envelope { service, aggregate_id, r#type, payload, ..Envelope::default() }
    }

    fn told(event: &Envelope) -> String {
        let names = Names {
            groups: [(Uuid::from_u128(7), ("web".to_owned(), true))].into(),
            policies: [(Uuid::from_u128(2), "Baseline".to_owned())].into(),
            resolutions: [(vec![9; 32], vec![(Uuid::from_u128(2), 3)])].into(),
        };
        sentence(event, &DEVICE, &names)
    }

    #[test]
    fn what_reaches_many_is_told_as_it_reached_this_one() {
        let group = "muster.identity.v1.GroupMembershipChanged";
        let joined = identity::GroupMembershipChanged { added: bitmap(&[3, 4]), removed: vec![] };
        assert_eq!(told(&event(group, &joined)), "joined group web by rule");
        let left = identity::GroupMembershipChanged { added: bitmap(&[3]), removed: bitmap(&[4]) };
        assert_eq!(told(&event(group, &left)), "left group web by rule");

        let effective = "muster.policy.v1.EffectivePoliciesChanged";
        let resolved = |ordinals: &[u32], id: u8| policy::Resolved {
            resolution_id: vec![id; 32],
            devices: bitmap(ordinals),
            ..Default::default()
        };
        let changed = policy::EffectivePoliciesChanged {
            resolved: vec![resolved(&[3], 8), resolved(&[4], 9)],
            ..Default::default()
        };
        assert_eq!(told(&event(effective, &changed)), "policy Baseline revision 3 became desired");
        let none = policy::EffectivePoliciesChanged { none: bitmap(&[4]), ..Default::default() };
        assert_eq!(told(&event(effective, &none)), "nothing is desired any more");

        let sent = policy::Delivered {
            etag: vec![0xab; 32],
            step: policy::DeliveryStep::Sent.into(),
            devices: bitmap(&[4]),
        };
        let delivered = policy::PoliciesDelivered { delivered: vec![sent], first_time: None };
        assert_eq!(told(&event("muster.policy.v1.PoliciesDelivered", &delivered)), "policy abababab sent");
    }

    #[test]
    fn what_devices_report_is_counted_worst_first() {
        let setting =
            |state: report::SettingState| report::SettingStatus { state: state.into(), ..Default::default() };
        let settings = vec![
            setting(report::SettingState::Succeeded),
            setting(report::SettingState::Error),
            setting(report::SettingState::Succeeded),
        ];
        let status = report::DeviceStatus { settings, ..Default::default() };
        let reported = report::StatusReported { status: Some(status) };
        assert_eq!(
            told(&event("muster.report.v1.StatusReported", &reported)),
            "reported: 1 error, 2 succeeded"
        );
    }

    #[test]
    fn every_event_has_a_sentence_even_when_its_payload_says_nothing() {
        for kind in muster_proto::events::EVENTS {
            let empty = Envelope {
                service: kind.service().to_string(),
                r#type: kind.name.to_owned(),
                ..Envelope::default()
            };
            let _: String = told(&empty);
        }
        let newer = Envelope { r#type: "muster.policy.v9.Unheard".to_owned(), ..Envelope::default() };
        assert_eq!(told(&newer), "muster.policy.v9.Unheard");
    }
}
