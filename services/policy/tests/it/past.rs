//! Explanations of past moments, and moments that are none.

use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_proto::convert::{moment, timestamp};
use muster_proto::log::v1::{AsOf, as_of::At};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_types::{Clock as _, Timestamp};

use crate::house::*;

fn at(position: &str) -> AsOf {
    AsOf { at: Some(At::Position(position.to_owned())) }
}

fn when(time: Timestamp) -> AsOf {
    AsOf { at: Some(At::Time(timestamp(time))) }
}

async fn asked(house: &House, n: u8, as_of: AsOf) -> Result<pb::Explanation, Fault> {
    let request =
        pb::ExplainDeviceRequest { device: device_name(n), setting: String::new(), as_of: Some(as_of) };
    let reply = house.grpc.explain_device(admin(request)).await;
    reply.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
}

/// A moment of the story: where the log of the service was, and when.
struct Point {
    position: String,
    time: Timestamp,
}

/// A policy that is made, assigned and revised, a minute apart.
async fn story() -> (House, [Point; 3]) {
    let house = House::with_devices().await;
    let done = async |position: String| {
        house.seen(&position).await;
        let time = house.clock.now();
        house.clock.advance(Duration::from_secs(60));
        Point { position, time }
    };
    let created = house.grpc.create_policy(admin(create("Baseline", vec![level("real_time")]))).await;
    let created = created.expect("created");
    let first = done(position(&created)).await;
    let made = created.into_inner();
    let assign =
        pb::AssignPolicyRequest { policy: made.name.clone(), group: group_name(0), ..Default::default() };
    let assigned = house.grpc.assign_policy(admin(assign)).await.expect("assigned");
    let second = done(position(&assigned)).await;
    let policy = pb::Policy { settings: vec![level("passive")], ..made };
    let update =
        pb::UpdatePolicyRequest { policy: Some(policy), reason: "lunch".into(), ..Default::default() };
    let updated = house.grpc.update_policy(admin(update)).await.expect("updated");
    let third = done(position(&updated)).await;
    (house, [first, second, third])
}

/// The revision in force and its reason; none when nothing is set.
fn in_force(explanation: &pb::Explanation) -> Option<(u64, String)> {
    let winner = explanation.settings.first()?.winners.first()?;
    Some((winner.revision, winner.reason.clone()))
}

#[tokio::test]
async fn a_past_moment_is_explained_by_what_was_decided_until_then() {
    let (house, [first, second, third]) = story().await;
    for (Point { position, time }, expected) in
        [(first, None), (second, Some((1, String::new()))), (third, Some((2, "lunch".to_owned())))]
    {
        let by_position = asked(&house, 0, at(&position)).await.expect("explained");
        assert!(by_position.position.ends_with(&position), "{}", by_position.position);
        for explanation in [
            by_position,
            asked(&house, 0, when(time)).await.expect("explained"),
            asked(&house, 0, when(time.plus(Duration::from_secs(30)))).await.expect("explained"),
        ] {
            assert_eq!(in_force(&explanation), expected, "{position}");
            assert_eq!(explanation.as_of_time.map(moment), Some(time));
        }
    }
    // When it came to that is told by events that may come meanwhile.
    let timeless = |explanation: pb::Explanation| pb::Explanation {
        as_of_time: None,
        position: String::new(),
        resolved: None,
        delivered: None,
        ..explanation
    };
    let now = asked(&house, 0, AsOf::default()).await.expect("explained");
    let last = asked(&house, 0, when(house.clock.now())).await.expect("explained");
    assert_eq!(timeless(now), timeless(last));
    house.end().await;
}

#[tokio::test]
async fn what_is_no_moment_of_the_logs_is_refused_with_the_bounds() {
    let (house, _) = story().await;
    for (as_of, told) in [
        (when(Timestamp::from_micros(0)), "before the beginning"),
        (when(Timestamp::from_micros(i64::MIN)), "before the beginning"),
        (when(house.clock.now().plus(Duration::from_secs(1))), "in the future"),
        (at("policy:1000"), "policy:1000 is beyond the end of the log, which is policy:"),
        (at("enroll:99,policy:1"), "beyond the end of the log, which is enroll:3"),
        (at("yesterday"), "not a position token"),
        (at(""), "names no position"),
    ] {
        let fault = asked(&house, 0, as_of).await.expect_err("no moment of the logs");
        assert_eq!(fault.code, ErrorCode::AsOfInvalid);
        assert!(fault.message.contains(told), "{}", fault.message);
    }
    house.end().await;
}

#[tokio::test]
async fn a_device_that_was_not_there_yet_is_unknown_then() {
    let (house, [_, second, _]) = story().await;
    let early = at(&format!("enroll:1,identity:1,{}", second.position));
    let fault = asked(&house, 2, early.clone()).await.expect_err("not there");
    assert_eq!(fault.code, ErrorCode::DeviceUnknown);
    assert!(asked(&house, 0, early).await.is_ok());
    house.end().await;
}

#[tokio::test]
async fn an_explanation_says_when_the_device_came_to_what_it_has_and_when_that_was_sent() {
    let (house, _) = story().await;
    house.opened(house.check_in(0, &[]).await);
    let explained = async || {
        let explanation = asked(&house, 0, AsOf::default()).await.expect("explained");
        explanation.resolved.zip(explanation.delivered)
    };
    let told = async {
        loop {
            if let Some(steps) = explained().await {
                return steps;
            }
            tokio::task::yield_now().await;
        }
    };
    let (resolved, delivered) =
        tokio::time::timeout(Duration::from_secs(20), told).await.expect("told in time");
    assert!(resolved.position > 0 && delivered.position > 0 && resolved.time.is_some());
    house.end().await;
}
