//! Policies and assignments.

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use tonic::Request;

use crate::house::{
    House, admin, code, create, device_name, from_device, group_name, level, parent, position, setting,
};

#[tokio::test]
async fn a_policy_lives_through_revisions_and_is_deleted() {
    let house = House::new();
    let made = house.create("Servers", vec![level("real_time")]).await;
    assert_eq!((made.revision, made.etag.as_str()), (1, "r1"));
    let policy = pb::Policy { settings: vec![level("passive")], ..made.clone() };
    let update = pb::UpdatePolicyRequest { policy: Some(policy), ..Default::default() };
    let revised = house.grpc.update_policy(admin(update.clone())).await.unwrap();
    assert_eq!(revised.get_ref().revision, 2);
    house.seen(&position(&revised)).await;
    let found = house.grpc.get_policy(admin(pb::GetPolicyRequest { name: made.name.clone() })).await.unwrap();
    assert_eq!(found.into_inner(), revised.into_inner());
    let stale = pb::Policy { settings: vec![level("on_demand")], ..made.clone() };
    let stale = pb::UpdatePolicyRequest { policy: Some(stale), ..Default::default() };
    assert_eq!(code(&house.grpc.update_policy(admin(stale)).await.unwrap_err()), ErrorCode::EtagMismatch);
    let delete = pb::DeletePolicyRequest { name: made.name.clone(), etag: "r2".into(), ..Default::default() };
    let deleted = house.grpc.delete_policy(admin(delete)).await.unwrap();
    house.seen(&position(&deleted)).await;
    let gone = house.grpc.get_policy(admin(pb::GetPolicyRequest { name: made.name })).await.unwrap_err();
    assert_eq!(code(&gone), ErrorCode::PolicyUnknown);
    house.end().await;
}

#[tokio::test]
async fn a_repeated_request_is_the_same_policy_and_a_taken_name_is_refused() {
    let house = House::new();
    let request_id = uuid::Uuid::from_u128(5).to_string();
    let request = pb::CreatePolicyRequest { request_id, ..create("Servers", vec![level("passive")]) };
    let first = house.grpc.create_policy(admin(request.clone())).await.unwrap();
    let again = house.grpc.create_policy(admin(request)).await.unwrap();
    assert_eq!(position(&again), "");
    assert_eq!(first.into_inner(), again.into_inner());
    let other = house.grpc.create_policy(admin(create("Servers", vec![]))).await.unwrap_err();
    assert_eq!(code(&other), ErrorCode::NameTaken);
    house.end().await;
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_told_at_once() {
    let house = House::new();
    let settings = vec![
        setting("no_such_setting", pb::setting_value::Kind::Boolean(true)),
        setting("scan_results_retention_days", pb::setting_value::Kind::Integer(100_000)),
    ];
    let refused = house.grpc.create_policy(admin(create("Servers", settings))).await.unwrap_err();
    let fault = Fault::from_status(&refused);
    assert_eq!(fault.code, ErrorCode::SettingUnknown);
    assert_eq!(fault.fields.len(), 2);
    house.end().await;
}

#[tokio::test]
async fn validate_only_changes_nothing() {
    let house = House::new();
    let request =
        pb::CreatePolicyRequest { validate_only: true, ..create("Servers", vec![level("passive")]) };
    let checked = house.grpc.create_policy(admin(request)).await.unwrap();
    assert_eq!((checked.get_ref().revision, position(&checked)), (1, String::new()));
    let list = pb::ListPoliciesRequest { parent: parent(), ..Default::default() };
    assert!(house.grpc.list_policies(admin(list)).await.unwrap().into_inner().policies.is_empty());
    house.end().await;
}

#[tokio::test]
async fn policies_are_listed_by_name_in_pages() {
    let house = House::new();
    for name in ["b", "a", "c"] {
        house.create(name, vec![]).await;
    }
    let page = |page_token| pb::ListPoliciesRequest {
        parent: parent(),
        page_size: 2,
        page_token,
        ..Default::default()
    };
    let first = house.grpc.list_policies(admin(page(String::new()))).await.unwrap().into_inner();
    let second = house.grpc.list_policies(admin(page(first.next_page_token))).await.unwrap().into_inner();
    let names: Vec<_> =
        first.policies.iter().chain(&second.policies).map(|policy| policy.display_name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(second.next_page_token, "");
    house.end().await;
}

#[tokio::test]
async fn an_assignment_needs_a_policy_and_a_group() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("passive")]).await.name;
    let to = |policy: &str, n| pb::AssignPolicyRequest {
        policy: policy.into(),
        group: group_name(n),
        ..Default::default()
    };
    let unknown = house.grpc.assign_policy(admin(to(&policy, 9))).await.unwrap_err();
    assert_eq!(code(&unknown), ErrorCode::GroupUnknown);
    let nothing = format!("{}/policies/{}", parent(), uuid::Uuid::nil());
    let unknown = house.grpc.assign_policy(admin(to(&nothing, 0))).await.unwrap_err();
    assert_eq!(code(&unknown), ErrorCode::PolicyUnknown);
    house.assign(&policy, 0).await;
    let again = house.grpc.assign_policy(admin(to(&policy, 0))).await.unwrap();
    assert_eq!(position(&again), "");
    let list = pb::ListAssignmentsRequest { policy: policy.clone() };
    let listed = house.grpc.list_assignments(admin(list)).await.unwrap().into_inner().assignments;
    assert_eq!(listed, [again.into_inner()]);
    house.end().await;
}

#[tokio::test]
async fn the_effective_policy_says_where_values_come_from_and_what_conflicts() {
    let house = House::with_devices().await;
    let days = |days| setting("scan_results_retention_days", pb::setting_value::Kind::Integer(days));
    for (name, days) in [("a", days(30)), ("b", days(40))] {
        let policy = house.create(name, vec![level("passive"), days]).await.name;
        house.assign(&policy, 0).await;
    }
    let get = |n| admin(pb::GetEffectivePolicyRequest { device: device_name(n) });
    let effective = house.grpc.get_effective_policy(get(0)).await.unwrap().into_inner();
    assert_eq!(effective.settings.len(), 1);
    assert_eq!(effective.settings[0].sources.len(), 2);
    assert_eq!(effective.settings[0].sources[0].groups, [group_name(0)]);
    assert_eq!(effective.withheld[0].reason(), pb::WithheldReason::Conflict);
    assert_eq!(effective.withheld[0].candidates.len(), 2);
    let outside = house.grpc.get_effective_policy(get(2)).await.unwrap().into_inner();
    assert!(outside.settings.is_empty());
    let unknown = house.grpc.get_effective_policy(get(9)).await.unwrap_err();
    assert_eq!(code(&unknown), ErrorCode::DeviceUnknown);
    house.end().await;
}

#[tokio::test]
async fn only_admins_write_policies() {
    let house = House::new();
    let nobody = house.grpc.create_policy(Request::new(create("x", vec![]))).await.unwrap_err();
    assert_eq!(code(&nobody), ErrorCode::AdminTokenInvalid);
    let device = house.grpc.create_policy(from_device(0, create("x", vec![]))).await.unwrap_err();
    assert_eq!(code(&device), ErrorCode::PermissionDenied);
    house.end().await;
}

#[tokio::test]
async fn bad_input_is_refused_with_the_field_that_is_wrong() {
    let house = House::new();
    let integer = |name| setting(name, pb::setting_value::Kind::Integer(3));
    let list = |count: usize| {
        let values = (0..count).map(|n| format!("threat-{n}")).collect();
        setting("allowed_threats", pb::setting_value::Kind::Strings(pb::StringList { values }))
    };
    let with = |settings| create("Servers", settings);
    let profile = |profile: &str| {
        let mut request = create("Servers", vec![]);
        request.policy.as_mut().unwrap().profile = profile.into();
        request
    };
    for (request, expected, field) in [
        (profile("no-such-profile"), ErrorCode::ProfileUnknown, "policy.profile"),
        (
            with(vec![level("passive"), level("real_time")]),
            ErrorCode::SettingDuplicate,
            "policy.settings[linux-antivirus/enforcement_level]",
        ),
        (
            with(vec![integer("enforcement_level")]),
            ErrorCode::SettingTypeMismatch,
            "policy.settings[linux-antivirus/enforcement_level]",
        ),
        (
            with(vec![list(100_000)]),
            ErrorCode::SettingOutOfRange,
            "policy.settings[linux-antivirus/allowed_threats]",
        ),
        (create("", vec![]), ErrorCode::ArgumentInvalid, "policy.display_name"),
        (
            pb::CreatePolicyRequest { reason: "x".repeat(1_025), ..create("Servers", vec![]) },
            ErrorCode::ArgumentInvalid,
            "reason",
        ),
        (
            pb::CreatePolicyRequest { request_id: "noise".into(), ..create("Servers", vec![]) },
            ErrorCode::ArgumentInvalid,
            "request_id",
        ),
        (
            pb::CreatePolicyRequest { policy: None, ..create("", vec![]) },
            ErrorCode::ArgumentInvalid,
            "policy",
        ),
    ] {
        let refused = house.grpc.create_policy(admin(request)).await.unwrap_err();
        let fault = Fault::from_status(&refused);
        assert_eq!((fault.code, fault.fields[0].field.as_str()), (expected, field), "{}", fault.message);
    }
    assert_eq!(house.decided().await, 0);
    house.end().await;
}

#[tokio::test]
async fn a_request_id_that_did_its_work_does_no_other() {
    let house = House::new();
    let request_id = uuid::Uuid::from_u128(5).to_string();
    let first = pb::CreatePolicyRequest { request_id: request_id.clone(), ..create("a", vec![]) };
    house.grpc.create_policy(admin(first)).await.unwrap();
    let other = pb::CreatePolicyRequest { request_id, ..create("b", vec![]) };
    let reused = house.grpc.create_policy(admin(other)).await.unwrap_err();
    assert_eq!(code(&reused), ErrorCode::RequestIdReused);
    house.end().await;
}

#[tokio::test]
async fn an_assignment_has_a_priority_and_keeps_a_filter_without_effect() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("passive")]).await.name;
    let plain = pb::AssignPolicyRequest { policy, group: group_name(0), ..Default::default() };
    let filter = "(device.deviceOwnership -eq \"Corporate\")".to_owned();
    let weighed = pb::AssignPolicyRequest { priority: Some(7), filter: filter.clone(), ..plain.clone() };
    let made = house.grpc.assign_policy(admin(weighed)).await.unwrap();
    house.seen(&position(&made)).await;
    let made = made.into_inner();
    assert_eq!((made.priority, &made.filter, made.warnings.len()), (Some(7), &filter, 1));
    let out = pb::AssignPolicyRequest { intent: pb::AssignmentIntent::Exclude.into(), ..plain.clone() };
    let made = house.grpc.assign_policy(admin(out)).await.unwrap();
    house.seen(&position(&made)).await;
    let list = pb::ListAssignmentsRequest { policy: plain.policy.clone() };
    let listed = house.grpc.list_assignments(admin(list)).await.unwrap().into_inner().assignments;
    assert_eq!(listed, [made.into_inner()], "the group is either in or out");
    assert_eq!((listed[0].priority, listed[0].warnings.len()), (None, 0));
    house.end().await;
}

#[tokio::test]
async fn a_policy_is_assigned_to_groups_of_devices_alone() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("passive")]).await.name;
    let good = pb::AssignPolicyRequest { policy, group: group_name(0), ..Default::default() };
    let to = |group: String| pb::AssignPolicyRequest { group, ..good.clone() };
    let exclude = pb::AssignmentIntent::Exclude.into();
    for (request, expected, field) in [
        (to(format!("{}/users/ada", parent())), ErrorCode::TargetUnsupported, "group"),
        (to(device_name(0)), ErrorCode::TargetUnsupported, "group"),
        (to(format!("{}/userGroups/admins", parent())), ErrorCode::TargetUnsupported, "group"),
        (to(String::new()), ErrorCode::ArgumentInvalid, "group"),
        (to("all devices".into()), ErrorCode::ArgumentInvalid, "group"),
        (to(format!("{}/groups/x", parent())), ErrorCode::ArgumentInvalid, "group"),
        (
            pb::AssignPolicyRequest { priority: Some(0), ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "priority",
        ),
        (
            pb::AssignPolicyRequest { priority: Some(1_001), ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "priority",
        ),
        (
            pb::AssignPolicyRequest { priority: Some(1), intent: exclude, ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "priority",
        ),
        (
            pb::AssignPolicyRequest { filter: "x".repeat(3_073), ..good.clone() },
            ErrorCode::ArgumentInvalid,
            "filter",
        ),
        (pb::AssignPolicyRequest { intent: 9, ..good.clone() }, ErrorCode::ArgumentInvalid, "intent"),
    ] {
        let refused = house.grpc.assign_policy(admin(request)).await.unwrap_err();
        let fault = Fault::from_status(&refused);
        assert_eq!((fault.code, fault.fields[0].field.as_str()), (expected, field), "{}", fault.message);
    }
    house.end().await;
}
