//! Events of an enrollment ↔ their payloads.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{moment, required, timestamp};
use muster_proto::enroll::v1 as pb;
use muster_types::{Aggregate, DeviceId, EnrollmentCode, RequestId, TokenId};

use super::{decoded, digest, encoded, kind, tags, text, texts};
use crate::domain::enrollment::{Enrollment, Event, ManagedBy, TakenBack};
use crate::domain::facts::DeviceFacts;
use crate::domain::trouble::{self, InvalidTrouble, Trouble};

impl State for Enrollment {
    const AGGREGATE: Aggregate = Aggregate::Enrollment;
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Onboarded { token, key_digest, facts, request: _ } => encoded(
                kind::DEVICE_ONBOARDED,
                &pb::DeviceOnboarded {
                    onboarding_token_id: token.as_bytes().to_vec(),
                    key_digest: key_digest.to_vec(),
                    facts: Some(facts.clone().into()),
                    facts_digest: facts.digest().to_vec(),
                },
            ),
            Event::FactsChanged { facts } => {
                let facts_digest = facts.digest().to_vec();
                let facts = Some(facts.clone().into());
                encoded(kind::FACTS_CHANGED, &pb::DeviceFactsChanged { facts, facts_digest })
            }
            Event::Permitted { scope_version } => {
                let scope_version = *scope_version;
                encoded(kind::ENROLLMENT_PERMITTED, &pb::EnrollmentPermitted { scope_version })
            }
            Event::Succeeded { spiffe_id, managed_by, code, scope_version } => encoded(
                kind::ENROLLMENT_SUCCEEDED,
                &pb::EnrollmentSucceeded {
                    spiffe_id: spiffe_id.to_string(),
                    managed_by: pb::ManagedBy::from(*managed_by).into(),
                    code: code.to_string(),
                    scope_version: *scope_version,
                },
            ),
            Event::Refused { code, message, scope_version, request: _ } => encoded(
                kind::ENROLLMENT_REFUSED,
                &pb::EnrollmentRefused {
                    reason: code.to_string(),
                    message: message.to_string(),
                    scope_version: *scope_version,
                },
            ),
            Event::AuthorityChanged { from, to, code } => encoded(
                kind::AUTHORITY_CHANGED,
                &pb::ManagementAuthorityChanged {
                    from: pb::ManagedBy::from(*from).into(),
                    to: pb::ManagedBy::from(*to).into(),
                    code: code.to_string(),
                },
            ),
            Event::Tagged { added, removed } => {
                let tagged = pb::DeviceTagged { added: texts(added), removed: texts(removed) };
                encoded(kind::DEVICE_TAGGED, &tagged)
            }
            Event::TroubleReported { troubles } => {
                let troubles = troubles.iter().map(pb::Trouble::from).collect();
                encoded(kind::TROUBLE_REPORTED, &pb::DeviceTroubleReported { troubles })
            }
            Event::OffboardingRequested { expire_time } => {
                let expire_time = Some(timestamp(*expire_time));
                encoded(kind::OFFBOARDING_REQUESTED, &pb::DeviceOffboardingRequested { expire_time })
            }
            Event::Offboarded(TakenBack { reverted, kept, failed }) => encoded(
                kind::DEVICE_OFFBOARDED,
                &pb::DeviceOffboarded {
                    reverted_settings: reverted.clone(),
                    kept_settings: kept.clone(),
                    failed_settings: failed.clone(),
                },
            ),
            Event::Deleted => encoded(kind::DEVICE_DELETED, &pb::DeviceDeleted {}),
            Event::Merged { into } => {
                encoded(kind::DEVICE_MERGED, &pb::DeviceMerged { into_device_id: into.as_bytes().to_vec() })
            }
            Event::ReenrollmentAllowed => encoded(kind::REENROLLMENT_ALLOWED, &pb::ReenrollmentAllowed {}),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Event>, String> {
        let payload = &envelope.payload[..];
        let request = RequestId::from_uuid(envelope.context.correlation_id);
        Ok(Some(match envelope.kind.as_str() {
            kind::DEVICE_ONBOARDED => {
                let onboarded: pb::DeviceOnboarded = decoded(payload)?;
                let pb::DeviceOnboarded { onboarding_token_id, key_digest, facts, facts_digest: _ } =
                    onboarded;
                Event::Onboarded {
                    token: TokenId::from_slice(&onboarding_token_id).map_err(text)?,
                    key_digest: digest(&key_digest, "key_digest")?,
                    facts: device_facts(facts)?,
                    request,
                }
            }
            kind::FACTS_CHANGED => {
                let pb::DeviceFactsChanged { facts, facts_digest: _ } = decoded(payload)?;
                Event::FactsChanged { facts: device_facts(facts)? }
            }
            kind::ENROLLMENT_PERMITTED => {
                let pb::EnrollmentPermitted { scope_version } = decoded(payload)?;
                Event::Permitted { scope_version }
            }
            kind::ENROLLMENT_SUCCEEDED => {
                let pb::EnrollmentSucceeded { spiffe_id, managed_by, code, scope_version } =
                    decoded(payload)?;
                // The first form had no code.
                let code = if code.is_empty() { EnrollmentCode::Enrolled } else { self::code(&code) };
                let managed_by = authority(managed_by, "managed_by")?;
                Event::Succeeded { spiffe_id: spiffe_id.into(), managed_by, code, scope_version }
            }
            kind::ENROLLMENT_REFUSED => {
                let pb::EnrollmentRefused { reason, message, scope_version } = decoded(payload)?;
                Event::Refused { code: code(&reason), message: message.into(), scope_version, request }
            }
            kind::AUTHORITY_CHANGED => {
                let pb::ManagementAuthorityChanged { from, to, code } = decoded(payload)?;
                let (from, to) = (authority(from, "from")?, authority(to, "to")?);
                Event::AuthorityChanged { from, to, code: self::code(&code) }
            }
            kind::DEVICE_TAGGED => {
                let pb::DeviceTagged { added, removed } = decoded(payload)?;
                Event::Tagged { added: tags(added), removed: tags(removed) }
            }
            kind::TROUBLE_REPORTED => {
                let pb::DeviceTroubleReported { troubles } = decoded(payload)?;
                Event::TroubleReported { troubles: troubles.into_iter().map(stored_trouble).collect() }
            }
            kind::OFFBOARDING_REQUESTED => {
                let pb::DeviceOffboardingRequested { expire_time } = decoded(payload)?;
                let expire_time = moment(required(expire_time, "expire_time").map_err(text)?);
                Event::OffboardingRequested { expire_time }
            }
            kind::DEVICE_OFFBOARDED => {
                let pb::DeviceOffboarded { reverted_settings, kept_settings, failed_settings } =
                    decoded(payload)?;
                let (reverted, kept, failed) = (reverted_settings, kept_settings, failed_settings);
                Event::Offboarded(TakenBack { reverted, kept, failed })
            }
            kind::DEVICE_DELETED => {
                let pb::DeviceDeleted {} = decoded(payload)?;
                Event::Deleted
            }
            kind::DEVICE_MERGED => {
                let pb::DeviceMerged { into_device_id } = decoded(payload)?;
                Event::Merged { into: DeviceId::from_slice(&into_device_id).map_err(text)? }
            }
            kind::REENROLLMENT_ALLOWED => {
                let pb::ReenrollmentAllowed {} = decoded(payload)?;
                Event::ReenrollmentAllowed
            }
            _ => return Ok(None),
        }))
    }
}

/// A code out of the log. One of a newer version is told as `GENERAL_ERROR`: the event still counts.
fn code(text: &str) -> EnrollmentCode {
    text.parse().unwrap_or(EnrollmentCode::GeneralError)
}

fn authority(number: i32, field: &str) -> Result<ManagedBy, String> {
    let known = pb::ManagedBy::try_from(number).map_err(|_| format!("{field}: {number} is nobody known"))?;
    known.try_into().map_err(|_| format!("{field}: must be set"))
}

fn device_facts(facts: Option<pb::DeviceFacts>) -> Result<DeviceFacts, String> {
    required(facts, "facts").map_err(text)?.try_into().map_err(text)
}

fn stored_trouble(trouble: pb::Trouble) -> Trouble {
    let pb::Trouble { code: cause, detail, first_time, last_time } = trouble;
    let (first_time, last_time) = (first_time.map(moment), last_time.map(moment));
    Trouble { code: code(&cause), detail, first_time, last_time }
}

impl From<&Trouble> for pb::Trouble {
    fn from(trouble: &Trouble) -> Self {
        let Trouble { code, detail, first_time, last_time } = trouble;
        Self {
            code: code.to_string(),
            detail: detail.clone(),
            first_time: first_time.map(timestamp),
            last_time: last_time.map(timestamp),
        }
    }
}

/// Troubles as a device tells of them.
///
/// # Errors
/// [`InvalidTrouble`] for a code that no device can find out itself.
pub fn troubles(troubles: Vec<pb::Trouble>) -> Result<Vec<Trouble>, InvalidTrouble> {
    let troubles: Vec<_> = troubles.into_iter().map(stored_trouble).collect();
    trouble::check(&troubles)?;
    Ok(troubles)
}

impl From<ManagedBy> for pb::ManagedBy {
    fn from(managed_by: ManagedBy) -> Self {
        match managed_by {
            ManagedBy::Muster => Self::Muster,
            ManagedBy::Mdm => Self::Mdm,
            ManagedBy::ConfigMgr => Self::ConfigMgr,
            ManagedBy::Nobody => Self::Nobody,
        }
    }
}

impl TryFrom<pb::ManagedBy> for ManagedBy {
    type Error = &'static str;

    fn try_from(managed_by: pb::ManagedBy) -> Result<Self, Self::Error> {
        match managed_by {
            pb::ManagedBy::Unspecified => Err("managed_by: must be set"),
            pb::ManagedBy::Muster => Ok(Self::Muster),
            pb::ManagedBy::Mdm => Ok(Self::Mdm),
            pb::ManagedBy::ConfigMgr => Ok(Self::ConfigMgr),
            pb::ManagedBy::Nobody => Ok(Self::Nobody),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, REQUEST, envelope, round_trips, samples_decode};
    use uuid::Uuid;

    use super::*;
    use crate::domain::facts::tests::{everything, the_first_linux_device};
    use crate::domain::tags::sorted;
    use crate::domain::trouble::tests::a_wrong_clock;
    use crate::wire::tests::GOLDEN;

    const SPIFFE_ID: &str = "spiffe://muster.local/tenant/default/device/x";

    fn first_form() -> Vec<Event> {
        vec![
            Event::Onboarded {
                token: TokenId::from_uuid(Uuid::from_u128(2)),
                key_digest: [4; 32],
                facts: the_first_linux_device(),
                request: RequestId::from_uuid(REQUEST),
            },
            Event::FactsChanged { facts: the_first_linux_device() },
            Event::Succeeded {
                spiffe_id: SPIFFE_ID.into(),
                managed_by: ManagedBy::Muster,
                code: EnrollmentCode::Enrolled,
                scope_version: 0,
            },
            Event::Refused {
                code: EnrollmentCode::PlatformUnsupported,
                message: "platform 9 is not one that can be managed".into(),
                scope_version: 0,
                request: RequestId::from_uuid(REQUEST),
            },
        ]
    }

    fn second_form() -> Vec<Event> {
        vec![
            Event::Onboarded {
                token: TokenId::from_uuid(Uuid::from_u128(2)),
                key_digest: [4; 32],
                facts: everything(),
                request: RequestId::from_uuid(REQUEST),
            },
            Event::FactsChanged { facts: everything() },
            Event::Succeeded {
                spiffe_id: SPIFFE_ID.into(),
                managed_by: ManagedBy::Muster,
                code: EnrollmentCode::DualManagement,
                scope_version: 7,
            },
            Event::Refused {
                code: EnrollmentCode::NotTagged,
                message: "this device has not got the tag".into(),
                scope_version: 7,
                request: RequestId::from_uuid(REQUEST),
            },
            Event::Permitted { scope_version: 7 },
            Event::AuthorityChanged {
                from: ManagedBy::Muster,
                to: ManagedBy::ConfigMgr,
                code: EnrollmentCode::ManagedByConfigMgr,
            },
            Event::Tagged { added: sorted(["pilot"]), removed: sorted(["a", "b"]) },
            Event::TroubleReported { troubles: vec![a_wrong_clock()] },
            Event::OffboardingRequested { expire_time: AT },
            Event::Offboarded(TakenBack {
                reverted: vec!["a".into()],
                kept: vec!["b".into()],
                failed: vec!["c: read-only".into()],
            }),
            Event::Deleted,
            Event::Merged { into: DeviceId::from_uuid(Uuid::from_u128(3)) },
            Event::ReenrollmentAllowed,
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<Enrollment>(first_form());
        round_trips::<Enrollment>(second_form());
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<Enrollment>(GOLDEN, first_form());
        samples_decode::<Enrollment>(format!("{GOLDEN}/2"), second_form());
    }

    #[test]
    fn a_type_of_another_version_is_skipped() {
        let unknown = envelope::<Enrollment>(EventType::new("muster.enroll.v1.DevicePainted"), vec![]);
        assert_eq!(Enrollment::decode(&unknown), Ok(None));
    }

    #[test]
    fn a_code_of_another_version_still_refuses() {
        let refused = pb::EnrollmentRefused { reason: "MOON_PHASE".into(), ..Default::default() };
        let (kind, payload) = encoded(kind::ENROLLMENT_REFUSED, &refused);
        let event = Enrollment::decode(&envelope::<Enrollment>(kind, payload));
        assert!(matches!(event, Ok(Some(Event::Refused { code: EnrollmentCode::GeneralError, .. }))));
    }

    #[test]
    fn a_damaged_payload_is_told() {
        let damaged = envelope::<Enrollment>(EventType::new(kind::DEVICE_ONBOARDED), vec![0xff]);
        assert!(Enrollment::decode(&damaged).is_err());
    }
}
