//! Check-in and watch.

use std::time::Duration;

use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_policy::domain::check_in_settings::Values;
use muster_proto::convert::{moment, span};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::check_in_response::Outcome;
use muster_proto::policy::v1::device_policy_service_server::DevicePolicyService as _;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_runtime::Caller;
use muster_types::{Clock as _, TenantId, setting};
use prost::Message as _;
use tonic::Request;

use crate::house::{House, TENANT, admin, by, device, device_name, from_device, level};

/// Longest wait for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(5);

impl House {
    pub(crate) async fn check_in(&self, n: u8, applied_etag: &[u8]) -> Outcome {
        let request =
            pb::CheckInRequest { sequence: 1, applied_etag: applied_etag.into(), ..Default::default() };
        self.answer(n, request).await.outcome.unwrap()
    }

    pub(crate) async fn answer(&self, n: u8, request: pb::CheckInRequest) -> pb::CheckInResponse {
        self.grpc.check_in(from_device(n, request)).await.unwrap().into_inner()
    }

    pub(crate) fn opened(&self, outcome: Outcome) -> pb::PolicyDocument {
        let Outcome::Policy(signed) = outcome else { panic!("no policy: {outcome:?}") };
        muster_envelope::Document::open(&signed, self.believed()).unwrap();
        pb::PolicyDocument::decode(&signed.payload[..]).unwrap()
    }
}

#[tokio::test]
async fn a_device_gets_a_policy_signed_for_it_and_then_nothing_more() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    let document = house.opened(house.check_in(0, &[]).await);
    assert_eq!(document.tenant, TENANT.to_string());
    assert_eq!(document.device_id, device(0).as_bytes());
    assert_eq!(document.settings, [level("real_time")]);
    let (issue, expire) = (moment(document.issue_time.unwrap()), moment(document.expire_time.unwrap()));
    assert_eq!(expire.since(issue), Values::default().policy_life);
    assert_eq!(house.check_in(0, &document.etag).await, Outcome::NotModified(pb::NotModified {}));
    house.end().await;
}

#[tokio::test]
async fn versions_rise_with_every_change() {
    let house = House::with_devices().await;
    let before = house.opened(house.check_in(0, &[]).await);
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    let after = house.opened(house.check_in(0, &before.etag).await);
    assert!(after.version > before.version, "{} after {}", after.version, before.version);
    house.end().await;
}

#[tokio::test]
async fn a_device_with_nothing_assigned_gets_the_empty_policy() {
    let house = House::with_devices().await;
    let document = house.opened(house.check_in(2, &[]).await);
    assert!(document.settings.is_empty());
    assert_eq!(document.etag, setting::etag([]));
    assert_eq!(house.check_in(2, &document.etag).await, Outcome::NotModified(pb::NotModified {}));
    house.end().await;
}

#[tokio::test]
async fn a_policy_is_renewed_before_half_its_life_is_over() {
    let house = House::with_devices().await;
    let document = house.opened(house.check_in(2, &[]).await);
    house.clock.advance(Values::default().policy_life / 4);
    let renewed = house.opened(house.check_in(2, &document.etag).await);
    assert_eq!(renewed.etag, document.etag);
    assert!(moment(renewed.expire_time.unwrap()) > moment(document.expire_time.unwrap()));
    assert_eq!(house.check_in(2, &document.etag).await, Outcome::NotModified(pb::NotModified {}));
    house.end().await;
}

#[tokio::test]
async fn an_assignment_reaches_an_open_watch() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    let applied_etag = setting::etag([]).to_vec();
    let open = |n| from_device(n, pb::WatchRequest { applied_etag: applied_etag.clone() });
    let mut member = house.grpc.watch(open(0)).await.unwrap().into_inner();
    let outsider = house.grpc.watch(open(2)).await.unwrap().into_inner();
    house.assign(&policy, 0).await;
    let hint = tokio::time::timeout(SOON, member.next()).await.unwrap().unwrap().unwrap();
    let document = house.opened(house.check_in(0, &applied_etag).await);
    assert_eq!(hint.etag, document.etag);
    house.tasks.stop();
    for mut stream in [member, outsider] {
        let last = tokio::time::timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap();
        assert!(last.etag.is_empty() && last.reconnect_within.is_some(), "no more hints, and {last:?}");
        assert!(stream.next().await.is_none(), "streams end with the process");
    }
    house.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_within_66_minutes_and_says_so() {
    let house = House::with_devices().await;
    let open = from_device(0, pb::WatchRequest { applied_etag: setting::etag([]).to_vec() });
    let begun = tokio::time::Instant::now();
    let words: Vec<_> = house.grpc.watch(open).await.unwrap().into_inner().collect().await;
    let minutes = begun.elapsed().as_secs() / 60;
    assert!((27..=66).contains(&minutes), "{minutes}");
    let [Ok(last)] = &words[..] else { panic!("{words:?}") };
    assert!(last.reconnect_within.is_some());
    house.end().await;
}

#[tokio::test]
async fn an_answer_tells_the_time_and_when_to_come_again() {
    let house = House::with_devices().await;
    let settled = |sequence| pb::CheckInRequest {
        sequence,
        applied_etag: setting::etag([]).to_vec(),
        facts_digest: vec![2; 32],
        ..Default::default()
    };
    let pause = |answer: &pb::CheckInResponse| span(answer.next_check_in.unwrap()).as_secs() / 60;
    let new = house.answer(2, settled(1)).await;
    assert_eq!(moment(new.server_time.unwrap()), house.clock.now());
    assert!((2..=3).contains(&pause(&new)));
    let mut unwatched = 0;
    let mut watched = 0;
    for n in 0..3 {
        unwatched += pause(&house.answer(n, settled(100)).await);
        let watch = from_device(n, pb::WatchRequest { applied_etag: setting::etag([]).to_vec() });
        let open = house.grpc.watch(watch).await.unwrap();
        watched += pause(&house.answer(n, settled(101)).await);
        drop(open);
    }
    assert!(unwatched <= 3 * 99 && watched > 3 * 99, "{unwatched} {watched}");
    house.end().await;
}

#[tokio::test]
async fn a_gap_in_what_was_seen_asks_for_everything_and_a_new_server_for_nothing() {
    let house = House::with_devices().await;
    let said = |sequence| pb::CheckInRequest {
        sequence,
        session_id: vec![4; 16],
        boot_id: vec![5; 16],
        facts_digest: vec![2; 32],
        ..Default::default()
    };
    let everything = [pb::Need::FullFacts, pb::Need::FullReport].map(i32::from);
    assert!(house.answer(2, said(40)).await.needs.is_empty());
    assert!(house.answer(2, said(41)).await.needs.is_empty());
    assert!(house.answer(2, said(41)).await.needs.is_empty(), "the same call again");
    assert_eq!(house.answer(2, said(44)).await.needs, everything);
    assert!(house.answer(2, said(45)).await.needs.is_empty());
    let restarted = pb::CheckInRequest { session_id: vec![6; 16], ..said(1) };
    assert_eq!(house.answer(2, restarted).await.needs, everything);
    house.end().await;
}

#[tokio::test]
async fn a_machine_put_back_to_an_earlier_state_gets_its_policy_again_and_tells_everything() {
    let house = House::with_devices().await;
    let said = |sequence, applied_etag: &[u8], applied_version| pb::CheckInRequest {
        sequence,
        session_id: vec![4; 16],
        boot_id: vec![5; 16],
        facts_digest: vec![2; 32],
        applied_etag: applied_etag.to_vec(),
        applied_version,
        ..Default::default()
    };
    let everything = [pb::Need::FullFacts, pb::Need::FullReport].map(i32::from);
    let first = house.opened(house.answer(2, said(1, &[], 0)).await.outcome.unwrap());
    let (etag, version) = (&first.etag, first.version);
    let settled = house.answer(2, said(2, etag, version)).await;
    assert_eq!(settled.outcome, Some(Outcome::NotModified(pb::NotModified {})));

    let earlier = house.answer(2, said(3, etag, version - 1)).await;
    assert_eq!(earlier.needs, everything);
    house.opened(earlier.outcome.unwrap());
    assert!(house.answer(2, said(4, etag, version)).await.needs.is_empty());

    let back = house.answer(2, said(2, etag, version)).await;
    assert_eq!(back.needs, everything);
    house.opened(back.outcome.unwrap());
    house.end().await;
}

#[tokio::test]
async fn a_policy_whose_answer_was_lost_is_sent_again_until_it_is_in_force() {
    let house = House::with_devices().await;
    let said = |sequence, applied_etag: &[u8], applied_version| pb::CheckInRequest {
        sequence,
        applied_etag: applied_etag.to_vec(),
        facts_digest: vec![2; 32],
        applied_version,
        ..Default::default()
    };
    let first = house.opened(house.answer(2, said(1, &[], 0)).await.outcome.unwrap());
    house.answer(2, said(2, &first.etag, first.version)).await;
    house.create("Makes versions rise", vec![]).await;
    house.clock.advance(Values::default().policy_life / 4);
    let renewed = house.opened(house.answer(2, said(3, &first.etag, first.version)).await.outcome.unwrap());
    let again = house.answer(2, said(4, &first.etag, first.version)).await;
    assert!(again.needs.is_empty());
    assert_eq!(house.opened(again.outcome.unwrap()).version, renewed.version);
    let in_force = house.answer(2, said(5, &first.etag, renewed.version)).await;
    assert_eq!(in_force.outcome, Some(Outcome::NotModified(pb::NotModified {})));
    house.end().await;
}

#[tokio::test]
async fn a_check_in_with_nothing_new_touches_neither_log_nor_store() {
    let house = House::with_devices().await;
    let document = house.opened(house.check_in(2, &[]).await);
    // What the service does besides, from time to time, may fall into one round and not into all.
    let mut quiet = false;
    for round in 0..20 {
        let before = house.touched();
        for sequence in 2..100 {
            let said = pb::CheckInRequest {
                sequence: round * 100 + sequence,
                applied_etag: document.etag.clone(),
                applied_version: document.version,
                facts_digest: vec![2; 32],
                ..Default::default()
            };
            let answer = house.answer(2, said).await;
            assert_eq!(answer.outcome, Some(Outcome::NotModified(pb::NotModified {})));
        }
        quiet |= house.touched() == before;
    }
    assert!(quiet);
    house.end().await;
}

#[tokio::test]
async fn a_watch_opened_late_is_hinted_at_once() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    let open = from_device(0, pb::WatchRequest { applied_etag: setting::etag([]).to_vec() });
    let mut hints = house.grpc.watch(open).await.unwrap().into_inner();
    assert!(tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap().is_ok());
    house.end().await;
}

#[tokio::test]
async fn a_sync_hints_a_device_that_watches_and_says_whether_one_does() {
    let house = House::with_devices().await;
    let sync = || admin(pb::SyncDeviceRequest { device: device_name(0), ..Default::default() });
    assert!(!house.grpc.sync_device(sync()).await.unwrap().into_inner().connected);
    let open = from_device(0, pb::WatchRequest { applied_etag: setting::etag([]).to_vec() });
    let mut hints = house.grpc.watch(open).await.unwrap().into_inner();
    assert!(house.grpc.sync_device(sync()).await.unwrap().into_inner().connected);
    assert!(tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap().is_ok());
    house.end().await;
}

#[tokio::test(start_paused = true)]
async fn strangers_are_refused() {
    let house = House::with_devices().await;
    let check_in = pb::CheckInRequest::default;
    let code = |status: tonic::Status| Fault::from_status(&status).code;
    let nobody = house.grpc.check_in(Request::new(check_in())).await.unwrap_err();
    assert_eq!(code(nobody), ErrorCode::CertificateRequired);
    let tenant: TenantId = "other".parse().unwrap();
    let foreign = by(Caller::Device { tenant, device: device(0) }, check_in());
    assert_eq!(code(house.grpc.check_in(foreign).await.unwrap_err()), ErrorCode::PermissionDenied);
    assert_eq!(code(house.grpc.check_in(admin(check_in())).await.unwrap_err()), ErrorCode::PermissionDenied);
    let unknown = house.grpc.check_in(from_device(9, check_in())).await.unwrap_err();
    assert_eq!(code(unknown), ErrorCode::DeviceUnknown);
    house.end().await;
}
