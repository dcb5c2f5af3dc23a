//! Domain events ↔ the payloads of the log, and old forms made new on reading.

mod report_settings;

use muster_catalog::Platform;
use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{Malformed, moment, timestamp};
use muster_proto::enroll::v1 as enroll;
use muster_proto::report::v1 as pb;
use muster_types::setting::{InvalidSettingId, SETTING_ID_BYTES_MAX};
use muster_types::{Aggregate, Digest, RequestId, SettingValue, Timestamp};

use crate::domain::Origin;
use crate::domain::device_status::{
    DeviceStatus, Event, SETTINGS_MAX, SettingState, SettingStatus, Statement, Status,
};

pub use report_settings::{from_report_values, to_report_values};

/// Full names of the payloads that this service writes or folds.
pub mod kind {
    /// A device's status changed.
    pub const STATUS_REPORTED: &str = "muster.report.v1.StatusReported";
    /// A device put the same setting back again and again.
    pub const DRIFT_SUSPECTED: &str = "muster.report.v1.DriftSuspected";
    /// Nothing was heard of a device for too long.
    pub const DEVICE_WENT_STALE: &str = "muster.report.v1.DeviceWentStale";
    /// A stale device was heard of again.
    pub const DEVICE_RETURNED: &str = "muster.report.v1.DeviceReturned";
    /// When devices count as stale or drifting was changed.
    pub const REPORT_SETTINGS_CHANGED: &str = "muster.report.v1.ReportSettingsChanged";
    /// Devices checked in.
    pub const DEVICES_SEEN: &str = "muster.policy.v1.DevicesSeen";
    /// What devices should have changed.
    pub const EFFECTIVE_POLICIES_CHANGED: &str = "muster.policy.v1.EffectivePoliciesChanged";
    /// Policies went out to devices.
    pub const POLICIES_DELIVERED: &str = "muster.policy.v1.PoliciesDelivered";
    /// What a device says of itself changed.
    pub const DEVICE_FACTS_CHANGED: &str = "muster.enroll.v1.DeviceFactsChanged";
    /// A device is trusted.
    pub const TRUST_ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
    /// A device is no longer registered.
    pub const REGISTRATION_REMOVED: &str = "muster.identity.v1.RegistrationRemoved";
    /// Devices came into or left a group.
    pub const MEMBERSHIP_CHANGED: &str = "muster.identity.v1.GroupMembershipChanged";
    /// A policy was created.
    pub const POLICY_CREATED: &str = "muster.policy.v1.PolicyCreated";
    /// A policy was revised.
    pub const POLICY_REVISED: &str = "muster.policy.v1.PolicyRevised";
    /// A device came in.
    pub const DEVICE_ONBOARDED: &str = "muster.enroll.v1.DeviceOnboarded";
    /// A deleted policy came back.
    pub const POLICY_UNDELETED: &str = "muster.policy.v1.PolicyUndeleted";
    /// A policy was deleted.
    pub const POLICY_DELETED: &str = "muster.policy.v1.PolicyDeleted";
    /// A policy was assigned to a group.
    pub const POLICY_ASSIGNED: &str = "muster.policy.v1.PolicyAssigned";
    /// An assignment was taken back.
    pub const POLICY_UNASSIGNED: &str = "muster.policy.v1.PolicyUnassigned";
}

impl State for DeviceStatus {
    const AGGREGATE: Aggregate = Aggregate::DeviceStatus;
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Reported { said } => match said.bytes() {
                Some(bytes) => (EventType::new(kind::STATUS_REPORTED), bytes.to_vec()),
                None => {
                    let status = Some(said.status().into());
                    encoded(kind::STATUS_REPORTED, &pb::StatusReported { status })
                }
            },
            Event::DriftSuspected { setting, corrections, policy_etag } => {
                let message = pb::DriftSuspected {
                    setting: setting.to_string(),
                    corrections: *corrections,
                    policy_etag: policy_etag.to_vec(),
                };
                encoded(kind::DRIFT_SUSPECTED, &message)
            }
            Event::WentStale { last_seen } => {
                let last_seen_time = Some(timestamp(*last_seen));
                encoded(kind::DEVICE_WENT_STALE, &pb::DeviceWentStale { last_seen_time })
            }
            Event::Returned { seen } => {
                encoded(kind::DEVICE_RETURNED, &pb::DeviceReturned { seen_time: Some(timestamp(*seen)) })
            }
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Event>, String> {
        let payload = &envelope.payload[..];
        Ok(Some(match envelope.kind.as_str() {
            kind::STATUS_REPORTED => Event::Reported { said: status(payload)?.into() },
            kind::DRIFT_SUSPECTED => {
                let pb::DriftSuspected { setting, corrections, policy_etag } = decoded(payload)?;
                let policy_etag = digest(policy_etag).map_err(text)?;
                Event::DriftSuspected { setting: setting.parse().map_err(text)?, corrections, policy_etag }
            }
            kind::DEVICE_WENT_STALE => Event::WentStale { last_seen: went_stale(payload)? },
            kind::DEVICE_RETURNED => Event::Returned { seen: returned(payload)? },
            _ => return Ok(None),
        }))
    }
}

/// When a device that went stale was last heard of, by its `DeviceWentStale`.
///
/// # Errors
/// What is wrong with the bytes.
pub fn went_stale(payload: &[u8]) -> Result<Timestamp, String> {
    let pb::DeviceWentStale { last_seen_time } = decoded(payload)?;
    Ok(last_seen_time.map(moment).ok_or("last_seen_time: must be set")?)
}

/// The status in a `StatusReported`.
///
/// # Errors
/// What is wrong with the bytes.
pub fn status(payload: &[u8]) -> Result<Status, String> {
    let pb::StatusReported { status } = decoded(payload)?;
    status.ok_or("status: must be set")?.try_into().map_err(|malformed: Malformed| malformed.to_string())
}

/// A platform as the catalogue names it; `None` when none is named.
pub(crate) const fn platform(platform: enroll::Platform) -> Option<Platform> {
    match platform {
        enroll::Platform::Unspecified => None,
        enroll::Platform::Windows => Some(Platform::Windows),
        enroll::Platform::Linux => Some(Platform::Linux),
        enroll::Platform::Macos => Some(Platform::Macos),
    }
}

/// The bytes of the event are made while the message is there: a copy of every text would cost more.
impl TryFrom<pb::DeviceStatus> for Statement {
    type Error = Malformed;

    fn try_from(mut status: pb::DeviceStatus) -> Result<Self, Malformed> {
        // A time that cannot be becomes the nearest that can.
        status.apply_time = status.apply_time.map(|time| timestamp(moment(time)));
        let event = pb::StatusReported { status: Some(status) };
        let bytes = prost::Message::encode_to_vec(&event);
        Ok(Self::written(event.status.unwrap_or_default().try_into()?, bytes.into()))
    }
}

impl From<&Status> for pb::DeviceStatus {
    fn from(status: &Status) -> Self {
        let Status { policy_etag, policy_version, apply_time, settings, refused_reason } = status;
        Self {
            policy_etag: policy_etag.to_vec(),
            policy_version: *policy_version,
            apply_time: apply_time.map(timestamp),
            settings: settings.iter().map(Into::into).collect(),
            refused_reason: refused_reason.clone(),
        }
    }
}

impl From<&SettingStatus> for pb::SettingStatus {
    fn from(setting: &SettingStatus) -> Self {
        let SettingStatus { id, desired, observed, state, reason, message, corrections } = setting;
        let state = match state {
            SettingState::Succeeded => pb::SettingState::Succeeded,
            SettingState::Error => pb::SettingState::Error,
            SettingState::Conflict => pb::SettingState::Conflict,
            SettingState::Pending => pb::SettingState::Pending,
            SettingState::NotApplicable => pb::SettingState::NotApplicable,
            SettingState::Waived => pb::SettingState::Waived,
            SettingState::TamperProtected => pb::SettingState::TamperProtected,
        };
        Self {
            id: id.to_string(),
            desired: desired.clone().map(Into::into),
            observed: observed.clone().map(Into::into),
            state: state.into(),
            reason: reason.clone(),
            message: message.clone(),
            corrections: *corrections,
        }
    }
}

impl TryFrom<pb::DeviceStatus> for Status {
    type Error = Malformed;

    fn try_from(status: pb::DeviceStatus) -> Result<Self, Malformed> {
        let pb::DeviceStatus { policy_etag, policy_version, apply_time, settings, refused_reason } = status;
        // Before anything is made of them.
        if settings.len() > SETTINGS_MAX {
            let problem = format!("at most {SETTINGS_MAX}, found {}", settings.len());
            return Err(Malformed::new("settings", problem));
        }
        let settings = settings.into_iter().enumerate().map(|(index, setting)| {
            setting.try_into().map_err(|malformed: Malformed| malformed.within(&format!("settings[{index}]")))
        });
        Ok(Self {
            policy_etag: digest(policy_etag)?,
            policy_version,
            apply_time: apply_time.map(moment),
            settings: settings.collect::<Result<_, _>>()?,
            refused_reason,
        })
    }
}

impl TryFrom<pb::SettingStatus> for SettingStatus {
    type Error = Malformed;

    fn try_from(setting: pb::SettingStatus) -> Result<Self, Malformed> {
        let state = match setting.state() {
            pb::SettingState::Unspecified => {
                let (id, state) = (id_text(&setting.id), setting.state);
                let problem =
                    format!("must be one of the states that this service knows, is {state} for {id:?}");
                return Err(Malformed::new("state", problem));
            }
            pb::SettingState::Succeeded => SettingState::Succeeded,
            pb::SettingState::Error => SettingState::Error,
            pb::SettingState::Conflict => SettingState::Conflict,
            pb::SettingState::Pending => SettingState::Pending,
            pb::SettingState::NotApplicable => SettingState::NotApplicable,
            pb::SettingState::Waived => SettingState::Waived,
            pb::SettingState::TamperProtected => SettingState::TamperProtected,
        };
        let pb::SettingStatus { id, desired, observed, state: _, reason, message, corrections } = setting;
        let id = id.parse().map_err(|error: InvalidSettingId| Malformed::new("id", error.to_string()))?;
        let value = |field: &str, value: Option<muster_proto::policy::v1::SettingValue>| {
            let converted = value.map(SettingValue::try_from).transpose();
            converted.map_err(|malformed| malformed.within(field))
        };
        let (desired, observed) = (value("desired", desired)?, value("observed", observed)?);
        Ok(Self { id, desired, observed, state, reason, message, corrections })
    }
}

/// An id as it may be shown, whatever stands there.
fn id_text(id: &str) -> &str {
    &id[..id.floor_char_boundary(SETTING_ID_BYTES_MAX)]
}

fn digest(policy_etag: Vec<u8>) -> Result<Digest, Malformed> {
    let malformed = |_| Malformed::new("policy_etag", "must be a SHA-256 digest: 32 bytes");
    policy_etag.try_into().map_err(malformed)
}

fn encoded(kind: &'static str, message: &impl prost::Message) -> (EventType, Vec<u8>) {
    (EventType::new(kind), message.encode_to_vec())
}

/// Where an event comes from, by its envelope and the reason in its payload.
fn origin(envelope: &Envelope, reason: String) -> Origin {
    let context = &envelope.context;
    let request = RequestId::from_uuid(context.correlation_id);
    Origin { actor: context.actor.as_str().to_owned(), reason, request, at: context.time }
}

/// When a stale device was heard of again, by its `DeviceReturned`.
///
/// # Errors
/// What is wrong with the bytes.
pub fn returned(payload: &[u8]) -> Result<Timestamp, String> {
    let pb::DeviceReturned { seen_time } = decoded(payload)?;
    Ok(seen_time.map(moment).ok_or("seen_time: must be set")?)
}

/// Reads the payload of an event.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn decoded<M: prost::Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(text)
}

#[expect(clippy::needless_pass_by_value, reason = "takes what `map_err` gives")]
pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{round_trips, samples_decode, samples_of_form_decode};

    use super::*;

    /// Events; that devices count corrections came with the second form of the first.
    fn events(corrections: u32) -> Vec<Event> {
        let settings =
            SettingState::ALL.into_iter().zip("abcde".chars()).map(|(state, letter)| SettingStatus {
                id: format!("p/{letter}").parse().unwrap(),
                desired: Some(SettingValue::Integer(3)),
                observed: (state == SettingState::Error).then(|| SettingValue::Strings(vec!["x".to_owned()])),
                state,
                reason: "APPLY_FAILED".to_owned(),
                message: "no".to_owned(),
                corrections,
            });
        let status = Status {
            policy_etag: [1; 32],
            policy_version: 9,
            apply_time: Some(Timestamp::from_micros(5)),
            settings: settings.collect(),
            refused_reason: String::new(),
        };
        let at = Timestamp::from_micros;
        vec![
            Event::Reported { said: status.into() },
            Event::DriftSuspected { setting: "p/a".parse().unwrap(), corrections: 3, policy_etag: [1; 32] },
            Event::WentStale { last_seen: at(1_700_000_000_000_001) },
            Event::Returned { seen: at(1_700_000_060_000_000) },
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<DeviceStatus>(events(2));
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        samples_decode::<DeviceStatus>(golden, events(0));
        samples_of_form_decode::<DeviceStatus>(golden, 2, events(2).drain(..1).collect());
    }

    #[test]
    fn what_is_malformed_is_named() {
        let field = |status: pb::DeviceStatus| Status::try_from(status).unwrap_err().field;
        assert_eq!(field(pb::DeviceStatus::default()), "policy_etag");
        let setting = pb::SettingStatus { id: "p/a".to_owned(), ..Default::default() };
        let status =
            pb::DeviceStatus { policy_etag: vec![0; 32], settings: vec![setting], ..Default::default() };
        assert_eq!(field(status), "settings[0].state");
    }
}
