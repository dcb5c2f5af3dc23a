//! Many devices come at once: counts are exact, codes clear, and nothing is half done.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use muster_enroll::domain::enrollment::Outcome;
use muster_enroll::domain::{onboarding, onboarding_token};
use muster_eventlog::command::ExecuteError;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_types::EnrollmentCode;

use crate::desk::{Desk, blind, token, uses, wish};

const DEVICES: u32 = 10_000;
const USES: u32 = 4_000;
const SEATS: u32 = 100;

fn a_log() -> SharedLog {
    Arc::new(MemoryLog::default())
}

fn counts(events: Vec<String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    events.into_iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_devices_with_one_token_use_it_exactly_as_often_as_it_may() {
    let desk = Desk::on(&a_log());
    // Two replicas, which only meet at the log.
    let (here, there) = (desk.commands.clone(), Arc::new(blind(&desk.log)));
    let token = token(&here, 1, uses(USES)).await;
    let come = |n: u32| {
        let commands = if n.is_multiple_of(2) { here.clone() } else { there.clone() };
        async move { (n, commands.onboard(&wish(token, n)).await) }
    };
    let outcomes: Vec<_> =
        stream::iter(0..DEVICES).map(come).buffer_unordered(DEVICES as usize).collect().await;
    let mut let_in = Vec::new();
    for (n, outcome) in outcomes {
        match outcome {
            Ok(device) => {
                assert_eq!(device.outcome, Outcome::Pending);
                let_in.push(n);
            }
            Err(ExecuteError::Refused(onboarding::Error::Token(onboarding_token::Error::UsedUp {
                ..
            }))) => {}
            Err(other) => panic!("{other}: {other:?}"),
        }
    }
    assert_eq!(let_in.len(), USES as usize);
    let expected = [("DeviceOnboarded", USES), ("OnboardingTokenIssued", 1), ("OnboardingTokenUsed", USES)];
    let expected: BTreeMap<_, _> = expected.map(|(kind, count)| (kind.to_owned(), count)).into();
    assert_eq!(counts(desk.events(0).await), expected);

    for n in let_in.into_iter().take(100) {
        assert_eq!(there.onboard(&wish(token, n)).await.expect("let in again").position, None);
    }
    assert_eq!(counts(desk.events(0).await), expected, "a lost reply burns nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_are_given_out_exactly_whatever_the_token() {
    let desk = Desk::on(&a_log());
    desk.change_scope(|scope| scope.entitlement.seats = Some(SEATS)).await;
    let mut tokens = Vec::new();
    for n in 1..=4 {
        tokens.push(token(&desk.commands, n, uses(1_000)).await);
    }
    let come = |n: u32| {
        let (commands, token) = (desk.commands.clone(), tokens[n as usize % tokens.len()]);
        async move { commands.onboard(&wish(token, n)).await.expect("noted") }
    };
    let devices: Vec<_> = stream::iter(0..3 * SEATS).map(come).buffer_unordered(64).collect().await;
    let seated = devices.iter().filter(|device| device.outcome == Outcome::Pending).count();
    let refused = devices.iter().filter(|device| device.code == EnrollmentCode::SeatsExhausted).count();
    assert_eq!((seated, refused), (SEATS as usize, 2 * SEATS as usize));
    let counts = counts(desk.events(0).await);
    assert_eq!((counts["OnboardingTokenUsed"], counts["EnrollmentRefused"]), (SEATS, 2 * SEATS));
}
