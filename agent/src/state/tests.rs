use std::os::unix::fs::PermissionsExt as _;

use muster_proto::enroll::v1::OnboardResponse;
use muster_proto::identity::v1::RenewCertificateResponse;

use super::*;

fn certificate_for(key: &[u8]) -> Vec<u8> {
    let key = rcgen::KeyPair::try_from(key).unwrap();
    rcgen::CertificateParams::default().self_signed(&key).unwrap().der().to_vec()
}

fn onboarded(state: &StateDir) -> OnboardResponse {
    let response = OnboardResponse {
        device: "tenants/default/devices/x".into(),
        certificate_chain_der: vec![certificate_for(&state.key().unwrap())],
        ..OnboardResponse::default()
    };
    state.keep_enrollment(&response).unwrap();
    response
}

fn renewed(state: &StateDir) -> RenewCertificateResponse {
    let response = RenewCertificateResponse {
        certificate_chain_der: vec![certificate_for(&state.next_key().unwrap())],
        ..RenewCertificateResponse::default()
    };
    state.keep_next(&response).unwrap();
    response
}

fn state() -> (tempfile::TempDir, StateDir) {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    (dir, state)
}

#[test]
fn the_key_is_made_once_and_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(&dir.path().join("state")).unwrap();
    let key = state.key().unwrap();
    assert_eq!(state.key().unwrap(), key);
    let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/key.pkcs8")), (0o700, 0o600));
    let parse = |der: &[u8]| muster_pki::csr::parse(der).unwrap();
    let first = parse(&state.certificate_request().unwrap());
    let again = parse(&state.certificate_request().unwrap());
    assert_eq!(first.spki_der(), again.spki_der());
    let next = parse(&state.next_certificate_request().unwrap());
    assert_ne!(first.spki_der(), next.spki_der(), "each certificate has a key of its own");
    assert_eq!(next.spki_der(), parse(&state.next_certificate_request().unwrap()).spki_der());
}

#[test]
fn a_folder_of_a_newer_version_or_in_use_is_refused_and_an_older_one_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let open = || StateDir::open(dir.path()).map(drop).map_err(|error| error.code);
    let held = StateDir::open(dir.path()).unwrap();
    assert_eq!(open(), Err(ErrorCode::DataDirInUse));
    drop(held);
    let format = dir.path().join("format");
    fs::write(&format, "1\n").unwrap();
    assert_eq!(open(), Ok(()));
    assert_eq!(fs::read_to_string(&format).unwrap(), "2\n", "an older agent would overlook what is new");
    fs::write(&format, "3\n").unwrap();
    assert_eq!(open(), Err(ErrorCode::DataDirTooNew));
}

#[test]
fn what_is_kept_comes_back() {
    let (_dir, state) = state();
    assert_eq!((state.take_up().unwrap(), state.policy().unwrap()), (None, None));
    let response = onboarded(&state);
    let applied = Some((vec![1; 32], 3, Timestamp::from_micros(5)));
    let progress = Progress { applied, ..Progress::default() };
    let standing = Standing::StoodDown { code: "MANAGED_BY_MDM".into() };
    state.keep_policy(b"signed").unwrap();
    state.keep_progress(&progress).unwrap();
    state.keep_standing(&standing).unwrap();
    let key = state.key().unwrap();
    assert_eq!(state.take_up().unwrap(), Some(Kept { response, key, next: None }));
    assert_eq!(state.policy().unwrap().as_deref(), Some(&b"signed"[..]));
    assert_eq!((state.progress().unwrap(), state.standing().unwrap()), (progress, standing));
}

#[test]
fn progress_of_an_older_agent_is_read_and_a_damaged_standing_enforces_nothing() {
    let (dir, state) = state();
    let old = r#"{"applied":null,"facts_digest":[1],"facts":[],"report_digest":[]}"#;
    fs::write(dir.path().join("progress.json"), old).unwrap();
    assert_eq!(state.progress().unwrap().facts_digest, [1]);
    fs::write(dir.path().join("standing.json"), "{").unwrap();
    assert!(matches!(state.standing().unwrap(), Standing::StoodDown { .. }));
}

#[test]
fn the_next_certificate_takes_the_place_of_the_present_one_whenever_it_crashes() {
    // How far the switch came: the certificate written; the key moved too; all done.
    for steps in 0..3 {
        let (dir, state) = state();
        let old = onboarded(&state);
        let next = renewed(&state);
        let (key, next_key) = (state.key().unwrap(), state.next_key().unwrap());
        let before = state.take_up().unwrap().unwrap();
        assert_eq!(before.next, Some(Next { response: next.clone(), key: next_key.clone() }));
        assert_eq!((&before.response, &before.key), (&old, &key), "the old one is in use until the switch");
        let new = OnboardResponse { certificate_chain_der: next.certificate_chain_der, ..old };
        let place = |name| dir.path().join(name);
        match steps {
            0 => fs::write(place("enrollment.pb"), prost::Message::encode_to_vec(&new)).unwrap(),
            1 => {
                fs::write(place("enrollment.pb"), prost::Message::encode_to_vec(&new)).unwrap();
                fs::rename(place("next-key.pkcs8"), place("key.pkcs8")).unwrap();
            }
            _ => state.switch(&new).unwrap(),
        }
        for _ in 0..2 {
            let after = state.take_up().unwrap().unwrap();
            assert_eq!(after, Kept { response: new.clone(), key: next_key.clone(), next: None }, "{steps}");
        }
        assert!(!place("next.pb").exists() && !place("next-key.pkcs8").exists(), "{steps}");
    }
}

#[test]
fn a_certificate_without_its_key_is_no_identity() {
    let (_dir, state) = state();
    onboarded(&state);
    state.drop_identity().unwrap();
    assert_eq!(state.take_up().unwrap(), None);
    let again = onboarded(&state);
    assert_eq!(state.take_up().unwrap().map(|kept| kept.response), Some(again));
}

#[test]
fn a_damaged_next_certificate_is_got_again_with_the_same_key() {
    let (dir, state) = state();
    onboarded(&state);
    renewed(&state);
    let key = state.next_key().unwrap();
    fs::write(dir.path().join("next.pb"), [0xff; 9]).unwrap();
    assert_eq!(state.take_up().unwrap().unwrap().next, None);
    assert_eq!(state.next_key().unwrap(), key);
}

#[test]
fn an_offboarded_device_remembers_only_that_and_onboarding_ends_it() {
    let (dir, state) = state();
    onboarded(&state);
    renewed(&state);
    fs::write(dir.path().join("owned-mdatp.json"), "{}").unwrap();
    let offboarded = Offboarded { device: None, at: Timestamp::from_micros(7), token_digest: Some([1; 32]) };
    state.retire(&offboarded, false).unwrap();
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["format", "lock", "offboarded.json"]);
    assert_eq!(state.offboarded().unwrap(), Some(offboarded));
    // A crash before everything was forgotten.
    fs::write(dir.path().join("enrollment.pb"), b"").unwrap();
    assert_eq!(state.take_up().unwrap(), None);
    assert!(!dir.path().join("enrollment.pb").exists());
    onboarded(&state);
    assert_eq!(state.offboarded().unwrap(), None);
    assert!(state.take_up().unwrap().is_some());
}
