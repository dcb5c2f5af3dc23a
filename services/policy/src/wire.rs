//! Domain events ↔ the payloads of the log (`events.proto`), and old forms made new on reading.
//!
//! A payload does not repeat what its envelope says: the moment of an event, the request that led to it.

use std::collections::BTreeMap;

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::policy::v1 as pb;
use muster_types::{Aggregate, GroupId, PolicyId, RequestId, SettingId, SettingValue};

use crate::domain::assignment::{self, Assignment, Intent};
use crate::domain::policy::{self, OnUnassign, Policy};
use crate::domain::session::{self, Session};
use crate::domain::sync::{self, Sync};

/// Full names of the payloads: our own, and those of others that the views fold.
pub mod kind {
    /// A policy was made.
    pub const POLICY_CREATED: &str = "muster.policy.v1.PolicyCreated";
    /// A policy was revised.
    pub const POLICY_REVISED: &str = "muster.policy.v1.PolicyRevised";
    /// A policy was deleted.
    pub const POLICY_DELETED: &str = "muster.policy.v1.PolicyDeleted";
    /// A policy was assigned to a group.
    pub const POLICY_ASSIGNED: &str = "muster.policy.v1.PolicyAssigned";
    /// An assignment was taken back.
    pub const POLICY_UNASSIGNED: &str = "muster.policy.v1.PolicyUnassigned";
    /// A device was asked to check in at once.
    pub const SYNC_REQUESTED: &str = "muster.policy.v1.PolicySyncRequested";
    /// Two boots of one identity took turns.
    pub const DUPLICATE_SESSIONS: &str = "muster.policy.v1.DuplicateSessionsObserved";
    /// Devices checked in.
    pub const DEVICES_SEEN: &str = "muster.policy.v1.DevicesSeen";
    /// Enroll: a device came in.
    pub const DEVICE_ONBOARDED: &str = "muster.enroll.v1.DeviceOnboarded";
    /// Enroll: what a device says of itself changed.
    pub const FACTS_CHANGED: &str = "muster.enroll.v1.DeviceFactsChanged";
    /// Enroll: a device is enrolled.
    pub const ENROLLMENT_SUCCEEDED: &str = "muster.enroll.v1.EnrollmentSucceeded";
    /// Enroll: a device may not be managed by this channel.
    pub const ENROLLMENT_REFUSED: &str = "muster.enroll.v1.EnrollmentRefused";
    /// Enroll: a device that was refused may come in.
    pub const ENROLLMENT_PERMITTED: &str = "muster.enroll.v1.EnrollmentPermitted";
    /// Enroll: who manages a device changed.
    pub const AUTHORITY_CHANGED: &str = "muster.enroll.v1.ManagementAuthorityChanged";
    /// Enroll: an admin asked for a device's offboarding.
    pub const OFFBOARDING_REQUESTED: &str = "muster.enroll.v1.DeviceOffboardingRequested";
    /// Enroll: a device confirmed its offboarding.
    pub const DEVICE_OFFBOARDED: &str = "muster.enroll.v1.DeviceOffboarded";
    /// Enroll: a device was deleted.
    pub const DEVICE_DELETED: &str = "muster.enroll.v1.DeviceDeleted";
    /// Enroll: a device turned out to be another one.
    pub const DEVICE_MERGED: &str = "muster.enroll.v1.DeviceMerged";
    /// Identity: two live sessions use one identity.
    pub const CLONE_SUSPECTED: &str = "muster.identity.v1.CloneSuspected";
    /// Identity: an admin resolved a suspicion.
    pub const CLONE_RESOLVED: &str = "muster.identity.v1.CloneResolved";
    /// Identity: a device is no longer registered.
    pub const REGISTRATION_REMOVED: &str = "muster.identity.v1.RegistrationRemoved";
    /// Identity: a device is trusted.
    pub const TRUST_ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
    /// Identity: a group was defined.
    pub const GROUP_DEFINED: &str = "muster.identity.v1.GroupDefined";
    /// Identity: a group was deleted.
    pub const GROUP_DELETED: &str = "muster.identity.v1.GroupDeleted";
    /// Identity: devices came into or left a group.
    pub const MEMBERSHIP_CHANGED: &str = "muster.identity.v1.GroupMembershipChanged";
}

impl State for Policy {
    const AGGREGATE: Aggregate = Aggregate::Policy;
    type Event = policy::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            policy::Event::Created { display_name, profile, settings, on_unassign, request: _, at: _ } => {
                encoded(
                    kind::POLICY_CREATED,
                    &pb::PolicyCreated {
                        display_name: display_name.clone(),
                        profile: profile.clone(),
                        settings: to_settings(settings),
                        on_unassign: pb::OnUnassign::from(*on_unassign).into(),
                        ..Default::default()
                    },
                )
            }
            policy::Event::Revised { revision, display_name, settings, on_unassign, request: _, at: _ } => {
                encoded(
                    kind::POLICY_REVISED,
                    &pb::PolicyRevised {
                        revision: *revision,
                        display_name: display_name.clone(),
                        settings: to_settings(settings),
                        on_unassign: pb::OnUnassign::from(*on_unassign).into(),
                        ..Default::default()
                    },
                )
            }
            policy::Event::Deleted { request: _ } => {
                encoded(kind::POLICY_DELETED, &pb::PolicyDeleted::default())
            }
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        let (request, at) = (request(envelope), envelope.context.time);
        Ok(Some(match envelope.kind.as_str() {
            kind::POLICY_CREATED => {
                let pb::PolicyCreated { display_name, profile, settings, on_unassign, .. } =
                    decoded(envelope)?;
                let (settings, on_unassign) = (from_settings(settings)?, from_on_unassign(on_unassign)?);
                policy::Event::Created { display_name, profile, settings, on_unassign, request, at }
            }
            kind::POLICY_REVISED => {
                let pb::PolicyRevised { revision, display_name, settings, on_unassign, .. } =
                    decoded(envelope)?;
                let (settings, on_unassign) = (from_settings(settings)?, from_on_unassign(on_unassign)?);
                policy::Event::Revised { revision, display_name, settings, on_unassign, request, at }
            }
            kind::POLICY_DELETED => {
                let pb::PolicyDeleted { .. } = decoded(envelope)?;
                policy::Event::Deleted { request }
            }
            _ => return Ok(None),
        }))
    }
}

impl State for Assignment {
    const AGGREGATE: Aggregate = Aggregate::Assignment;
    type Event = assignment::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            assignment::Event::Assigned { policy, group, intent, at: _ } => encoded(
                kind::POLICY_ASSIGNED,
                &pb::PolicyAssigned {
                    policy_id: policy.as_bytes().to_vec(),
                    group_id: group.as_bytes().to_vec(),
                    intent: pb::AssignmentIntent::from(*intent).into(),
                    ..Default::default()
                },
            ),
            assignment::Event::Unassigned { policy, group } => encoded(
                kind::POLICY_UNASSIGNED,
                &pb::PolicyUnassigned {
                    policy_id: policy.as_bytes().to_vec(),
                    group_id: group.as_bytes().to_vec(),
                },
            ),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        Ok(Some(match envelope.kind.as_str() {
            kind::POLICY_ASSIGNED => {
                let pb::PolicyAssigned { policy_id, group_id, intent, .. } = decoded(envelope)?;
                let intent = pb::AssignmentIntent::try_from(intent).map_err(text)?;
                assignment::Event::Assigned {
                    policy: PolicyId::from_slice(&policy_id).map_err(text)?,
                    group: GroupId::from_slice(&group_id).map_err(text)?,
                    intent: intent.into(),
                    at: envelope.context.time,
                }
            }
            kind::POLICY_UNASSIGNED => {
                let pb::PolicyUnassigned { policy_id, group_id } = decoded(envelope)?;
                assignment::Event::Unassigned {
                    policy: PolicyId::from_slice(&policy_id).map_err(text)?,
                    group: GroupId::from_slice(&group_id).map_err(text)?,
                }
            }
            _ => return Ok(None),
        }))
    }
}

impl State for Sync {
    const AGGREGATE: Aggregate = Aggregate::Sync;
    type Event = sync::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let sync::Event::Requested { request: _ } = event;
        encoded(kind::SYNC_REQUESTED, &pb::PolicySyncRequested {})
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::SYNC_REQUESTED {
            return Ok(None);
        }
        let pb::PolicySyncRequested {} = decoded(envelope)?;
        Ok(Some(sync::Event::Requested { request: request(envelope) }))
    }
}

impl State for Session {
    const AGGREGATE: Aggregate = Aggregate::Session;
    type Event = session::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let session::Event::TurnsObserved { boots, request: _ } = event;
        let boot_ids = boots.iter().map(|boot| boot.to_vec()).collect();
        encoded(kind::DUPLICATE_SESSIONS, &pb::DuplicateSessionsObserved { boot_ids })
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::DUPLICATE_SESSIONS {
            return Ok(None);
        }
        let pb::DuplicateSessionsObserved { boot_ids } = decoded(envelope)?;
        let boots: Vec<[u8; 16]> = boot_ids
            .iter()
            .map(|boot| boot[..].try_into().map_err(|_| "a boot id has 16 bytes".to_owned()))
            .collect::<Result<_, _>>()?;
        let boots = boots.try_into().map_err(|_| "two boots take turns".to_owned())?;
        Ok(Some(session::Event::TurnsObserved { boots, request: request(envelope) }))
    }
}

impl From<OnUnassign> for pb::OnUnassign {
    fn from(on_unassign: OnUnassign) -> Self {
        match on_unassign {
            OnUnassign::Revert => Self::Revert,
            OnUnassign::Keep => Self::Keep,
        }
    }
}

/// What is not said is taken as revert.
impl From<pb::OnUnassign> for OnUnassign {
    fn from(on_unassign: pb::OnUnassign) -> Self {
        match on_unassign {
            pb::OnUnassign::Unspecified | pb::OnUnassign::Revert => Self::Revert,
            pb::OnUnassign::Keep => Self::Keep,
        }
    }
}

fn from_on_unassign(on_unassign: i32) -> Result<OnUnassign, String> {
    Ok(pb::OnUnassign::try_from(on_unassign).map_err(text)?.into())
}

impl From<Intent> for pb::AssignmentIntent {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Include => Self::Include,
            Intent::Exclude => Self::Exclude,
        }
    }
}

/// What is not said is taken as include.
impl From<pb::AssignmentIntent> for Intent {
    fn from(intent: pb::AssignmentIntent) -> Self {
        match intent {
            pb::AssignmentIntent::Unspecified | pb::AssignmentIntent::Include => Self::Include,
            pb::AssignmentIntent::Exclude => Self::Exclude,
        }
    }
}

/// Settings as the contract writes them, sorted by id.
#[must_use]
pub fn to_settings(settings: &BTreeMap<SettingId, SettingValue>) -> Vec<pb::Setting> {
    settings.iter().map(|(id, value)| (id.clone(), value.clone()).into()).collect()
}

/// Settings from the log or the store.
///
/// # Errors
/// What is wrong with the first that is malformed.
pub fn from_settings(settings: Vec<pb::Setting>) -> Result<BTreeMap<SettingId, SettingValue>, String> {
    settings.into_iter().map(|setting| setting.try_into().map_err(text)).collect()
}

/// Reads the payload of an event.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decoded<M: prost::Message + Default>(envelope: &Envelope) -> Result<M, String> {
    M::decode(&envelope.payload[..]).map_err(text)
}

fn encoded(kind: &'static str, message: &impl prost::Message) -> (EventType, Vec<u8>) {
    (EventType::new(kind), message.encode_to_vec())
}

fn request(envelope: &Envelope) -> RequestId {
    RequestId::from_uuid(envelope.context.correlation_id)
}

#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, REQUEST, envelope, round_trips, samples_decode};
    use uuid::Uuid;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

    fn settings() -> BTreeMap<SettingId, SettingValue> {
        let object = [("path".to_owned(), SettingValue::Text("/run".into()))].into();
        [
            ("linux-antivirus/enforcement_level", SettingValue::Text("real_time".into())),
            ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
            ("linux-antivirus/scan_results_retention_days", SettingValue::Integer(30)),
            ("linux-antivirus/allowed_threats", SettingValue::Strings(vec!["a".into()])),
            ("linux-antivirus-exclusions/exclusions", SettingValue::Objects(vec![object])),
        ]
        .map(|(id, value)| (id.parse().unwrap(), value))
        .into()
    }

    fn policy_events(on_unassign: OnUnassign) -> Vec<policy::Event> {
        let request = RequestId::from_uuid(REQUEST);
        let (display_name, settings) = ("Servers".to_owned(), settings());
        vec![
            policy::Event::Created {
                display_name: display_name.clone(),
                profile: "linux-antivirus".into(),
                settings: settings.clone(),
                on_unassign,
                request,
                at: AT,
            },
            policy::Event::Revised { revision: 2, display_name, settings, on_unassign, request, at: AT },
            policy::Event::Deleted { request },
        ]
    }

    fn assignment_events() -> Vec<assignment::Event> {
        let policy = PolicyId::from_uuid(Uuid::from_u128(1));
        let group = GroupId::from_uuid(Uuid::from_u128(2));
        vec![
            assignment::Event::Assigned { policy, group, intent: Intent::Exclude, at: AT },
            assignment::Event::Unassigned { policy, group },
        ]
    }

    fn sync_events() -> Vec<sync::Event> {
        vec![sync::Event::Requested { request: RequestId::from_uuid(REQUEST) }]
    }

    fn session_events() -> Vec<session::Event> {
        let boots = [[1; 16], [2; 16]];
        vec![session::Event::TurnsObserved { boots, request: RequestId::from_uuid(REQUEST) }]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<Policy>(policy_events(OnUnassign::Revert));
        round_trips::<Policy>(policy_events(OnUnassign::Keep));
        round_trips::<Assignment>(assignment_events());
        round_trips::<Sync>(sync_events());
        round_trips::<Session>(session_events());
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<Policy>(GOLDEN, policy_events(OnUnassign::Revert));
        samples_decode::<Assignment>(GOLDEN, assignment_events());
        samples_decode::<Sync>(GOLDEN, sync_events());
        samples_decode::<Session>(GOLDEN, session_events());
    }

    #[test]
    fn a_type_of_another_version_is_skipped() {
        let unknown = envelope::<Policy>(EventType::new("muster.policy.v1.RolloutAdvanced"), vec![]);
        assert_eq!(Policy::decode(&unknown), Ok(None));
    }

    #[test]
    fn a_damaged_payload_is_told() {
        let damaged = envelope::<Policy>(EventType::new(kind::POLICY_CREATED), vec![0xff]);
        assert!(Policy::decode(&damaged).is_err());
    }
}
