//! Given check-ins, when another comes, then what it shows.

use muster_types::RequestId;
use uuid::Uuid;

use super::{BootId, Command, Event, Held, Run, Seen, Session, Verdict, observe};
use Verdict::{New, Repeated, Restarted, Restored, Same, Skipped, TakingTurns};

const fn boot(n: u8) -> BootId {
    [n; 16]
}

/// A check-in: boot, session, sequence.
fn run((n, session, sequence): (u8, u8, u64)) -> Run {
    let told = [n; 16];
    Run::new(if n == 0 { &[] } else { &told }, &[session; 16], sequence)
}

fn shown(check_ins: &[(u8, u8, u64)]) -> Vec<Verdict> {
    let mut seen = Seen::default();
    check_ins.iter().map(|check_in| observe(&mut seen, run(*check_in))).collect()
}

fn last(check_ins: &[(u8, u8, u64)]) -> Verdict {
    *shown(check_ins).last().unwrap()
}

#[test]
fn an_agent_that_counts_is_the_same() {
    assert_eq!(shown(&[(1, 1, 1), (1, 1, 2), (1, 1, 3)]), [New, Same, Same]);
}

#[test]
fn check_ins_that_were_not_seen_are_noticed_within_a_session_and_those_before_this_process_are_not() {
    assert_eq!(shown(&[(1, 1, 7), (1, 1, 9), (1, 1, 10)]), [New, Skipped, Same]);
    assert_eq!(shown(&[(0, 1, 7), (0, 1, 8), (0, 1, 10)]), [New, Same, Skipped]);
}

#[test]
fn a_check_in_said_again_is_no_step_back_of_the_machine() {
    assert_eq!(shown(&[(1, 1, 7), (1, 1, 7), (1, 1, 8)]), [New, Repeated, Same]);
}

#[test]
fn the_version_in_force_is_the_acknowledgement_and_one_that_goes_back_is_noticed() {
    let mut seen = Seen::default();
    assert_eq!(seen.holds(5), Held::Latest, "what this process did not sign is believed");
    seen.signed(9);
    assert_eq!((seen.holds(5), seen.holds(5)), (Held::Earlier, Held::Earlier), "not in force yet");
    assert_eq!(seen.holds(9), Held::Latest);
    assert_eq!(seen.holds(5), Held::WentBack);
    assert_eq!(seen.holds(0), Held::Latest, "nothing in force is nothing earlier");
    assert_eq!(seen.holds(12), Held::Latest, "another replica signed it");
    assert_eq!(seen.holds(9), Held::WentBack);
}

#[test]
fn versions_are_told_apart_when_their_lower_half_begins_anew() {
    let mut seen = Seen::default();
    seen.signed((1 << 32) - 1);
    assert_eq!(seen.holds((1 << 32) + 3), Held::Latest);
    assert_eq!(seen.holds((1 << 32) - 1), Held::WentBack);
}

#[test]
fn a_reboot_and_a_restart_of_the_agent_are_no_clones() {
    assert_eq!(shown(&[(1, 1, 9), (2, 2, 1), (2, 2, 2)]), [New, Restarted, Same]);
    assert_eq!(shown(&[(1, 1, 9), (1, 2, 1), (1, 2, 2)]), [New, Restarted, Same]);
}

#[test]
fn two_boots_that_take_turns_are_two_machines() {
    assert_eq!(shown(&[(1, 1, 5), (2, 2, 1), (1, 1, 6)]), [New, Restarted, TakingTurns(boot(2))]);
    assert_eq!(last(&[(1, 1, 5), (2, 2, 1), (1, 1, 6), (2, 2, 2)]), TakingTurns(boot(1)));
}

#[test]
fn three_that_take_turns_are_too() {
    assert_eq!(last(&[(1, 1, 5), (2, 2, 1), (3, 3, 1), (1, 1, 6)]), TakingTurns(boot(3)));
}

#[test]
fn a_snapshot_of_an_earlier_boot_is_a_restored_machine() {
    let story = [(1, 1, 8), (1, 1, 9), (2, 2, 1), (1, 1, 9), (1, 1, 10)];
    assert_eq!(shown(&story), [New, Same, Restarted, Restored, Same]);
}

#[test]
fn a_snapshot_of_the_same_boot_is_a_restored_machine() {
    assert_eq!(shown(&[(1, 1, 8), (1, 1, 9), (1, 1, 4), (1, 1, 5)]), [New, Same, Restored, Same]);
}

#[test]
fn a_restored_machine_whose_other_state_goes_on_is_two() {
    let story = [(1, 1, 9), (2, 2, 1), (1, 1, 7), (2, 2, 2)];
    assert_eq!(last(&story[..3]), Restored);
    assert_eq!(last(&story), TakingTurns(boot(1)));
}

#[test]
fn an_old_boot_with_a_restarted_agent_has_the_benefit_of_the_doubt_once() {
    let story = [(1, 1, 9), (2, 2, 1), (1, 3, 1), (2, 2, 2)];
    assert_eq!(last(&story[..3]), Restored);
    assert_eq!(last(&story), TakingTurns(boot(1)));
}

#[test]
fn a_session_that_steps_back_again_and_again_is_a_copied_memory() {
    let in_step = [(1, 1, 10), (1, 1, 11), (1, 1, 11), (1, 1, 12), (1, 1, 12), (1, 1, 13), (1, 1, 13)];
    assert_eq!(shown(&in_step), [New, Same, Repeated, Same, Repeated, Same, TakingTurns(boot(1))]);
    let apart = [(1, 1, 90), (1, 1, 50), (1, 1, 91), (1, 1, 51), (1, 1, 92), (1, 1, 52)];
    assert_eq!(last(&apart), TakingTurns(boot(1)));
}

#[test]
fn a_machine_that_is_restored_each_week_is_none() {
    let mut seen = Seen::default();
    for _ in 0..10 {
        for sequence in 1..20 {
            let verdict = observe(&mut seen, run((1, 1, sequence)));
            assert!(!matches!(verdict, TakingTurns(_)), "{sequence}");
        }
    }
}

#[test]
fn where_the_boot_is_not_told_nobody_is_suspected() {
    assert_eq!(shown(&[(0, 1, 5), (2, 2, 1), (0, 1, 6), (2, 2, 2)])[2..], [Restarted, Restored]);
    assert_eq!(last(&[(0, 1, 5), (0, 2, 1), (0, 1, 6)]), Restarted);
    let back_and_forth: Vec<_> = (0..20).map(|n| (0, 1, 10 + n % 2)).collect();
    assert!(!shown(&back_and_forth).iter().any(|verdict| matches!(verdict, TakingTurns(_))));
    assert_eq!(Run::new(&[1; 15], &[], 1).boot(), BootId::default());
}

#[test]
fn what_is_remembered_of_a_device_takes_64_bytes_at_most() {
    assert!(size_of::<Seen>() <= 64, "{}", size_of::<Seen>());
}

#[test]
fn a_suspicion_is_noted_once() {
    let request = |n| RequestId::from_uuid(Uuid::from_u128(n));
    let observe = |n| Command::Observe { boots: [boot(1), boot(2)], request: request(n) };
    let mut session = Session::default();
    let noted = Event::TurnsObserved { boots: [boot(1), boot(2)], request: request(1) };
    assert_eq!(session.decide(&observe(1)), Ok(vec![noted]));
    session.evolve(&noted);
    assert_eq!(session.decide(&observe(1)), Ok(vec![]));
    assert_eq!(session.decide(&observe(2)).unwrap().len(), 1);
}
