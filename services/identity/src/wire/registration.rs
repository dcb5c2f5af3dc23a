//! Events of registrations.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{moment, required, timestamp};
use muster_proto::identity::v1 as pb;
use muster_types::{Aggregate, DeviceId, Timestamp};

use super::{decoded, digest, encoded, hardware_key_messages, hardware_keys, kind, text};
use crate::domain::registration::{
    Certificate, Event, Kind, Proven, Registration, Removal, Resolution, Serial,
};

impl State for Registration {
    const AGGREGATE: Aggregate = Aggregate::Registration;
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Event) -> (EventType, Vec<u8>) {
        match event {
            Event::TrustEstablished { .. } => encoded(kind::TRUST_ESTABLISHED, &established_message(event)),
            Event::TrustRenewed(Certificate { key_digest, serial, not_after }) => {
                let message = pb::TrustRenewed {
                    key_digest: key_digest.to_vec(),
                    certificate_serial: serial.as_bytes().to_vec(),
                    not_after: Some(timestamp(*not_after)),
                };
                encoded(kind::TRUST_RENEWED, &message)
            }
            Event::CertificateActivated(serial) => {
                let message = pb::CertificateActivated { certificate_serial: serial.as_bytes().to_vec() };
                encoded(kind::CERTIFICATE_ACTIVATED, &message)
            }
            Event::TrustRevoked { reason } => {
                encoded(kind::TRUST_REVOKED, &pb::TrustRevoked { reason: reason.to_string() })
            }
            Event::RegistrationPromoted(Proven { registration, join_type }) => {
                let message = pb::RegistrationPromoted {
                    registration: registration.to_string(),
                    join_type: join_type.to_string(),
                };
                encoded(kind::REGISTRATION_PROMOTED, &message)
            }
            Event::RegistrationRemoved(removal) => {
                encoded(kind::REGISTRATION_REMOVED, &removed_message(*removal))
            }
            Event::CloneSuspected { boot_ids } => {
                let boot_ids = boot_ids.iter().map(|id| id.to_vec()).collect();
                encoded(kind::CLONE_SUSPECTED, &pb::CloneSuspected { boot_ids })
            }
            Event::CloneResolved { resolution, at: _ } => {
                let resolution = match resolution {
                    Resolution::Dismiss => pb::CloneResolution::Dismiss,
                    Resolution::Reissue => pb::CloneResolution::Reissue,
                };
                encoded(kind::CLONE_RESOLVED, &pb::CloneResolved { resolution: resolution.into() })
            }
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Event>, String> {
        let payload = &envelope.payload[..];
        Ok(Some(match envelope.kind.as_str() {
            kind::TRUST_ESTABLISHED => established(decoded(payload)?)?,
            kind::TRUST_RENEWED => {
                let pb::TrustRenewed { key_digest, certificate_serial, not_after } = decoded(payload)?;
                let not_after = moment(required(not_after, "not_after").map_err(text)?);
                Event::TrustRenewed(certificate(&key_digest, &certificate_serial, not_after)?)
            }
            kind::CERTIFICATE_ACTIVATED => {
                let pb::CertificateActivated { certificate_serial } = decoded(payload)?;
                Event::CertificateActivated(serial(&certificate_serial)?)
            }
            kind::TRUST_REVOKED => {
                let pb::TrustRevoked { reason } = decoded(payload)?;
                Event::TrustRevoked { reason: reason.into() }
            }
            kind::REGISTRATION_PROMOTED => {
                let pb::RegistrationPromoted { registration, join_type } = decoded(payload)?;
                Event::RegistrationPromoted(proven(registration, join_type)?)
            }
            kind::REGISTRATION_REMOVED => Event::RegistrationRemoved(removed(&decoded(payload)?)?),
            kind::CLONE_SUSPECTED => {
                let pb::CloneSuspected { boot_ids } = decoded(payload)?;
                Event::CloneSuspected { boot_ids: self::boot_ids(boot_ids)? }
            }
            kind::CLONE_RESOLVED => resolved(&decoded(payload)?, envelope.context.time)?,
            _ => return Ok(None),
        }))
    }
}

fn established_message(event: &Event) -> pb::TrustEstablished {
    let Event::TrustEstablished { proven, spiffe_id, certificate, hardware_keys } = event else {
        return pb::TrustEstablished::default();
    };
    let Certificate { key_digest, serial, not_after } = certificate;
    let kind = if proven.is_some() { Kind::Full } else { Kind::Synthetic };
    let proven = proven.as_ref();
    pb::TrustEstablished {
        kind: pb::RegistrationKind::from(kind).into(),
        spiffe_id: spiffe_id.clone(),
        key_digest: key_digest.to_vec(),
        certificate_serial: serial.as_bytes().to_vec(),
        not_after: Some(timestamp(*not_after)),
        registration: proven.map(|proven| proven.registration.to_string()).unwrap_or_default(),
        join_type: proven.map(|proven| proven.join_type.to_string()).unwrap_or_default(),
        hardware_keys: hardware_key_messages(hardware_keys),
    }
}

fn established(message: pb::TrustEstablished) -> Result<Event, String> {
    let kind = message.kind().try_into().map_err(text)?;
    let pb::TrustEstablished {
        kind: _,
        spiffe_id,
        key_digest,
        certificate_serial,
        not_after,
        registration,
        join_type,
        hardware_keys: keys,
    } = message;
    let not_after = moment(required(not_after, "not_after").map_err(text)?);
    Ok(Event::TrustEstablished {
        proven: match kind {
            Kind::Synthetic => None,
            Kind::Full => Some(proven(registration, join_type)?),
        },
        spiffe_id,
        certificate: certificate(&key_digest, &certificate_serial, not_after)?,
        hardware_keys: hardware_keys(&keys)?,
    })
}

fn certificate(
    key_digest: &[u8],
    certificate_serial: &[u8],
    not_after: Timestamp,
) -> Result<Certificate, String> {
    Ok(Certificate {
        key_digest: digest(key_digest, "key_digest")?,
        serial: serial(certificate_serial)?,
        not_after,
    })
}

fn serial(bytes: &[u8]) -> Result<Serial, String> {
    let wrong = || format!("certificate_serial: expected at most 16 bytes, found {}", bytes.len());
    Serial::from_slice(bytes).ok_or_else(wrong)
}

fn proven(registration: String, join_type: String) -> Result<Proven, String> {
    if registration.is_empty() {
        return Err("registration: must be set for a full one".into());
    }
    Ok(Proven { registration: registration.into(), join_type: join_type.into() })
}

fn removed_message(removal: Removal) -> pb::RegistrationRemoved {
    let (reason, into_device_id) = match removal {
        Removal::Deleted => (pb::RemovalReason::Deleted, Vec::new()),
        Removal::Offboarded => (pb::RemovalReason::Offboarded, Vec::new()),
        Removal::Merged { into } => (pb::RemovalReason::Merged, into.as_bytes().to_vec()),
    };
    pb::RegistrationRemoved { reason: reason.into(), into_device_id }
}

fn removed(message: &pb::RegistrationRemoved) -> Result<Removal, String> {
    let pb::RegistrationRemoved { reason: _, into_device_id } = message;
    match message.reason() {
        pb::RemovalReason::Unspecified => Err("reason: must be set".into()),
        pb::RemovalReason::Deleted => Ok(Removal::Deleted),
        pb::RemovalReason::Offboarded => Ok(Removal::Offboarded),
        pb::RemovalReason::Merged => {
            Ok(Removal::Merged { into: DeviceId::from_slice(into_device_id).map_err(text)? })
        }
    }
}

fn resolved(message: &pb::CloneResolved, at: Timestamp) -> Result<Event, String> {
    let pb::CloneResolved { resolution: _ } = message;
    let resolution = message.resolution().try_into().map_err(text)?;
    Ok(Event::CloneResolved { resolution, at })
}

/// Reads boot ids.
///
/// # Errors
/// When one has not 16 bytes.
pub(crate) fn boot_ids(ids: Vec<Vec<u8>>) -> Result<Vec<[u8; 16]>, String> {
    let id = |id: Vec<u8>| id.try_into().map_err(|_| "boot_ids: expected 16 bytes each".to_owned());
    ids.into_iter().map(id).collect()
}

impl From<Kind> for pb::RegistrationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Synthetic => Self::Synthetic,
            Kind::Full => Self::Full,
        }
    }
}

impl TryFrom<pb::RegistrationKind> for Kind {
    type Error = &'static str;

    fn try_from(kind: pb::RegistrationKind) -> Result<Self, Self::Error> {
        match kind {
            pb::RegistrationKind::Unspecified => Err("kind: must be set"),
            pb::RegistrationKind::Synthetic => Ok(Self::Synthetic),
            pb::RegistrationKind::Full => Ok(Self::Full),
        }
    }
}

impl TryFrom<pb::CloneResolution> for Resolution {
    type Error = &'static str;

    fn try_from(resolution: pb::CloneResolution) -> Result<Self, Self::Error> {
        match resolution {
            pb::CloneResolution::Unspecified => Err("resolution: must be set"),
            pb::CloneResolution::Dismiss => Ok(Self::Dismiss),
            pb::CloneResolution::Reissue => Ok(Self::Reissue),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, envelope, round_trips, samples_decode};
    use muster_types::{HardwareKey, HardwareKeyKind};
    use uuid::Uuid;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

    fn certificate() -> Certificate {
        Certificate {
            key_digest: [4; 32],
            serial: Serial::from_slice(&[0x41; 16]).expect("16 bytes"),
            not_after: AT,
        }
    }

    fn proven() -> Proven {
        Proven { registration: "directory:9f0e".into(), join_type: "AzureAD".into() }
    }

    /// What the first version wrote.
    fn synthetic() -> Event {
        Event::TrustEstablished {
            proven: None,
            spiffe_id: "spiffe://muster.local/tenant/default/device/x".into(),
            certificate: certificate(),
            hardware_keys: vec![],
        }
    }

    fn full() -> Event {
        Event::TrustEstablished {
            proven: Some(proven()),
            spiffe_id: "spiffe://muster.local/tenant/default/device/x".into(),
            certificate: certificate(),
            hardware_keys: vec![HardwareKey { kind: HardwareKeyKind::SmbiosUuid, digest: [7; 32] }],
        }
    }

    fn later_events() -> Vec<Event> {
        vec![
            Event::TrustRenewed(certificate()),
            Event::CertificateActivated(certificate().serial),
            Event::TrustRevoked { reason: "stolen".into() },
            Event::RegistrationPromoted(proven()),
            Event::RegistrationRemoved(Removal::Merged { into: DeviceId::from_uuid(Uuid::from_u128(9)) }),
            Event::CloneSuspected { boot_ids: vec![[1; 16], [2; 16]] },
            Event::CloneResolved { resolution: Resolution::Reissue, at: AT },
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<Registration>(vec![synthetic(), full()]);
        round_trips::<Registration>(later_events());
        round_trips::<Registration>(vec![
            Event::RegistrationRemoved(Removal::Deleted),
            Event::RegistrationRemoved(Removal::Offboarded),
            Event::CloneResolved { resolution: Resolution::Dismiss, at: AT },
        ]);
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<Registration>(GOLDEN, vec![synthetic()]);
        samples_decode::<Registration>(GOLDEN, later_events());
    }

    #[test]
    fn trust_in_a_full_registration_decodes_as_it_was_first_written() {
        samples_decode::<Registration>(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/full"),
            vec![full()],
        );
    }

    #[test]
    fn an_event_that_lacks_what_it_is_about_is_told() {
        let decode = |kind: &'static str, payload: Vec<u8>| {
            Registration::decode(&envelope::<Registration>(EventType::new(kind), payload))
        };
        for kind in [
            kind::TRUST_ESTABLISHED,
            kind::TRUST_RENEWED,
            kind::REGISTRATION_PROMOTED,
            kind::REGISTRATION_REMOVED,
            kind::CLONE_RESOLVED,
        ] {
            assert!(decode(kind, vec![]).is_err(), "{kind}");
        }
        assert_eq!(decode("muster.identity.v9.Unheard", vec![]), Ok(None));
    }
}
