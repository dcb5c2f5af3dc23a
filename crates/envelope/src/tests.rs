use muster_errors::ErrorCode;
use muster_proto::convert;
use muster_proto::policy::v1 as pb;
use muster_types::{SettingValue, WithheldReason, setting};
use proptest::prelude::*;
use prost::Message as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const SKEW: Duration = Duration::from_secs(300);

fn key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

fn public(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

fn trust(numbers: &[u8]) -> Trust {
    Trust::new(numbers.iter().map(|number| public(&key(*number))))
}

fn device(number: u8) -> DeviceId {
    DeviceId::from_slice(&[number; 16]).unwrap()
}

fn expected() -> Expected {
    Expected { tenant: TenantId::DEFAULT, device: device(1), last: None, now: NOW, skew: SKEW }
}

/// A policy of two settings, one of them withheld in part, and one that is withheld whole.
fn message() -> pb::PolicyDocument {
    let settings = [("p/a", SettingValue::Integer(8)), ("p/b", SettingValue::Text("high".into()))]
        .map(|(id, value)| (id.parse().unwrap(), value));
    let withheld = [("p/b", WithheldReason::Conflict), ("p/c", WithheldReason::Waived)]
        .map(|(id, reason)| (id.parse().unwrap(), reason));
    let etag = setting::etag_of_result(
        settings.iter().map(|(id, value)| (id, value)),
        withheld.iter().map(|(id, reason)| (id, *reason)),
    );
    pb::PolicyDocument {
        tenant: "default".into(),
        device_id: device(1).as_bytes().to_vec(),
        etag: etag.to_vec(),
        version: 7,
        issue_time: Some(convert::timestamp(NOW)),
        expire_time: Some(convert::timestamp(NOW.plus(HOUR))),
        settings: settings.into_iter().map(Into::into).collect(),
        withheld: withheld
            .into_iter()
            .map(|(id, reason): (muster_types::SettingId, _)| pb::Withheld {
                id: id.to_string(),
                reason: pb::WithheldReason::from(reason).into(),
            })
            .collect(),
    }
}

fn sealed(payload_type: &str, payload: Vec<u8>, by: &[u8]) -> SignedPolicy {
    let signature = |number: &u8| {
        let key = key(*number);
        pb::Signature {
            key_id: key_id(&public(&key)),
            signature: key.sign(&pae(payload_type, &payload)).as_ref().to_vec(),
        }
    };
    SignedPolicy {
        payload_type: payload_type.into(),
        signatures: by.iter().map(signature).collect(),
        payload: payload.into(),
    }
}

fn policy(message: &pb::PolicyDocument, by: &[u8]) -> SignedPolicy {
    sealed(POLICY_PAYLOAD_TYPE, message.encode_to_vec(), by)
}

fn code(message: &pb::PolicyDocument, expected: &Expected) -> Result<u64, ErrorCode> {
    verify(&policy(message, &[1]), &trust(&[1]), expected)
        .map(|document| document.version)
        .map_err(|refusal| refusal.code)
}

#[test]
fn the_encoding_is_that_of_dsse() {
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn a_key_id_is_16_hexadecimal_digits() {
    assert_eq!(key_id(b""), "e3b0c44298fc1c14");
    let both = trust(&[1, 2]);
    assert_eq!(both.digest(), trust(&[2, 1, 2]).digest());
    assert_ne!(both.digest(), trust(&[1]).digest());
}

#[test]
fn a_good_policy_is_told_whole() {
    let document = verify(&policy(&message(), &[1]), &trust(&[2, 1]), &expected()).unwrap();
    assert_eq!((document.version, document.settings.len()), (7, 2));
    let withheld: Vec<_> = document.withheld.iter().map(|(id, reason)| (id.as_str(), *reason)).collect();
    assert_eq!(withheld, [("p/b", WithheldReason::Conflict), ("p/c", WithheldReason::Waived)]);
    assert_eq!((document.issued_at, document.expires_at), (NOW, NOW.plus(HOUR)));
    assert_eq!(document.key_id, key_id(&public(&key(1))));
    let again = Document::open(&decode(&document.signed).unwrap(), &trust(&[1])).unwrap();
    assert_eq!(again, document);
}

#[test]
fn one_good_signature_of_a_trusted_key_is_enough_and_needed() {
    let by = |signers: &[u8], believed: &[u8]| {
        let verified = verify(&policy(&message(), signers), &trust(believed), &expected());
        verified.map(|document| document.key_id).map_err(|refusal| refusal.code)
    };
    let id = |number| Ok(key_id(&public(&key(number))));
    assert_eq!(by(&[1], &[1]), id(1));
    assert_eq!(by(&[1, 2], &[2]), id(2));
    assert_eq!(by(&[1, 2], &[1, 2]), id(1));
    for (signers, believed) in [(&[][..], &[1][..]), (&[1], &[2]), (&[1], &[])] {
        assert_eq!(by(signers, believed), Err(ErrorCode::PolicyUnsigned), "{signers:?} {believed:?}");
    }
    assert_eq!(by(&[1; 8], &[1]), id(1));
    assert_eq!(by(&[1; 9], &[1]), Err(ErrorCode::PolicyMalformed));
    // A signature under the name of another key.
    let mut borrowed = policy(&message(), &[2]);
    borrowed.signatures[0].key_id = key_id(&public(&key(1)));
    let refusal = verify(&borrowed, &trust(&[1]), &expected()).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::PolicyUnsigned);
    assert!(refusal.message.contains("does not verify"), "{refusal}");
}

#[test]
fn a_policy_of_another_device_or_time_is_refused() {
    let good = message();
    let cases = [
        (Expected { device: device(2), ..expected() }, ErrorCode::PolicyWrongDevice),
        (Expected { tenant: "other".parse().unwrap(), ..expected() }, ErrorCode::PolicyWrongDevice),
        (Expected { now: NOW.plus(HOUR), ..expected() }, ErrorCode::PolicyExpired),
        (Expected { last: Some((8, [0; 32])), ..expected() }, ErrorCode::PolicyRolledBack),
        (Expected { last: Some((7, [0; 32])), ..expected() }, ErrorCode::PolicyRolledBack),
    ];
    for (expected, refused) in cases {
        assert_eq!(code(&good, &expected), Err(refused), "{expected:?}");
    }
    let of_the_future =
        |ahead| pb::PolicyDocument { issue_time: Some(convert::timestamp(NOW.plus(ahead))), ..message() };
    assert_eq!(code(&of_the_future(SKEW), &expected()), Ok(7));
    assert_eq!(code(&of_the_future(SKEW * 2), &expected()), Err(ErrorCode::PolicyNotYetValid));
    let etag = <Digest>::try_from(&*good.etag).unwrap();
    for last in [(7, etag), (6, etag), (6, [0; 32])] {
        assert_eq!(code(&good, &Expected { last: Some(last), ..expected() }), Ok(7));
    }
}

#[test]
fn a_policy_that_contradicts_itself_is_refused() {
    let good = message();
    let bad = [
        pb::PolicyDocument { etag: vec![0; 32], ..good.clone() },
        pb::PolicyDocument { etag: vec![0; 31], ..good.clone() },
        pb::PolicyDocument { withheld: Vec::new(), ..good.clone() },
        pb::PolicyDocument { settings: good.settings[..1].to_vec(), ..good.clone() },
        pb::PolicyDocument { settings: good.settings.iter().rev().cloned().collect(), ..good.clone() },
        pb::PolicyDocument {
            settings: good.settings.iter().flat_map(|setting| [setting.clone(), setting.clone()]).collect(),
            ..good.clone()
        },
        pb::PolicyDocument { issue_time: None, ..good.clone() },
        pb::PolicyDocument { expire_time: None, ..good.clone() },
        pb::PolicyDocument { device_id: vec![1], ..good.clone() },
        pb::PolicyDocument { tenant: "No Slug".into(), ..good.clone() },
    ];
    for bad in bad {
        assert_eq!(code(&bad, &expected()), Err(ErrorCode::PolicyMalformed), "{bad:?}");
    }
    for reason in [0, pb::WithheldReason::Platform as i32, 99] {
        let mut bad = good.clone();
        bad.withheld[1].reason = reason;
        assert_eq!(code(&bad, &expected()), Err(ErrorCode::PolicyMalformed), "{reason}");
    }
    let large = sealed(POLICY_PAYLOAD_TYPE, vec![0; ENVELOPE_BYTES_MAX], &[1]);
    assert_eq!(verify(&large, &trust(&[1]), &expected()).unwrap_err().code, ErrorCode::PolicyMalformed);
    assert_eq!(decode(&vec![0; ENVELOPE_BYTES_MAX + 1]).unwrap_err().code, ErrorCode::PolicyMalformed);
}

#[test]
fn moments_at_the_ends_of_time_are_no_way_around() {
    let at = |seconds| Some(prost_types(seconds));
    let for_ever = pb::PolicyDocument { expire_time: at(i64::MAX), issue_time: at(i64::MIN), ..message() };
    assert_eq!(code(&for_ever, &expected()), Ok(7), "what a trusted key says is said");
    let never = pb::PolicyDocument { expire_time: at(i64::MIN), ..message() };
    assert_eq!(code(&never, &expected()), Err(ErrorCode::PolicyExpired));
    let future = pb::PolicyDocument { issue_time: at(i64::MAX), ..message() };
    assert_eq!(code(&future, &expected()), Err(ErrorCode::PolicyNotYetValid));
}

fn prost_types(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

#[test]
fn an_order_is_obeyed_only_as_what_it_is() {
    let order = pb::OffboardingOrder {
        tenant: "default".into(),
        device_id: device(1).as_bytes().to_vec(),
        issue_time: Some(convert::timestamp(NOW)),
        expire_time: Some(convert::timestamp(NOW.plus(HOUR))),
        kept_settings: vec!["p/a".into()],
    };
    let payload = order.encode_to_vec();
    let good = sealed(ORDER_PAYLOAD_TYPE, payload.clone(), &[1]);
    let read = verify_order(&good, &trust(&[1]), &expected()).unwrap();
    assert_eq!((read.expires_at, read.kept.len()), (NOW.plus(HOUR), 1));
    assert_eq!(read.digest, dsse::sha256(&payload));
    // A policy is no order, nor the other way round, whatever the bytes say.
    assert!(verify(&good, &trust(&[1]), &expected()).is_err());
    let bad = [
        sealed(POLICY_PAYLOAD_TYPE, payload.clone(), &[1]),
        sealed(ORDER_PAYLOAD_TYPE, payload, &[2]),
        sealed(ORDER_PAYLOAD_TYPE, pb::OffboardingOrder { expire_time: None, ..order }.encode_to_vec(), &[1]),
        SignedPolicy { signatures: Vec::new(), ..good.clone() },
    ];
    for bad in bad {
        let refusal = verify_order(&bad, &trust(&[1]), &expected()).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::OrderRefused, "{refusal}");
    }
    for other in [
        Expected { device: device(2), ..expected() },
        Expected { now: NOW.plus(HOUR), ..expected() },
        Expected { now: Timestamp::from_micros(NOW.micros() - 3_600_000_000), ..expected() },
    ] {
        let refusal = verify_order(&good, &trust(&[1]), &other).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::OrderRefused, "{refusal}");
    }
}

/// What is done to an envelope on its way.
#[derive(Debug, Clone)]
enum Attack {
    Flip(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    /// Signed by a key that nobody trusts, under its own name or that of the trusted one.
    Forge(bool),
    Replay(u64),
    Expire(u32),
    OtherDevice(u8),
}

fn attack() -> impl Strategy<Value = Attack> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), 0..8u8).prop_map(|(at, bit)| Attack::Flip(at, bit)),
        2 => any::<prop::sample::Index>().prop_map(Attack::Truncate),
        2 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Attack::Insert(at, byte)),
        1 => any::<bool>().prop_map(Attack::Forge),
        1 => (1..1_000_000u64).prop_map(Attack::Replay),
        1 => any::<u32>().prop_map(Attack::Expire),
        1 => (2..=255u8).prop_map(Attack::OtherDevice),
    ]
}

proptest! {
    #[test]
    fn no_attack_on_an_envelope_is_obeyed(attack in attack()) {
        let good = policy(&message(), &[1]);
        let mut bytes = good.encode_to_vec();
        let mut to = expected();
        match attack {
            Attack::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Attack::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Attack::Insert(at, byte) => bytes.insert(at.index(bytes.len()), byte),
            Attack::Forge(borrowed) => {
                let mut forged = policy(&message(), &[2]);
                if borrowed {
                    forged.signatures[0].key_id = good.signatures[0].key_id.clone();
                }
                bytes = forged.encode_to_vec();
            }
            Attack::Replay(by) => to.last = Some((7 + by, [0; 32])),
            Attack::Expire(by) => to.now = NOW.plus(HOUR + Duration::from_secs(by.into())),
            Attack::OtherDevice(number) => to.device = device(number),
        }
        let verified = decode(&bytes).and_then(|envelope| verify(&envelope, &trust(&[1]), &to));
        prop_assert!(verified.is_err(), "{:?}", verified);
    }

    #[test]
    fn any_bytes_are_refused_or_what_was_signed(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let verified = decode(&bytes).and_then(|envelope| verify(&envelope, &trust(&[1]), &expected()));
        prop_assert!(verified.is_err());
    }
}
