//! What devices say, interned.

use muster_eventlog::project::{Dirty, View as _};
use muster_types::{DeviceId, TenantId};
use prost::Message as _;

use super::history::{Happened, event, id, status};
use crate::domain::device_status::SettingState;
use crate::projection::standings::Standings;
use crate::store::Key;

fn said(device: u8, payload: Vec<u8>) -> muster_eventlog::Envelope {
    let settings = vec![];
    let mut envelope = event(&Happened::Said { device, etag: 1, settings, refused: false }, 0);
    envelope.payload = payload.into();
    envelope
}

fn keys(standings: &Standings, kind: u8) -> usize {
    let mut found = 0;
    standings.row_keys(&mut |key| found += usize::from(key[0] == kind));
    found
}

#[test]
fn what_many_say_is_kept_once_and_goes_with_the_last() {
    let mut standings = Standings::default();
    let same = [(1, SettingState::Succeeded, 0), (2, SettingState::Error, 1)];
    for device in 0..5 {
        let payload = status(1, &same, false, "no such path").encode_to_vec();
        standings.apply(&said(device, payload), &mut Dirty::default()).unwrap();
    }
    assert_eq!((keys(&standings, 1), keys(&standings, 2), keys(&standings, 8)), (2, 1, 5));
    let other = status(1, &[], false, "").encode_to_vec();
    for device in 0..5 {
        standings.apply(&said(device, other.clone()), &mut Dirty::default()).unwrap();
    }
    assert_eq!((keys(&standings, 1), keys(&standings, 2)), (0, 1));
}

#[test]
fn fields_that_nobody_knows_are_kept() {
    let mut payload = status(1, &[(1, SettingState::Succeeded, 0)], false, "").encode_to_vec();
    // Field 99 of the outer message, a number.
    payload.extend([0x98, 0x06, 0x05]);
    let mut standings = Standings::default();
    standings.apply(&said(0, payload), &mut Dirty::default()).unwrap();
    let device = DeviceId::from_uuid(id(1, 0));
    let row = standings.encode_row(&Key::Said(device).to_bytes()).unwrap();
    let row = crate::store::SaidRow::decode(&row[..]).unwrap();
    assert_eq!(row.unknown, [0x98, 0x06, 0x05]);
    assert_eq!(standings.device(TenantId::DEFAULT, device, None).unwrap().settings.len(), 1);
}

#[test]
fn malformed_statuses_stop_the_fold_and_leave_nothing() {
    let whole = status(1, &[(1, SettingState::Succeeded, 0)], false, "").encode_to_vec();
    let stateless = status(1, &[(1, SettingState::Succeeded, 0)], false, "");
    let mut stateless = stateless.status.unwrap();
    stateless.settings[0].state = 99;
    let stateless = muster_proto::report::v1::StatusReported { status: Some(stateless) };
    for bad in [vec![], whole[..whole.len() - 1].to_vec(), vec![0x0a, 0x00], stateless.encode_to_vec()] {
        let mut standings = Standings::default();
        assert!(standings.apply(&said(0, bad), &mut Dirty::default()).is_err());
        assert_eq!(keys(&standings, 1) + keys(&standings, 2) + keys(&standings, 8), 0);
    }
}
