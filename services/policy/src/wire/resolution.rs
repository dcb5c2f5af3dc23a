//! What devices should have.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{moment, timestamp};
use muster_proto::policy::v1 as pb;
use muster_types::{Aggregate, PolicyId, WithheldReason};

use super::{bitmap, bytes_of, decoded, digest, encoded, kind, text};
use crate::domain::resolution::{Content, Event, Resolved, Revised, Setting, Told, Withheld};

impl State for Told {
    const AGGREGATE: Aggregate = Aggregate::Resolution;
    type Event = Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let Event { positions, resolved, none } = event;
        let message = pb::EffectivePoliciesChanged {
            positions: positions.to_string(),
            resolved: resolved.iter().map(to_resolved).collect(),
            none: bytes_of(none),
            restated: true,
        };
        encoded(kind::EFFECTIVE_POLICIES_CHANGED, &message)
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::EFFECTIVE_POLICIES_CHANGED {
            return Ok(None);
        }
        let pb::EffectivePoliciesChanged { positions, resolved, none, restated: _ } = decoded(envelope)?;
        Ok(Some(Event {
            positions: positions.parse().map_err(text)?,
            resolved: resolved.into_iter().map(from_resolved).collect::<Result<_, _>>()?,
            none: bitmap(&none)?,
        }))
    }
}

fn to_resolved(resolved: &Resolved) -> pb::Resolved {
    let Resolved { id, devices, cause, content } = resolved;
    pb::Resolved {
        resolution_id: id.to_vec(),
        devices: bytes_of(devices),
        cause_time: Some(timestamp(*cause)),
        resolution: content.as_ref().map(to_content),
    }
}

fn from_resolved(resolved: pb::Resolved) -> Result<Resolved, String> {
    let pb::Resolved { resolution_id, devices, cause_time, resolution } = resolved;
    Ok(Resolved {
        id: digest(&resolution_id)?,
        devices: bitmap(&devices)?,
        cause: moment(cause_time.ok_or("cause_time: must be set")?),
        content: resolution.map(from_content).transpose()?,
    })
}

fn to_content(content: &Content) -> pb::Resolution {
    let Content { etag, policies, settings, withheld } = content;
    let policies = policies.iter().map(|Revised { policy, revision }| pb::ResolvedPolicy {
        policy_id: policy.as_bytes().to_vec(),
        revision: *revision,
    });
    let settings = settings.iter().map(|Setting { id, value, winners, losers }| pb::ResolvedSetting {
        id: id.to_string(),
        value: value.clone().map(Into::into),
        winners: winners.clone(),
        losers: losers.clone(),
    });
    let withheld = withheld.iter().map(|Withheld { id, reason, candidates }| pb::ResolvedWithheld {
        id: id.to_string(),
        reason: pb::WithheldReason::from(*reason).into(),
        candidates: candidates.clone(),
    });
    pb::Resolution {
        etag: etag.to_vec(),
        policies: policies.collect(),
        settings: settings.collect(),
        withheld: withheld.collect(),
    }
}

fn from_content(content: pb::Resolution) -> Result<Content, String> {
    let pb::Resolution { etag, policies, settings, withheld } = content;
    Ok(Content {
        etag: digest(&etag)?,
        policies: policies.into_iter().map(from_policy).collect::<Result<_, _>>()?,
        settings: settings.into_iter().map(from_setting).collect::<Result<_, _>>()?,
        withheld: withheld.into_iter().map(from_withheld).collect::<Result<_, _>>()?,
    })
}

fn from_policy(policy: pb::ResolvedPolicy) -> Result<Revised, String> {
    let pb::ResolvedPolicy { policy_id, revision } = policy;
    Ok(Revised { policy: PolicyId::from_slice(&policy_id).map_err(text)?, revision })
}

fn from_setting(setting: pb::ResolvedSetting) -> Result<Setting, String> {
    let pb::ResolvedSetting { id, value, winners, losers } = setting;
    let value = value.map(TryInto::try_into).transpose().map_err(text)?;
    Ok(Setting { id: id.parse().map_err(text)?, value, winners, losers })
}

fn from_withheld(withheld: pb::ResolvedWithheld) -> Result<Withheld, String> {
    let reason = WithheldReason::try_from(withheld.reason()).map_err(text)?;
    let pb::ResolvedWithheld { id, reason: _, candidates } = withheld;
    Ok(Withheld { id: id.parse().map_err(text)?, reason, candidates })
}
