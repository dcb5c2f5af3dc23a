use muster_eventlog::{Actor, Context, EventType};
use muster_types::{Aggregate, EventId, StreamId, TenantId, Version};
use uuid::Uuid;

use super::*;

fn device(n: u64) -> DeviceId {
    let spread = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    DeviceId::from_uuid(Uuid::from_u64_pair(spread, n))
}

const fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn event(n: u64, time: i64, kind: &str, message: &impl Message) -> Envelope {
    Envelope {
        position: 1,
        event_id: EventId::from_uuid(Uuid::nil()),
        stream: StreamId::new(TenantId::DEFAULT, Aggregate::Registration, device(n).uuid()),
        version: Version(1),
        kind: EventType::new(kind),
        context: Context {
            actor: Actor::admin("ada"),
            time: at(time),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: message.encode_to_vec().into(),
    }
}

fn revoked(n: u64, time: i64) -> Envelope {
    event(n, time, TRUST_REVOKED, &pb::TrustRevoked::default())
}

fn removed(n: u64, time: i64, reason: pb::RemovalReason) -> Envelope {
    let message = pb::RegistrationRemoved { reason: reason.into(), into_device_id: vec![] };
    event(n, time, REGISTRATION_REMOVED, &message)
}

fn resolved(n: u64, time: i64, resolution: pb::CloneResolution) -> Envelope {
    event(n, time, CLONE_RESOLVED, &pb::CloneResolved { resolution: resolution.into() })
}

fn activated(n: u64, issued: i64) -> Envelope {
    let certificate_serial = [issued.to_be_bytes(), [7; 8]].concat();
    event(n, 1_000_000, CERTIFICATE_ACTIVATED, &pb::CertificateActivated { certificate_serial })
}

fn folded(events: &[Envelope]) -> Cuts {
    let mut cuts = Cuts::new(Links::default(), Counter::default());
    events.iter().for_each(|event| cuts.apply(event, &mut Dirty::default()).unwrap());
    cuts
}

fn reason(cuts: &Cuts, n: u64, issued: i64) -> Option<Reason> {
    cuts.cut(device(n)).filter(|cut| cut.ends(at(issued))).map(Cut::reason)
}

#[test]
fn what_was_issued_until_a_revocation_ends_and_what_comes_after_it_counts() {
    let cuts = folded(&[revoked(1, 50)]);
    assert_eq!(reason(&cuts, 1, 50), Some(Reason::Revoked));
    assert_eq!(reason(&cuts, 1, 51), None);
    assert_eq!(reason(&cuts, 2, 50), None);
}

#[test]
fn an_old_certificate_is_good_until_a_newer_one_is_activated() {
    assert_eq!(reason(&folded(&[]), 1, 10), None);
    let cuts = folded(&[activated(1, 20)]);
    assert_eq!(reason(&cuts, 1, 19), Some(Reason::Superseded));
    assert_eq!(reason(&cuts, 1, 20), None);
}

#[test]
fn a_certificate_that_does_not_tell_when_it_was_issued_ends_with_any_cut() {
    assert_eq!(reason(&folded(&[activated(1, 20)]), 1, 0), Some(Reason::Superseded));
}

#[test]
fn each_reason_is_told() {
    use pb::RemovalReason::{Deleted, Merged, Offboarded};
    for (event, expected) in [
        (removed(1, 50, Deleted), Reason::Deleted),
        (removed(1, 50, Offboarded), Reason::Offboarded),
        (removed(1, 50, Merged), Reason::Merged),
        (resolved(1, 50, pb::CloneResolution::Reissue), Reason::CloneResolved),
    ] {
        assert_eq!(reason(&folded(&[event]), 1, 50), Some(expected));
    }
    assert_eq!(reason(&folded(&[resolved(1, 50, pb::CloneResolution::Dismiss)]), 1, 50), None);
    for reason in Reason::ALL {
        let code =
            if reason == Reason::Deleted { ErrorCode::DeviceDeleted } else { ErrorCode::CertificateRevoked };
        assert_eq!(reason.fault().code, code);
        assert_eq!(Cut::until(at(50), reason).reason(), reason);
    }
}

#[test]
fn cuts_add_up_in_whatever_order_and_however_often_they_come() {
    let mut events = vec![
        revoked(1, 50),
        removed(1, 50, pb::RemovalReason::Deleted),
        activated(1, 20),
        activated(2, 20),
        removed(2, 10, pb::RemovalReason::Merged),
    ];
    let rows = |cuts: &Cuts| {
        let mut rows = Vec::new();
        cuts.row_keys(&mut |key| rows.push((key.to_vec(), cuts.encode_row(key).unwrap())));
        rows
    };
    let one = rows(&folded(&events));
    events.extend(events.clone());
    events.reverse();
    assert_eq!(rows(&folded(&events)), one);
    assert_eq!(reason(&folded(&events), 1, 50), Some(Reason::Deleted));
    assert_eq!(reason(&folded(&events), 2, 15), Some(Reason::Superseded));
    let mut again = folded(&[]);
    one.iter().for_each(|(key, value)| again.load_row(key, value).unwrap());
    assert_eq!(rows(&again), one);
}

#[test]
fn a_damaged_event_is_told() {
    let mut damaged = removed(1, 50, pb::RemovalReason::Deleted);
    damaged.payload = vec![0xff].into();
    let mut cuts = Cuts::new(Links::default(), Counter::default());
    assert!(cuts.apply(&damaged, &mut Dirty::default()).is_err());
}

#[test]
fn a_million_devices_that_have_all_renewed_take_40_bytes_each_at_most() {
    const DEVICES: u64 = 1_000_000;
    let mut cuts = Cuts::new(Links::default(), Counter::default());
    for week in 1..3 {
        for n in 0..DEVICES {
            cuts.raise(device(n), Cut::before(at(week), Reason::Superseded));
        }
    }
    let each = cuts.bytes() as f64 / DEVICES as f64;
    println!("{each:.1} bytes a device");
    assert!(each <= 40.0, "{each} bytes a device");
    assert_eq!(reason(&cuts, DEVICES - 1, 1), Some(Reason::Superseded));
}
