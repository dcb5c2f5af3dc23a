//! Envelopes ↔ the contract's messages.

use muster_proto::log::v1 as pb;
use muster_proto::{Malformed, convert};
use muster_types::stream::UnknownName;
use muster_types::{Aggregate, EventId, Service, StreamId, TenantId, Version};
use uuid::Uuid;

use crate::{Actor, Context, Envelope, EventType};

impl From<&Envelope> for pb::Envelope {
    fn from(envelope: &Envelope) -> Self {
        let Envelope { position, event_id, stream, version, kind, context, prev_hash, payload } = envelope;
        let Context { actor, time, correlation_id, causation_id, traceparent } = context;
        let StreamId { tenant, aggregate, id } = stream;
        Self {
            position: *position,
            event_id: event_id.as_bytes().to_vec(),
            tenant: tenant.to_string(),
            service: stream.service().to_string(),
            aggregate: aggregate.to_string(),
            aggregate_id: id.as_bytes().to_vec(),
            version: version.0,
            r#type: kind.as_str().to_owned(),
            time: Some(convert::timestamp(*time)),
            actor: actor.as_str().to_owned(),
            correlation_id: correlation_id.as_bytes().to_vec(),
            causation_id: causation_id.map_or_else(Vec::new, |id| id.as_bytes().to_vec()),
            prev_hash: prev_hash.to_vec(),
            traceparent: traceparent.as_deref().unwrap_or_default().to_owned(),
            payload: payload.clone(),
        }
    }
}

impl TryFrom<pb::Envelope> for Envelope {
    type Error = Malformed;

    fn try_from(envelope: pb::Envelope) -> Result<Self, Malformed> {
        let pb::Envelope {
            position,
            event_id,
            tenant,
            service,
            aggregate,
            aggregate_id,
            version,
            r#type,
            time,
            actor,
            correlation_id,
            causation_id,
            prev_hash,
            traceparent,
            payload,
        } = envelope;
        let tenant: TenantId = tenant.parse().map_err(|e| Malformed::new("tenant", format!("{e}")))?;
        let aggregate: Aggregate =
            aggregate.parse().map_err(|e: UnknownName| Malformed::new("aggregate", e.to_string()))?;
        let service: Service =
            service.parse().map_err(|e: UnknownName| Malformed::new("service", e.to_string()))?;
        if aggregate.service() != service {
            let owner = aggregate.service();
            return Err(Malformed::new("service", format!("{aggregate} belongs to {owner}, not {service}")));
        }
        if version == 0 {
            return Err(Malformed::new("version", "must be 1 or more"));
        }
        if r#type.is_empty() {
            return Err(Malformed::new("type", "must be set"));
        }
        let causation_id = match &causation_id[..] {
            [] => None,
            bytes => Some(EventId::from_uuid(uuid("causation_id", bytes)?)),
        };
        let context = Context {
            actor: Actor::from_log(actor),
            time: convert::moment(convert::required(time, "time")?),
            correlation_id: uuid("correlation_id", &correlation_id)?,
            causation_id,
            traceparent: (!traceparent.is_empty()).then(|| traceparent.into()),
        };
        Ok(Self {
            position,
            event_id: EventId::from_uuid(uuid("event_id", &event_id)?),
            stream: StreamId::new(tenant, aggregate, uuid("aggregate_id", &aggregate_id)?),
            version: Version(version),
            kind: EventType::new(r#type),
            context,
            prev_hash: prev_hash.try_into().map_err(|found: Vec<u8>| {
                Malformed::new("prev_hash", format!("must be 32 bytes, is {}", found.len()))
            })?,
            payload,
        })
    }
}

fn uuid(field: &str, bytes: &[u8]) -> Result<Uuid, Malformed> {
    Uuid::from_slice(bytes)
        .map_err(|_| Malformed::new(field, format!("must be 16 bytes, is {}", bytes.len())))
}

#[cfg(test)]
mod tests {
    use muster_types::Timestamp;

    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            position: 7,
            event_id: EventId::from_uuid(Uuid::from_u128(1)),
            stream: StreamId::new(TenantId::DEFAULT, Aggregate::Group, Uuid::from_u128(2)),
            version: Version(3),
            kind: EventType::new("muster.identity.v1.GroupDefined"),
            context: Context {
                actor: Actor::admin("ann"),
                time: Timestamp::from_micros(1_700_000_000_123_456),
                correlation_id: Uuid::from_u128(4),
                causation_id: Some(EventId::from_uuid(Uuid::from_u128(5))),
                traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            },
            prev_hash: [6; 32],
            payload: vec![8, 1, 250, 255].into(),
        }
    }

    #[test]
    fn envelopes_round_trip_and_keep_their_hash() {
        let full = envelope();
        let mut bare = envelope();
        bare.context.causation_id = None;
        bare.context.traceparent = None;
        for envelope in [full, bare] {
            let back = Envelope::try_from(pb::Envelope::from(&envelope)).expect("sound");
            assert_eq!(back, envelope);
            assert_eq!(back.hash(), envelope.hash());
        }
    }

    #[test]
    fn what_is_wrong_with_a_message_is_named() {
        type Spoil = fn(&mut pb::Envelope);
        let cases: [(&str, Spoil); 10] = [
            ("event_id", |e| e.event_id.truncate(15)),
            ("tenant", |e| e.tenant = "Not a slug".into()),
            ("service", |e| e.service = "policy".into()),
            ("aggregate", |e| e.aggregate = "planet".into()),
            ("aggregate_id", |e| e.aggregate_id.clear()),
            ("version", |e| e.version = 0),
            ("type", |e| e.r#type.clear()),
            ("time", |e| e.time = None),
            ("causation_id", |e| e.causation_id.truncate(1)),
            ("prev_hash", |e| e.prev_hash.clear()),
        ];
        for (field, spoil) in cases {
            let mut message = pb::Envelope::from(&envelope());
            spoil(&mut message);
            assert_eq!(Envelope::try_from(message).expect_err("malformed").field, field);
        }
    }
}
