//! Devices are decided about anew, exactly those that a change touches.

use std::sync::Arc;

use muster_enroll::domain::onboarding_token::Terms;
use muster_enroll::domain::scope::ScopeMode;
use muster_enroll::domain::tags::sorted;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_proto::enroll::v1::EnrollmentStatus;
use muster_types::Service;

use crate::desk::{Desk, TENANT, asked, blind, enroll, token, uses};

fn a_log() -> SharedLog {
    Arc::new(MemoryLog::default())
}

async fn head(desk: &Desk) -> u64 {
    desk.log.head(Service::Enroll).await.expect("a log")
}

#[tokio::test]
async fn a_scope_change_decides_about_the_devices_it_touches_and_no_other() {
    let desk = Desk::on(&a_log());
    let tagged = Terms { tags: sorted(["MDE-Management"]), ..uses(100) };
    let (tagged, plain) = (token(&desk.commands, 1, tagged).await, token(&desk.commands, 2, uses(100)).await);
    for n in 0..50 {
        enroll(&desk.commands, if n < 40 { tagged } else { plain }, n).await.expect("let in");
    }
    let other = Desk::on(&desk.log);
    desk.change_scope(|scope| scope.linux = ScopeMode::Tagged).await;
    other.settle().await;
    let before = head(&desk).await;
    // Two replicas at once do no harm.
    let (here, there) = (desk.redecisions(), other.redecisions());
    let passes = futures::join!(here.pass(TENANT, None), there.pass(TENANT, None));
    assert_eq!((passes.0.is_ok(), passes.1.is_ok()), (true, true));
    let events = desk.events(before).await;
    let of = |kind: &str| events.iter().filter(|event| *event == kind).count();
    assert_eq!((of("EnrollmentRefused"), of("ManagementAuthorityChanged"), events.len()), (10, 10, 20));

    desk.change_scope(|scope| scope.linux = ScopeMode::All).await;
    let before = head(&desk).await;
    here.pass(TENANT, None).await.expect("decided");
    let events = desk.events(before).await;
    assert_eq!(events.iter().filter(|event| *event == "EnrollmentSucceeded").count(), 10);
    here.pass(TENANT, None).await.expect("nothing to decide");
    assert_eq!(head(&desk).await, before + 20);
}

#[tokio::test]
async fn a_decision_by_settings_of_before_is_made_again() {
    let desk = Desk::on(&a_log());
    let late = blind(&desk.log);
    let token = token(&late, 1, uses(9)).await;
    // It has seen the settings, and does not see that they change.
    enroll(&late, token, 1).await.expect("let in");
    desk.tasks.spawn("redecisions", {
        desk.redecisions().run(TENANT, desk.kv.clone(), desk.tasks.stopping().clone())
    });
    desk.change_scope(|scope| scope.linux = ScopeMode::Off).await;
    let device = enroll(&late, token, 2).await.expect("let in by settings of before").device;
    desk.until(device, EnrollmentStatus::Refused).await;
}

#[tokio::test]
async fn seats_that_become_free_go_to_who_waits_and_too_many_are_taken_back() {
    let desk = Desk::on(&a_log());
    desk.change_scope(|scope| scope.entitlement.seats = Some(2)).await;
    let token = token(&desk.commands, 1, uses(9)).await;
    desk.tasks.spawn("redecisions", {
        desk.redecisions().run(TENANT, desk.kv.clone(), desk.tasks.stopping().clone())
    });
    let mut devices = Vec::new();
    for n in 0..3 {
        devices.push(enroll(&desk.commands, token, n).await.expect("noted").device);
    }
    desk.until(devices[2], EnrollmentStatus::Refused).await;
    desk.commands.delete(&asked(), (TENANT, devices[0])).await.expect("deleted");
    desk.until(devices[2], EnrollmentStatus::Pending).await;

    desk.change_scope(|scope| scope.entitlement.seats = Some(1)).await;
    desk.until(devices[2], EnrollmentStatus::Refused).await;
    desk.until(devices[1], EnrollmentStatus::Succeeded).await;
}
