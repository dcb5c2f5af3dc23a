//! Events of directory devices.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::required;
use muster_proto::identity::v1 as pb;
use muster_types::{Aggregate, DeviceId};

use super::{decoded, encoded, hardware_key_messages, hardware_keys, kind, text};
use crate::domain::directory_device::{DirectoryDevice, Event, Record};

impl State for DirectoryDevice {
    const AGGREGATE: Aggregate = Aggregate::DirectoryDevice;
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Upserted(record) => {
                let directory_device = Some(record_message(record));
                encoded(kind::DIRECTORY_DEVICE_UPSERTED, &pb::DirectoryDeviceUpserted { directory_device })
            }
            Event::MatchAmbiguous(devices) => {
                let device_ids = devices.iter().map(|device| device.as_bytes().to_vec()).collect();
                encoded(kind::DIRECTORY_MATCH_AMBIGUOUS, &pb::DirectoryMatchAmbiguous { device_ids })
            }
            Event::Removed => encoded(kind::DIRECTORY_DEVICE_REMOVED, &pb::DirectoryDeviceRemoved {}),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Event>, String> {
        let payload = &envelope.payload[..];
        Ok(Some(match envelope.kind.as_str() {
            kind::DIRECTORY_DEVICE_UPSERTED => {
                let pb::DirectoryDeviceUpserted { directory_device } = decoded(payload)?;
                let message = required(directory_device, "directory_device").map_err(text)?;
                Event::Upserted(record(message)?)
            }
            kind::DIRECTORY_MATCH_AMBIGUOUS => {
                let pb::DirectoryMatchAmbiguous { device_ids } = decoded(payload)?;
                let device = |id: &Vec<u8>| DeviceId::from_slice(id).map_err(text);
                Event::MatchAmbiguous(device_ids.iter().map(device).collect::<Result<_, _>>()?)
            }
            kind::DIRECTORY_DEVICE_REMOVED => {
                let pb::DirectoryDeviceRemoved {} = decoded(payload)?;
                Event::Removed
            }
            _ => return Ok(None),
        }))
    }
}

/// What a directory says, without what this service knows of it.
pub(crate) fn record_message(record: &Record) -> pb::DirectoryDevice {
    let Record { directory_id, display_name, join_type, hardware_keys, attributes } = record;
    pb::DirectoryDevice {
        name: String::new(),
        directory_id: directory_id.to_string(),
        display_name: display_name.to_string(),
        join_type: join_type.to_string(),
        hardware_keys: hardware_key_messages(hardware_keys),
        attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        device: String::new(),
        candidates: Vec::new(),
    }
}

/// What a directory says; what this service knows of it is not read. Hardware keys are put in order.
///
/// # Errors
/// When a hardware key is none.
pub(crate) fn record(message: pb::DirectoryDevice) -> Result<Record, String> {
    let pb::DirectoryDevice {
        name: _,
        directory_id,
        display_name,
        join_type,
        hardware_keys: keys,
        attributes,
        device: _,
        candidates: _,
    } = message;
    let mut keys = hardware_keys(&keys)?;
    keys.sort_unstable();
    keys.dedup();
    Ok(Record {
        directory_id: directory_id.into(),
        display_name: display_name.into(),
        join_type: join_type.into(),
        hardware_keys: keys.into(),
        attributes: attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{envelope, round_trips, samples_decode};
    use muster_types::{HardwareKey, HardwareKeyKind};
    use uuid::Uuid;

    use super::*;

    fn events() -> Vec<Event> {
        vec![
            Event::Upserted(Record {
                directory_id: "9f0e1d2c-0000-4000-8000-000000000001".into(),
                display_name: "LAPTOP-7".into(),
                join_type: "AzureAD".into(),
                hardware_keys: Box::new([
                    HardwareKey { kind: HardwareKeyKind::SmbiosUuid, digest: [7; 32] },
                    HardwareKey { kind: HardwareKeyKind::Serial, digest: [8; 32] },
                ]),
                attributes: [("deviceOwnership".into(), "Company".into())].into(),
            }),
            Event::MatchAmbiguous(
                vec![1, 2].into_iter().map(|id| DeviceId::from_uuid(Uuid::from_u128(id))).collect(),
            ),
            Event::Removed,
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<DirectoryDevice>(events());
        round_trips::<DirectoryDevice>(vec![Event::MatchAmbiguous(vec![])]);
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<DirectoryDevice>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"), events());
    }

    #[test]
    fn an_event_that_lacks_what_it_is_about_is_told() {
        let decode =
            |kind| DirectoryDevice::decode(&envelope::<DirectoryDevice>(EventType::new(kind), Vec::new()));
        assert!(decode(kind::DIRECTORY_DEVICE_UPSERTED).is_err());
        assert_eq!(decode("muster.identity.v9.Unheard"), Ok(None));
    }

    #[test]
    fn keys_in_another_order_are_the_same_record() {
        let Event::Upserted(said) = events().remove(0) else { return };
        let mut message = record_message(&said);
        message.hardware_keys.reverse();
        message.hardware_keys.push(message.hardware_keys[0].clone());
        assert_eq!(record(message), Ok(said));
    }
}
