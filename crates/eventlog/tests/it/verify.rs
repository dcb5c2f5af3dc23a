//! Views compared with what the log gives, as callers see it.

use std::sync::Arc;

use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::kv::{Kv, MemoryKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::{self, Difference, How, NAMED_MAX, Views};
use muster_eventlog::tail::TailService;
use muster_proto::log::v1::log_service_server::LogService as _;
use muster_proto::log::v1::{VerifyViewsRequest, VerifyViewsResponse};
use muster_types::{Positions, Service};
use tonic::{Extensions, Request, Status};

use crate::toy::{POISON, Running, Toy, add, add_many};

type Allowed = fn(&Extensions) -> Result<(), Fault>;

const E: Service = Service::Enroll;

fn log() -> SharedLog {
    Arc::new(MemoryLog::default())
}

fn kv() -> Arc<dyn Kv> {
    Arc::new(MemoryKv::default())
}

/// A server whose only view is `live`, as if it were folded from `log`.
fn served(log: &SharedLog, live: &Running<1>) -> TailService<Allowed> {
    let views = Views::default();
    views.register(log.clone(), live.toy.clone(), Toy::default);
    let allowed: Allowed = |_| Ok(());
    TailService::new(log.clone(), [E], allowed).with_views(vec![(E, views)])
}

fn of_enroll() -> Request<VerifyViewsRequest> {
    Request::new(VerifyViewsRequest { service: "enroll".to_owned() })
}

async fn told(server: &TailService<Allowed>) -> Vec<Result<VerifyViewsResponse, Status>> {
    server.verify_views(of_enroll()).await.expect("accepted").into_inner().collect().await
}

#[tokio::test]
async fn a_sound_view_is_named_and_then_found_to_be_what_the_log_gives() {
    let log = log();
    add_many(&*log, E, 2_500, 0, 3).await;
    let running = Running::<1>::start(&log, &kv());
    running.caught_up(&*log).await;
    let told: Vec<_> = told(&served(&log, &running)).await.into_iter().map(Result::unwrap).collect();
    let [named, done] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&*named.view, named.events, &named.verified), ("toy", 0, &None));
    let verified = done.verified.as_ref().expect("the last word");
    assert_eq!((done.events, &*verified.position), (2_500, "enroll:2500"));
    assert_eq!((verified.rows, verified.rebuilt_rows), (2_500, 2_500));
    assert_eq!(verified.digest, verified.rebuilt_digest);
    assert_eq!((verified.differing_rows, verified.differing.len()), (0, 0));
}

#[tokio::test]
async fn rows_that_the_log_does_not_give_are_counted_and_named() {
    let (log, other) = (log(), log());
    for n in 0..40 {
        add(&*log, E, n, if n == 4 { 9 } else { 3 }).await;
        add(&*other, E, if n == 7 { 77 } else { n }, 3).await;
    }
    let running = Running::<1>::start(&other, &kv());
    running.caught_up(&*other).await;
    let verified = project::verify(&log, &running.toy, Toy::default(), &|_| ()).await.expect("readable");
    assert!(!verified.holds());
    let row = |n: u16, how| {
        let id = crate::toy::stream(E, n).id;
        Difference { key: [id.as_bytes().as_slice(), &[E as u8]].concat(), how }
    };
    assert_eq!(verified.differing, 3);
    assert_eq!(verified.named, [row(4, How::Other), row(7, How::Missing), row(77, How::Extra)]);
    let told = told(&served(&log, &running)).await;
    let last = told.last().expect("a verdict").as_ref().expect("readable").verified.clone().expect("done");
    assert_ne!(last.digest, last.rebuilt_digest);
    assert_eq!((last.differing_rows, last.differing.len()), (3, 3));
}

#[tokio::test]
async fn no_more_than_ten_rows_are_named() {
    let (log, other) = (log(), log());
    add_many(&*log, E, 50, 0, 3).await;
    add_many(&*other, E, 50, 0, 4).await;
    let running = Running::<1>::start(&other, &kv());
    running.caught_up(&*other).await;
    let verified = project::verify(&log, &running.toy, Toy::default(), &|_| ()).await.expect("readable");
    assert_eq!((verified.differing, verified.named.len()), (50, NAMED_MAX));
}

#[tokio::test]
async fn a_view_that_moves_on_meanwhile_is_compared_at_one_position() {
    let log = log();
    add_many(&*log, E, 3_000, 0, 3).await;
    let running = Running::<1>::start(&log, &kv());
    running.caught_up(&*log).await;
    let writing = async {
        for payload in 1..=200 {
            add(&*log, E, 5, payload).await;
            tokio::task::yield_now().await;
        }
    };
    let verifying = async {
        let mut positions = Vec::new();
        for _ in 0..5 {
            let verified = project::verify(&log, &running.toy, Toy::default(), &|_| ()).await;
            let verified = verified.expect("readable");
            assert!(verified.holds(), "{verified:?}");
            positions.push(verified.positions.get(E));
        }
        positions
    };
    let ((), positions) = futures::join!(writing, verifying);
    assert!(positions.is_sorted() && positions[0] >= 3_000, "{positions:?}");
}

#[tokio::test]
async fn one_verification_runs_at_a_time_and_ends_with_its_caller() {
    let log = log();
    let running = Running::<1>::start(&log, &kv());
    running.caught_up(&*log).await;
    let server = served(&log, &running);
    let first = server.verify_views(of_enroll()).await.expect("accepted");
    let status = server.verify_views(of_enroll()).await.err().expect("refused");
    assert_eq!(Fault::from_status(&status).code, ErrorCode::VerifyBusy);
    drop(first);
    server.verify_views(of_enroll()).await.expect("accepted again");
}

#[tokio::test]
async fn a_view_that_stopped_is_told_as_a_damaged_log() {
    let log = log();
    add(&*log, E, 1, 5).await;
    add(&*log, E, 1, POISON).await;
    let running = Running::<1>::start(&log, &kv());
    running.until(|progress| progress.stopped.is_some()).await;
    let told = told(&served(&log, &running)).await;
    let status = told.last().expect("a verdict").as_ref().expect_err("it stopped");
    let fault = Fault::from_status(status);
    assert_eq!(fault.code, ErrorCode::LogCorrupt);
    assert!(fault.message.contains(&Positions::of(E, 1).to_string()), "{}", fault.message);
}

#[test]
fn rows_are_named_by_text_by_uuid_or_by_digits() {
    let said = |key: &[u8], how| Difference { key: key.to_vec(), how }.to_string();
    assert_eq!(said(b"default", How::Missing), "default is missing");
    assert_eq!(said(&[2, 0, 255], How::Extra), "0200ff is not in the log");
    let mut key = [7; 17];
    key[0] = 2;
    assert_eq!(said(&key, How::Other), "02:07070707-0707-0707-0707-070707070707 has another value");
}
