//! Many changes at once.

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::change::Kind;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_proto::policy::v1::waiver::Target;
use muster_types::{PolicyId, RequestId, ResourceName};
use uuid::Uuid;

use crate::house::{House, TENANT, admin, code, create, group_name, level, parent, position, setting};

fn request_id(n: u128) -> String {
    Uuid::from_u128(n).to_string()
}

/// The name of the policy that a request makes.
fn policy(n: u128) -> String {
    let id: PolicyId = muster_policy::commands::policy_id(TENANT, RequestId::from_uuid(Uuid::from_u128(n)));
    ResourceName::Policy(TENANT, id).to_string()
}

fn creation(n: u128, name: &str, to: &str) -> Kind {
    Kind::CreatePolicy(pb::CreatePolicyRequest { request_id: request_id(n), ..create(name, vec![level(to)]) })
}

fn update(n: u128, name: &str, to: &str) -> Kind {
    let policy = pb::Policy {
        name: policy(n),
        display_name: name.into(),
        settings: vec![level(to)],
        ..Default::default()
    };
    Kind::UpdatePolicy(pb::UpdatePolicyRequest { policy: Some(policy), ..Default::default() })
}

fn deletion(n: u128) -> Kind {
    Kind::DeletePolicy(pb::DeletePolicyRequest { name: policy(n), ..Default::default() })
}

fn assignment(n: u128, group: u8) -> Kind {
    Kind::AssignPolicy(pb::AssignPolicyRequest {
        policy: policy(n),
        group: group_name(group),
        ..Default::default()
    })
}

fn set(n: u128, kinds: impl IntoIterator<Item = Kind>) -> pb::ApplyChangesRequest {
    pb::ApplyChangesRequest {
        parent: parent(),
        changes: kinds.into_iter().map(|kind| pb::Change { kind: Some(kind) }).collect(),
        request_id: request_id(n),
        reason: "spring cleaning".into(),
        ..Default::default()
    }
}

impl House {
    async fn apply(
        &self,
        request: pb::ApplyChangesRequest,
    ) -> Result<pb::ApplyChangesResponse, tonic::Status> {
        let applied = self.grpc.apply_changes(admin(request)).await?;
        self.seen(&position(&applied)).await;
        Ok(applied.into_inner())
    }

    async fn policies(&self) -> Vec<(String, u64)> {
        let list = pb::ListPoliciesRequest { parent: parent(), ..Default::default() };
        let listed = self.grpc.list_policies(admin(list)).await.unwrap().into_inner().policies;
        listed.into_iter().map(|policy| (policy.display_name, policy.revision)).collect()
    }
}

#[tokio::test]
async fn changes_that_need_each_other_are_made_together() {
    let house = House::with_devices().await;
    let waiver = pb::Waiver { policy: policy(1), ..house.waiver(Target::Group(group_name(0))) };
    let waiver = Kind::CreateWaiver(pb::CreateWaiverRequest {
        waiver: Some(waiver),
        request_id: request_id(3),
        ..Default::default()
    });
    let kinds = [
        creation(1, "a", "passive"),
        assignment(1, 0),
        update(1, "b", "real_time"),
        waiver,
        creation(2, "a", "passive"),
    ];
    let applied = house.apply(set(9, kinds)).await.unwrap();
    assert_eq!(applied.events, 5);
    assert_eq!(applied.names[0], policy(1));
    assert!(applied.names[1].starts_with(&policy(1)) && applied.names[3].contains("/waivers/"));
    assert_eq!(house.policies().await, [("a".into(), 1), ("b".into(), 2)]);
    assert_eq!(house.effective(0).await.withheld[0].reason(), pb::WithheldReason::Waived);
    let get = pb::GetPolicyRequest { name: policy(1) };
    let found = house.grpc.get_policy(admin(get)).await.unwrap().into_inner();
    assert_eq!((found.reason.as_str(), found.actor.as_str()), ("spring cleaning", "admin:ada"));
    house.end().await;
}

#[tokio::test]
async fn one_mistake_and_nothing_is_changed() {
    let house = House::with_devices().await;
    let before = house.decided().await;
    let bad = setting("no_such_setting", pb::setting_value::Kind::Boolean(true));
    let bad = pb::CreatePolicyRequest { request_id: request_id(2), ..create("b", vec![bad]) };
    for (kinds, expected, field) in [
        (
            vec![creation(1, "a", "passive"), Kind::CreatePolicy(bad)],
            ErrorCode::SettingUnknown,
            "changes[1].create_policy.policy.settings[linux-antivirus/no_such_setting]",
        ),
        (
            vec![creation(1, "a", "passive"), assignment(1, 9)],
            ErrorCode::GroupUnknown,
            "changes[1].assign_policy",
        ),
        (
            vec![creation(1, "a", "passive"), assignment(2, 0)],
            ErrorCode::PolicyUnknown,
            "changes[1].assign_policy",
        ),
        (
            vec![creation(1, "a", "passive"), deletion(1), assignment(1, 0)],
            ErrorCode::PolicyUnknown,
            "changes[2].assign_policy",
        ),
        (
            vec![creation(1, "a", "passive"), creation(2, "a", "passive")],
            ErrorCode::NameTaken,
            "changes[1].create_policy",
        ),
        (
            vec![Kind::CreatePolicy(create("a", vec![]))],
            ErrorCode::ArgumentInvalid,
            "changes[0].create_policy.request_id",
        ),
        (
            vec![Kind::AssignPolicy(pb::AssignPolicyRequest {
                policy: policy(1),
                group: format!("{}/users/ada", parent()),
                ..Default::default()
            })],
            ErrorCode::TargetUnsupported,
            "changes[0].assign_policy.group",
        ),
    ] {
        let refused = house.apply(set(9, kinds)).await.unwrap_err();
        let fault = Fault::from_status(&refused);
        assert_eq!((fault.code, fault.fields[0].field.as_str()), (expected, field), "{}", fault.message);
    }
    assert_eq!((house.decided().await, house.policies().await), (before, vec![]));
    house.end().await;
}

#[tokio::test]
async fn every_malformed_change_is_told() {
    let house = House::new();
    let nothing = pb::Change { kind: None };
    let request = pb::ApplyChangesRequest {
        changes: vec![nothing, pb::Change { kind: Some(assignment(1, 0)) }, nothing_named()],
        ..set(9, [])
    };
    let fault = Fault::from_status(&house.apply(request).await.unwrap_err());
    let fields: Vec<_> = fault.fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(fields, ["changes[0]", "changes[2].delete_policy.name"]);
    house.end().await;
}

fn nothing_named() -> pb::Change {
    pb::Change { kind: Some(Kind::DeletePolicy(pb::DeletePolicyRequest::default())) }
}

#[tokio::test]
async fn the_same_request_again_changes_nothing_whatever_came_after() {
    let house = House::with_devices().await;
    house.apply(set(8, [creation(1, "old", "passive"), creation(2, "kept", "passive")])).await.unwrap();
    let request = set(9, [deletion(1), update(2, "kept", "real_time"), assignment(2, 0)]);
    assert_eq!(house.apply(request.clone()).await.unwrap().events, 3);
    let decided = house.decided().await;
    assert_eq!(house.apply(request.clone()).await.unwrap().events, 0);
    house.apply(set(10, [update(2, "kept", "on_demand")])).await.unwrap();
    assert_eq!(house.apply(request).await.unwrap().events, 0);
    assert_eq!((house.decided().await, house.policies().await), (decided + 1, vec![("kept".into(), 3)]));
    house.end().await;
}

#[tokio::test]
async fn a_repeated_set_of_assignments_does_not_undo_what_came_after() {
    let house = House::with_devices().await;
    house.apply(set(8, [creation(1, "a", "passive")])).await.unwrap();
    house.apply(set(9, [assignment(1, 0)])).await.unwrap();
    let back = Kind::UnassignPolicy(pb::UnassignPolicyRequest {
        policy: policy(1),
        group: group_name(0),
        ..Default::default()
    });
    house.apply(set(10, [back])).await.unwrap();
    assert_eq!(house.apply(set(9, [assignment(1, 0)])).await.unwrap().events, 0);
    assert!(house.effective(0).await.settings.is_empty());
    house.end().await;
}

#[tokio::test]
async fn what_is_so_already_makes_no_event() {
    let house = House::with_devices().await;
    house.apply(set(8, [creation(1, "a", "passive"), assignment(1, 0)])).await.unwrap();
    let decided = house.decided().await;
    let same = [creation(1, "a", "passive"), update(1, "a", "passive"), assignment(1, 0)];
    assert_eq!(house.apply(set(9, same)).await.unwrap().events, 0);
    let dry = pb::ApplyChangesRequest { validate_only: true, ..set(9, [update(1, "a", "real_time")]) };
    let dry = house.apply(dry).await.unwrap();
    assert_eq!((dry.events, dry.names), (0, vec![policy(1)]));
    assert_eq!(house.decided().await, decided);
    house.end().await;
}

#[tokio::test]
async fn names_may_change_hands_within_a_set() {
    let house = House::new();
    house.apply(set(8, [creation(1, "a", "passive"), creation(2, "b", "real_time")])).await.unwrap();
    let swap = [update(1, "b", "passive"), update(2, "a", "real_time")];
    house.apply(set(9, swap)).await.unwrap();
    assert_eq!(house.policies().await, [("a".into(), 2), ("b".into(), 2)]);
    house.apply(set(10, [deletion(1), creation(3, "b", "passive")])).await.unwrap();
    let taken = Kind::UndeletePolicy(pb::UndeletePolicyRequest { name: policy(1), ..Default::default() });
    let refused = house.apply(set(11, [taken])).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::NameTaken);
    house.end().await;
}

#[tokio::test]
async fn a_set_of_changes_has_a_limit() {
    let house = House::new();
    let many = set(9, (0..501).map(|n| creation(n, &n.to_string(), "passive")));
    let fault = Fault::from_status(&house.apply(many).await.unwrap_err());
    assert_eq!((fault.code, fault.fields[0].field.as_str()), (ErrorCode::ArgumentInvalid, "changes"));
    let full = set(9, (0..500).map(|n| creation(n, &n.to_string(), "passive")));
    assert_eq!(house.apply(full).await.unwrap().events, 500);
    house.end().await;
}

#[tokio::test]
async fn of_two_sets_at_once_one_takes_the_name() {
    let house = House::new();
    let (one, other) = tokio::join!(
        house.apply(set(8, [creation(1, "a", "passive")])),
        house.apply(set(9, [creation(2, "a", "real_time")])),
    );
    let refused = one.err().xor(other.err()).unwrap();
    assert_eq!(code(&refused), ErrorCode::NameTaken);
    assert_eq!(house.policies().await, [("a".into(), 1)]);
    house.end().await;
}

#[tokio::test]
async fn a_set_decides_again_when_another_process_was_first() {
    let house = House::new();
    house.apply(set(8, [creation(1, "a", "passive"), creation(2, "b", "passive")])).await.unwrap();
    house.apply(set(9, [update(1, "a", "on_demand")])).await.unwrap();
    let other = House::on(house.log().clone(), house.clock.clone());
    other.settled().await;
    other.apply(set(10, [update(1, "a", "real_time"), deletion(2)])).await.unwrap();
    let etag = |etag: &str| {
        let Kind::UpdatePolicy(mut request) = update(1, "a", "passive") else { unreachable!() };
        request.policy.as_mut().unwrap().etag = etag.into();
        Kind::UpdatePolicy(request)
    };
    let stale = house.apply(set(11, [etag("r2")])).await.unwrap_err();
    assert_eq!(code(&stale), ErrorCode::EtagMismatch);
    house.apply(set(12, [etag("r3"), creation(3, "b", "passive")])).await.unwrap();
    assert_eq!(house.policies().await, [("a".into(), 4), ("b".into(), 1)]);
    house.tasks.shutdown(std::time::Duration::from_secs(5)).await.unwrap();
    other.end().await;
}

#[tokio::test]
async fn a_set_that_was_approved_is_made_once_and_its_repeat_is_not_judged_again() {
    let house = House::with_devices().await;
    let wanted = set(9, [creation(1, "a", "passive"), assignment(1, 0)]);
    let plan =
        pb::PlanChangesRequest { parent: parent(), changes: wanted.changes.clone(), ..Default::default() };
    let plan_digest = house.grpc.plan_changes(admin(plan)).await.unwrap().into_inner().digest;
    let approved = pb::ApplyChangesRequest { plan_digest, ..wanted };
    assert_eq!(house.apply(approved.clone()).await.unwrap().events, 2);
    assert_eq!(house.apply(approved.clone()).await.unwrap().events, 0);
    house.apply(set(10, [update(1, "a", "real_time")])).await.unwrap();
    assert_eq!(house.apply(approved).await.unwrap().events, 0);
    assert_eq!(house.policies().await, [("a".into(), 2)]);
    house.end().await;
}
