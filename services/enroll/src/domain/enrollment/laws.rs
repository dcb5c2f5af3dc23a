//! What holds of every history of a device, whatever is asked of it in whatever order.

use muster_types::{DeviceId, RequestId, Timestamp, TokenId};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Command, Enrollment, Event, ManagedBy, Outcome, Rules, Seat, TakenBack};
use crate::domain::facts::tests::{a_linux_device, a_windows_client};
use crate::domain::facts::{ConfigMgr, DeviceFacts, Mdm, MdmProvider};
use crate::domain::scope::{Scope, ScopeMode};
use crate::domain::tags::sorted;
use crate::domain::trouble::tests::a_wrong_clock;

#[derive(Debug, Clone)]
struct Step {
    command: Command,
    scope: Scope,
    seat: Seat,
}

fn facts() -> impl Strategy<Value = DeviceFacts> {
    let mdm = prop_oneof![Just(None), Just(Some(MdmProvider::None)), Just(Some(MdmProvider::Intune))];
    (any::<bool>(), mdm, any::<Option<bool>>()).prop_map(|(linux, mdm, config_mgr)| DeviceFacts {
        mdm: mdm.map(|provider| Mdm { provider: Some(provider), name: String::new() }),
        config_mgr: config_mgr
            .map(|manages| ConfigMgr { present: true, manages_endpoint_protection: manages }),
        ..if linux { a_linux_device() } else { a_windows_client() }
    })
}

fn command() -> impl Strategy<Value = Command> {
    let token = |n: u8| TokenId::from_uuid(Uuid::from_u128(n.into()));
    let tags = prop_oneof![Just(vec![]), Just(sorted(["MDE-Management"])), Just(sorted(["a", "b"]))];
    let troubles = prop_oneof![Just(vec![]), Just(vec![a_wrong_clock()])];
    let moment = (0..20_i64).prop_map(Timestamp::from_micros);
    prop_oneof![
        5 => (0..2_u8, tags.clone(), 0..2_u8, facts(), troubles.clone()).prop_map(
            move |(n, tags, key, facts, troubles)| Command::Onboard {
                token: token(n),
                tags,
                key_digest: [key; 32],
                facts,
                troubles,
            }
        ),
        4 => (facts(), troubles).prop_map(|(facts, troubles)| Command::ReportFacts { facts, troubles }),
        4 => (0..2_u8).prop_map(|key| Command::Succeed { key_digest: [key; 32], spiffe_id: "spiffe://m/x".into() }),
        4 => Just(Command::Redecide),
        2 => (tags.clone(), tags).prop_map(|(add, remove)| Command::Tag { add, remove }),
        1 => (moment.clone(), moment)
            .prop_map(|(expire_time, now)| Command::RequestOffboarding { expire_time, now }),
        1 => Just(Command::ConfirmOffboarding(TakenBack::default())),
        1 => Just(Command::Delete),
        1 => Just(Command::Merge { into: DeviceId::from_uuid(Uuid::from_u128(7)) }),
        2 => Just(Command::AllowReenrollment),
    ]
}

fn mode() -> impl Strategy<Value = ScopeMode> {
    prop_oneof![Just(ScopeMode::Off), Just(ScopeMode::Tagged), Just(ScopeMode::All)]
}

fn step() -> impl Strategy<Value = Step> {
    let seat = prop_oneof![3 => Just(Seat::Free), 1 => Just(Seat::Taken), 1 => Just(Seat::Withdrawn)];
    (command(), mode(), mode(), any::<bool>(), seat).prop_map(
        |(command, linux, windows_client, config_mgr_authority, seat)| Step {
            command,
            scope: Scope { linux, windows_client, config_mgr_authority, ..Scope::default() },
            seat,
        },
    )
}

fn rules(step: &Step, n: usize) -> Rules<'_> {
    let request = RequestId::from_uuid(Uuid::from_u128(n as u128 + 100));
    Rules { scope: &step.scope, scope_version: n as u64, seat: step.seat, request }
}

/// Runs a history and tells after each step what was before it, what happened, and what is after it.
fn run(steps: &[Step], mut each: impl FnMut(&Step, &Enrollment, &[Event], &Enrollment)) {
    let mut device = Enrollment::default();
    for (n, step) in steps.iter().enumerate() {
        let events = device.decide(&step.command, &rules(step, n)).unwrap_or_default();
        let after = device.after(&events);
        each(step, &device, &events, &after);
        device = after;
    }
}

fn authority(device: &Enrollment) -> ManagedBy {
    device.onboarded().map_or(ManagedBy::Nobody, |known| known.authority)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn one_authority_follows_the_other_without_a_gap(steps in proptest::collection::vec(step(), 0..40)) {
        let mut manages = ManagedBy::Nobody;
        run(&steps, |_, _, events, after| {
            for event in events {
                if let Event::AuthorityChanged { from, to, .. } = event {
                    assert_eq!(*from, manages, "{events:?}");
                    assert_ne!(from, to);
                    manages = *to;
                }
            }
            assert_eq!(authority(after), manages, "nobody takes over without an entry in the ledger");
        });
    }

    #[test]
    fn this_channel_manages_only_what_it_may_and_trusts(steps in proptest::collection::vec(step(), 0..40)) {
        run(&steps, |_, _, _, after| {
            let Some(known) = after.onboarded() else { return };
            if known.authority == ManagedBy::Muster {
                assert!(known.outcome.takes_seat() && known.spiffe_id.is_some(), "{known:?}");
            }
            if known.outcome == Outcome::Succeeded {
                assert_eq!(known.authority, ManagedBy::Muster);
            }
        });
    }

    #[test]
    fn a_repeat_changes_nothing(steps in proptest::collection::vec(step(), 0..40)) {
        run(&steps, |step, _, _, after| {
            let repeat = after.decide(&step.command, &rules(step, 1_000)).unwrap_or_default();
            // An order that has expired is given again.
            let again = matches!(step.command, Command::RequestOffboarding { .. });
            assert!(repeat.is_empty() || again, "{:?}: {repeat:?}", step.command);
        });
    }

    #[test]
    fn deciding_anew_decides_once(steps in proptest::collection::vec(step(), 0..40), scope in step()) {
        run(&steps, |_, _, _, after| {
            let rules = rules(&scope, 7);
            let Ok(events) = after.decide(&Command::Redecide, &rules) else { return };
            let settled = after.after(&events);
            assert_eq!(settled.decide(&Command::Redecide, &rules), Ok(vec![]));
        });
    }

    #[test]
    fn gone_stays_gone(steps in proptest::collection::vec(step(), 0..40)) {
        run(&steps, |_, before, events, after| {
            let Some(known) = before.onboarded().filter(|known| known.outcome.is_gone()) else { return };
            let comes_back = events.iter().any(|event| matches!(event, Event::Onboarded { .. }));
            assert!(!comes_back || known.reenrollment_allowed);
            if !comes_back {
                assert!(after.onboarded().is_some_and(|known| known.outcome.is_gone()));
            }
        });
    }

    #[test]
    fn a_token_is_used_once_for_a_key_and_not_by_whom_it_refuses(
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        run(&steps, |step, before, events, after| {
            let Command::Onboard { token, key_digest, .. } = &step.command else { return };
            if before.has_used(*token, key_digest) {
                assert!(events.is_empty() || after.has_used(*token, key_digest));
            } else if after.has_used(*token, key_digest) {
                assert!(after.takes_seat());
            }
        });
    }
}
