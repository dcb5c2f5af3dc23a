//! What devices say of themselves, in two parts: what a device has for itself, and what many say alike. A fleet has few
//! builds of few systems, so the larger part is kept once for all who share it.

use muster_proto::enroll::v1 as pb;
use prost::Message as _;

/// What many devices say alike.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Common {
    /// Distribution or edition id.
    pub(super) os_id: Box<str>,
    /// Version of the distribution or operating system.
    pub(super) os_version: Box<str>,
    /// All the rest, as the contract encodes it.
    rest: Box<[u8]>,
}

/// Field `hostname` of the contract's message: number 2, length-delimited.
const HOSTNAME_TAG: u8 = 2 << 3 | 2;

/// Takes facts apart: what is shared, and what is the device's own as the contract encodes it.
pub(super) fn split(mut facts: pb::DeviceFacts) -> (Common, Box<[u8]>) {
    let own = pb::DeviceFacts {
        hostname: std::mem::take(&mut facts.hostname),
        hardware_digest: std::mem::take(&mut facts.hardware_digest),
        hardware_keys: std::mem::take(&mut facts.hardware_keys),
        ..Default::default()
    };
    let os_id = std::mem::take(&mut facts.os_id).into();
    let os_version = std::mem::take(&mut facts.os_version).into();
    let common = Common { os_id, os_version, rest: facts.encode_to_vec().into() };
    (common, own.encode_to_vec().into())
}

/// Puts facts together again.
///
/// # Errors
/// When either part is damaged.
pub(super) fn join(common: &Common, own: &[u8]) -> Result<pb::DeviceFacts, prost::DecodeError> {
    let Common { os_id, os_version, rest } = common;
    let mut facts = pb::DeviceFacts::decode(&**rest)?;
    facts.merge(own)?;
    os_id.as_ref().clone_into(&mut facts.os_id);
    os_version.as_ref().clone_into(&mut facts.os_version);
    Ok(facts)
}

/// The host name in what is a device's own: its first field, when it has one.
pub(super) fn hostname(own: &[u8]) -> &str {
    let Some((&HOSTNAME_TAG, mut rest)) = own.split_first() else { return "" };
    let length =
        prost::encoding::decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok());
    let name = length.and_then(|length| rest.get(..length)).unwrap_or_default();
    std::str::from_utf8(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use muster_proto::identity::v1::HardwareKey;

    use super::*;

    #[test]
    fn what_is_taken_apart_comes_together_again() {
        let facts = pb::DeviceFacts {
            platform: 1,
            hostname: "w".repeat(200),
            os_id: "windows".into(),
            os_version: "11".into(),
            hardware_digest: vec![7; 32],
            installed_updates: vec!["KB5023773".into()],
            mdm: Some(pb::MdmFacts { provider: 2, name: "x".into() }),
            device_tags: vec!["a".into(), "b".into()],
            hardware_keys: vec![HardwareKey { kind: 2, digest: vec![1; 32] }; 3],
            ..Default::default()
        };
        for facts in [facts.clone(), pb::DeviceFacts { hostname: String::new(), ..facts }, Default::default()]
        {
            let (common, own) = split(facts.clone());
            assert_eq!(hostname(&own), facts.hostname);
            assert_eq!(join(&common, &own), Ok(facts));
        }
    }

    #[test]
    fn devices_that_differ_in_name_and_hardware_say_the_same() {
        let device = |n: u8| pb::DeviceFacts {
            hostname: format!("web-{n}"),
            hardware_digest: vec![n; 32],
            os_id: "debian".into(),
            ..Default::default()
        };
        assert_eq!(split(device(1)).0, split(device(2)).0);
    }
}
