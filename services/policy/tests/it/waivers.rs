//! Waivers.

use std::time::Duration;

use muster_errors::ErrorCode;
use muster_proto::convert::timestamp;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::WaiverExpired;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_proto::policy::v1::waiver::Target;
use muster_types::{Aggregate, Clock as _, ResourceName};

use crate::house::{House, admin, code, device_name, group_name, level, parent, position};

const HOUR: Duration = Duration::from_secs(3_600);
const LEVEL: &str = "linux-antivirus/enforcement_level";

impl House {
    pub(crate) fn waiver(&self, target: Target) -> pb::Waiver {
        pb::Waiver {
            setting: LEVEL.into(),
            target: Some(target),
            reason: "migration".into(),
            approver: "Grace".into(),
            expire_time: Some(timestamp(self.clock.now().plus(HOUR))),
            ..Default::default()
        }
    }

    pub(crate) async fn grant(&self, waiver: pb::Waiver) -> Result<pb::Waiver, tonic::Status> {
        let request =
            pb::CreateWaiverRequest { parent: parent(), waiver: Some(waiver), ..Default::default() };
        let granted = self.grpc.create_waiver(admin(request)).await?;
        self.seen(&position(&granted)).await;
        Ok(granted.into_inner())
    }

    pub(crate) async fn effective(&self, n: u8) -> pb::EffectivePolicy {
        let request = pb::GetEffectivePolicyRequest { device: device_name(n) };
        self.grpc.get_effective_policy(admin(request)).await.unwrap().into_inner()
    }

    pub(crate) async fn get_waiver(&self, name: &str) -> pb::Waiver {
        let request = pb::GetWaiverRequest { name: name.into() };
        self.grpc.get_waiver(admin(request)).await.unwrap().into_inner()
    }
}

#[tokio::test]
async fn a_waiver_exempts_until_it_is_revoked() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("passive")]).await;
    house.assign(&policy.name, 0).await;
    let granted = house.grant(house.waiver(Target::Device(device_name(1)))).await.unwrap();
    assert_eq!((granted.state(), granted.actor.as_str()), (pb::WaiverState::Active, "admin:ada"));
    assert_eq!(house.get_waiver(&granted.name).await, granted);
    assert_eq!(house.effective(0).await.settings.len(), 1);
    let waived = house.effective(1).await;
    assert!(waived.settings.is_empty());
    assert_eq!(waived.withheld[0].reason(), pb::WithheldReason::Waived);
    let revoke = pb::RevokeWaiverRequest { name: granted.name.clone(), ..Default::default() };
    let revoked = house.grpc.revoke_waiver(admin(revoke.clone())).await.unwrap();
    house.seen(&position(&revoked)).await;
    assert_eq!(revoked.get_ref().state(), pb::WaiverState::Revoked);
    assert!(revoked.get_ref().end_time.is_some());
    assert_eq!(house.effective(1).await.settings.len(), 1);
    let again = house.grpc.revoke_waiver(admin(revoke)).await.unwrap();
    assert_eq!((position(&again).as_str(), again.into_inner()), ("", revoked.into_inner()));
    house.end().await;
}

#[tokio::test]
async fn a_repeated_grant_is_the_same_waiver() {
    let house = House::with_devices().await;
    let waiver = house.waiver(Target::Group(group_name(0)));
    let request = pb::CreateWaiverRequest {
        parent: parent(),
        waiver: Some(waiver.clone()),
        request_id: uuid::Uuid::from_u128(5).to_string(),
        validate_only: false,
    };
    let first = house.grpc.create_waiver(admin(request.clone())).await.unwrap();
    let again = house.grpc.create_waiver(admin(request.clone())).await.unwrap();
    assert_eq!((position(&again).as_str(), again.get_ref()), ("", first.get_ref()));
    let other = pb::Waiver { reason: "another".into(), ..waiver };
    let reused = pb::CreateWaiverRequest { waiver: Some(other), ..request };
    let refused = house.grpc.create_waiver(admin(reused)).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::RequestIdReused);
    house.end().await;
}

#[tokio::test]
async fn waivers_are_listed_by_the_time_they_were_granted() {
    let house = House::with_devices().await;
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(house.grant(house.waiver(Target::Group(group_name(0)))).await.unwrap().name);
        house.clock.advance(Duration::from_secs(1));
    }
    let revoke = pb::RevokeWaiverRequest { name: names[1].clone(), ..Default::default() };
    let revoked = house.grpc.revoke_waiver(admin(revoke)).await.unwrap();
    house.seen(&position(&revoked)).await;
    let list = |active_only, page_token: &str| pb::ListWaiversRequest {
        parent: parent(),
        active_only,
        page_size: 2,
        page_token: page_token.into(),
    };
    let first = house.grpc.list_waivers(admin(list(false, ""))).await.unwrap().into_inner();
    let rest =
        house.grpc.list_waivers(admin(list(false, &first.next_page_token))).await.unwrap().into_inner();
    let listed: Vec<_> =
        first.waivers.iter().chain(&rest.waivers).map(|waiver| waiver.name.clone()).collect();
    assert_eq!((listed, rest.next_page_token.as_str()), (names.clone(), ""));
    let active = house.grpc.list_waivers(admin(list(true, ""))).await.unwrap().into_inner();
    let active_names: Vec<_> = active.waivers.iter().map(|waiver| &waiver.name).collect();
    assert_eq!((active_names, active.next_page_token.as_str()), (vec![&names[0], &names[2]], ""));
    house.end().await;
}

#[tokio::test]
async fn a_waiver_that_cannot_be_is_refused_by_the_field_that_is_wrong() {
    let house = House::with_devices().await;
    let good = house.waiver(Target::Group(group_name(0)));
    let policy = format!("{}/policies/{}", parent(), uuid::Uuid::nil());
    let in_hours = |hours| Some(timestamp(house.clock.now().plus(hours * HOUR)));
    for (waiver, expected, field) in [
        (pb::Waiver { setting: String::new(), ..good.clone() }, ErrorCode::ArgumentInvalid, "waiver.setting"),
        (pb::Waiver { setting: "x".into(), ..good.clone() }, ErrorCode::ArgumentInvalid, "waiver.setting"),
        (pb::Waiver { target: None, ..good.clone() }, ErrorCode::ArgumentInvalid, "waiver.group"),
        (pb::Waiver { reason: String::new(), ..good.clone() }, ErrorCode::ArgumentInvalid, "waiver.reason"),
        (
            pb::Waiver { reason: "x".repeat(1_025), ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "waiver.reason",
        ),
        (
            pb::Waiver { approver: String::new(), ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "waiver.approver",
        ),
        (pb::Waiver { expire_time: None, ..good.clone() }, ErrorCode::ArgumentInvalid, "waiver.expire_time"),
        (
            pb::Waiver { expire_time: in_hours(0), ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "waiver.expire_time",
        ),
        (
            pb::Waiver { expire_time: in_hours(367 * 24), ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "waiver.expire_time",
        ),
        (pb::Waiver { setting: "linux-antivirus/no".into(), ..good.clone() }, ErrorCode::SettingUnknown, ""),
        (pb::Waiver { policy, ..good.clone() }, ErrorCode::PolicyUnknown, ""),
        (
            pb::Waiver { target: Some(Target::Group(group_name(9))), ..good.clone() },
            ErrorCode::GroupUnknown,
            "",
        ),
        (
            pb::Waiver { target: Some(Target::Device(device_name(9))), ..good.clone() },
            ErrorCode::DeviceUnknown,
            "",
        ),
    ] {
        let refused = house.grant(waiver).await.unwrap_err();
        let fault = muster_errors::Fault::from_status(&refused);
        let found = fault.fields.first().map_or("", |field| field.field.as_str());
        assert_eq!((fault.code, found), (expected, field), "{}", fault.message);
    }
    let nobody = format!("{}/waivers/{}", parent(), uuid::Uuid::nil());
    let get = pb::GetWaiverRequest { name: nobody.clone() };
    assert_eq!(code(&house.grpc.get_waiver(admin(get)).await.unwrap_err()), ErrorCode::WaiverUnknown);
    let revoke = pb::RevokeWaiverRequest { name: nobody, ..Default::default() };
    assert_eq!(code(&house.grpc.revoke_waiver(admin(revoke)).await.unwrap_err()), ErrorCode::WaiverUnknown);
    house.end().await;
}

/// Waits until a waiver that is due has ended, and checks that this is told once.
async fn ends(houses: &[&House], name: &str) {
    let Ok(ResourceName::Waiver(_, id)) = name.parse() else { panic!("{name} names no waiver") };
    let told = || houses[0].told::<WaiverExpired>(Aggregate::Waiver, id.uuid());
    let ended = async {
        while told().await.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    for house in houses {
        house.settled().await;
        let waiver = house.get_waiver(name).await;
        assert_eq!(waiver.state(), pb::WaiverState::Expired);
        assert!(waiver.end_time.unwrap().seconds >= waiver.expire_time.unwrap().seconds);
        assert_eq!(house.effective(0).await.settings.len(), 1);
    }
    assert_eq!(told().await.len(), 2, "granted, and ended once");
}

/// Something happens, so that services look at the clock without its timer.
async fn stir(house: &House) {
    house.create(&uuid::Uuid::new_v4().to_string(), vec![]).await;
}

async fn waived() -> (House, pb::Waiver) {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("passive")]).await;
    house.assign(&policy.name, 0).await;
    let waiver = house.grant(house.waiver(Target::Group(group_name(0)))).await.unwrap();
    (house, waiver)
}

#[tokio::test]
async fn a_waiver_ends_by_itself_at_its_time_and_not_before() {
    let (house, waiver) = waived().await;
    house.clock.advance(HOUR - Duration::from_secs(1));
    stir(&house).await;
    assert_eq!(house.get_waiver(&waiver.name).await.state(), pb::WaiverState::Active);
    assert!(house.effective(0).await.settings.is_empty());
    house.clock.advance(Duration::from_secs(1));
    stir(&house).await;
    ends(&[&house], &waiver.name).await;
    house.end().await;
}

#[tokio::test]
async fn a_waiver_that_ended_while_nothing_ran_ends_at_the_start() {
    let (house, waiver) = waived().await;
    let clock = house.clock.clone();
    let log = house.end_with_log().await;
    clock.advance(2 * HOUR);
    let house = House::on(log, clock);
    ends(&[&house], &waiver.name).await;
    house.end().await;
}

#[tokio::test]
async fn two_processes_end_a_waiver_once() {
    let (house, waiver) = waived().await;
    let other = House::on(house.log().clone(), house.clock.clone());
    other.settled().await;
    house.clock.advance(HOUR);
    stir(&house).await;
    ends(&[&house, &other], &waiver.name).await;
    house.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    other.end().await;
}
