//! The key that signs policies is replaced without any device refusing one.

use std::path::Path;

use muster_envelope::Trust;
use muster_pki::local::{OVERLAP, PolicyKeyRole, RotationError, RotationStage, RotationStep};
use muster_pki::{InitOptions, LocalTrust};
use muster_types::Timestamp;

use crate::fixture::{mk_trust, now};

fn restart(dir: &Path, now: Timestamp) -> LocalTrust {
    let trust = LocalTrust::init(dir, &InitOptions::local(now)).unwrap();
    trust.note_start(now).unwrap();
    trust
}

fn rotate(trust: &LocalTrust, step: RotationStep, at: Timestamp) -> Result<RotationStage, RotationError> {
    LocalTrust::rotate_policy_key(trust.dir(), step, false, at).map(|rotation| rotation.stage)
}

fn signs_with(trust: &LocalTrust) -> Vec<String> {
    trust.policy_signer().unwrap().sign("t", b"p").into_iter().map(|by| by.key_id).collect()
}

/// Whether devices that believe these keys take what is signed.
fn takes(device: &Trust, server: &LocalTrust) -> bool {
    signs_with(server).iter().any(|by| device.keys().any(|(id, _)| id == by))
}

#[test]
fn devices_of_the_stage_before_take_what_is_signed_in_the_next() {
    let (_dir, settled) = mk_trust();
    let start = now();
    let old = signs_with(&settled);
    assert_eq!(rotate(&settled, RotationStep::Prepare, start).unwrap(), RotationStage::Prepared);
    let prepared = restart(settled.dir(), start);
    let new = signs_with(&prepared)[1].clone();
    assert_eq!(signs_with(&prepared), [old[0].clone(), new.clone()], "the old one first");
    assert!(takes(settled.policy_trust(), &prepared));
    assert_eq!(*prepared.policy_trust(), prepared.policy_signer().unwrap().trust());

    assert!(matches!(
        rotate(&settled, RotationStep::Switch, start.plus(OVERLAP / 2)),
        Err(RotationError::TooEarly { .. })
    ));
    let later = start.plus(OVERLAP);
    assert_eq!(rotate(&settled, RotationStep::Switch, later).unwrap(), RotationStage::Switched);
    let switched = restart(settled.dir(), later);
    assert_eq!(signs_with(&switched), [new.clone(), old[0].clone()], "the new one first");
    assert_eq!(switched.policy_trust().digest(), prepared.policy_trust().digest());
    assert!(takes(settled.policy_trust(), &switched), "a device that was away all the time");

    let latest = later.plus(OVERLAP);
    assert_eq!(rotate(&settled, RotationStep::Retire, latest).unwrap(), RotationStage::Settled);
    let retired = restart(settled.dir(), latest);
    assert_eq!(signs_with(&retired), [new]);
    assert!(takes(prepared.policy_trust(), &retired));
    assert!(!takes(settled.policy_trust(), &retired), "the old key is gone");
    assert!(!takes(retired.policy_trust(), &settled), "and is believed no more");
    let left = std::fs::read_dir(settled.dir()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("policy-")).collect();
    left.sort();
    assert_eq!(left, ["policy-signing.key", "policy-signing.pub"]);
}

#[test]
fn steps_come_in_their_order_and_may_be_said_again() {
    let (_dir, trust) = mk_trust();
    let at = now();
    let forced = |step| LocalTrust::rotate_policy_key(trust.dir(), step, true, at);
    assert!(matches!(forced(RotationStep::Switch), Err(RotationError::NothingPrepared)));
    forced(RotationStep::Retire).unwrap();
    let prepared = forced(RotationStep::Prepare).unwrap();
    assert_eq!(forced(RotationStep::Prepare).unwrap(), prepared);
    assert!(matches!(forced(RotationStep::Retire), Err(RotationError::NotSwitched)));
    assert!(matches!(rotate(&trust, RotationStep::Switch, at), Err(RotationError::NotStarted)));
    let roles = |rotation: &muster_pki::local::PolicyKeyRotation| {
        rotation.keys.iter().map(|key| key.role).collect::<Vec<_>>()
    };
    assert_eq!(roles(&prepared), [PolicyKeyRole::Signing, PolicyKeyRole::Next]);
    let switched = forced(RotationStep::Switch).unwrap();
    assert_eq!(forced(RotationStep::Switch).unwrap(), switched);
    assert_eq!(roles(&switched), [PolicyKeyRole::Signing, PolicyKeyRole::Old]);
    assert_eq!(switched.keys[0].key_id, prepared.keys[1].key_id);
    assert!(matches!(forced(RotationStep::Prepare), Err(RotationError::NotRetired)));
    let settled = forced(RotationStep::Retire).unwrap();
    assert_eq!(LocalTrust::policy_key_rotation(trust.dir()).unwrap(), settled);
    // A second rotation begins like the first.
    assert_eq!(roles(&forced(RotationStep::Prepare).unwrap()), roles(&prepared));
}

#[test]
fn a_server_that_was_open_before_a_step_does_not_start_its_time() {
    let (_dir, before) = mk_trust();
    let at = now();
    rotate(&before, RotationStep::Prepare, at).unwrap();
    before.note_start(at).unwrap();
    assert_eq!(LocalTrust::policy_key_rotation(before.dir()).unwrap().started_at, None);
    restart(before.dir(), at);
    let rotation = LocalTrust::policy_key_rotation(before.dir()).unwrap();
    assert_eq!((rotation.started_at, rotation.next_step_at()), (Some(at), Some(at.plus(OVERLAP))));
}
