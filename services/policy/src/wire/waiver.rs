//! Waivers.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{moment, timestamp};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::waiver_granted::Target as PbTarget;
use muster_types::{Aggregate, DeviceId, GroupId, PolicyId};

use super::{decoded, encoded, kind, origin, text};
use crate::domain::waiver::{Event, Exempt, Grant, Target, Waiver};

impl State for Waiver {
    const AGGREGATE: Aggregate = Aggregate::Waiver;
    type Event = Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Granted { grant, origin } => {
                encoded(kind::WAIVER_GRANTED, &to_granted(grant, &origin.reason))
            }
            Event::Revoked { origin } => {
                encoded(kind::WAIVER_REVOKED, &pb::WaiverRevoked { reason: origin.reason.clone() })
            }
            Event::Expired { at: _ } => encoded(kind::WAIVER_EXPIRED, &pb::WaiverExpired {}),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        Ok(Some(match envelope.kind.as_str() {
            kind::WAIVER_GRANTED => {
                let (grant, reason) = from_granted(decoded(envelope)?)?;
                Event::Granted { grant, origin: origin(envelope, reason) }
            }
            kind::WAIVER_REVOKED => {
                let pb::WaiverRevoked { reason } = decoded(envelope)?;
                Event::Revoked { origin: origin(envelope, reason) }
            }
            kind::WAIVER_EXPIRED => {
                let pb::WaiverExpired {} = decoded(envelope)?;
                Event::Expired { at: envelope.context.time }
            }
            _ => return Ok(None),
        }))
    }
}

fn to_granted(grant: &Grant, reason: &str) -> pb::WaiverGranted {
    let Grant { exempt, target, approver, expire } = grant;
    pb::WaiverGranted {
        policy_id: exempt.policy().map(|policy| policy.as_bytes().to_vec()).unwrap_or_default(),
        setting: exempt.setting().map(ToString::to_string).unwrap_or_default(),
        target: Some(match target {
            Target::Group(group) => PbTarget::GroupId(group.as_bytes().to_vec()),
            Target::Device(device) => PbTarget::DeviceId(device.as_bytes().to_vec()),
        }),
        reason: reason.to_owned(),
        approver: approver.clone(),
        expire_time: Some(timestamp(*expire)),
    }
}

fn from_granted(granted: pb::WaiverGranted) -> Result<(Grant, String), String> {
    let pb::WaiverGranted { policy_id, setting, target, reason, approver, expire_time } = granted;
    let policy = || PolicyId::from_slice(&policy_id).map_err(text);
    let exempt = match (policy_id.is_empty(), setting.is_empty()) {
        (true, true) => return Err("a waiver from nothing".into()),
        (true, false) => Exempt::Setting(setting.parse().map_err(text)?),
        (false, true) => Exempt::Policy(policy()?),
        (false, false) => Exempt::SettingOf(policy()?, setting.parse().map_err(text)?),
    };
    let target = match target.ok_or("a waiver for nobody")? {
        PbTarget::GroupId(group) => Target::Group(GroupId::from_slice(&group).map_err(text)?),
        PbTarget::DeviceId(device) => Target::Device(DeviceId::from_slice(&device).map_err(text)?),
    };
    let expire = moment(expire_time.ok_or("a waiver for ever")?);
    Ok((Grant { exempt, target, approver, expire }, reason))
}
