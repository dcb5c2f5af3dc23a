//! Admins define groups and name their members.

use muster_errors::ErrorCode;
use muster_proto::identity::v1 as pb;
use uuid::Uuid;

use crate::server::{PARENT, TestServer, code, device_name, fault};

fn create(display_name: &str) -> pb::CreateGroupRequest {
    let group = pb::Group {
        display_name: display_name.into(),
        kind: pb::GroupKind::Static.into(),
        ..Default::default()
    };
    pb::CreateGroupRequest { parent: PARENT.into(), group: Some(group), ..Default::default() }
}

fn modify(name: &str, add: &[String], remove: &[String]) -> pb::ModifyGroupMembersRequest {
    pb::ModifyGroupMembersRequest {
        name: name.into(),
        add_devices: add.to_vec(),
        remove_devices: remove.to_vec(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_group_is_defined_once_under_one_name() {
    let server = TestServer::start().await;
    let mut admin = server.admin().groups();
    let request = pb::CreateGroupRequest { request_id: Uuid::from_u128(1).to_string(), ..create("Web") };
    let check = pb::CreateGroupRequest { validate_only: true, ..request.clone() };
    let checked = admin.create_group(check).await.expect("checked").into_inner();
    assert!(server.events().await.is_empty());
    let made = admin.create_group(request.clone()).await.expect("defined").into_inner();
    let again = admin.create_group(request.clone()).await.expect("found").into_inner();
    assert_eq!((&made.name, &made.etag), (&checked.name, &checked.etag));
    assert_eq!(again, made);

    assert_eq!(code(admin.create_group(create("Web")).await), Some(ErrorCode::NameTaken));
    let other = pb::CreateGroupRequest { group: create("Other").group, ..request };
    assert_eq!(code(admin.create_group(other).await), Some(ErrorCode::RequestIdReused));
    assert_eq!(code(admin.create_group(create("")).await), Some(ErrorCode::ArgumentInvalid));
    assert_eq!(server.events().await, ["GroupDefined"]);
}

#[tokio::test]
async fn of_many_who_want_a_name_at_once_one_gets_it() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let calls = (0..8).map(|_| {
        let mut groups = admin.groups();
        async move { code(groups.create_group(create("Web")).await) }
    });
    let outcomes = futures::future::join_all(calls).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Some(ErrorCode::NameTaken)).count(), 7);
}

#[tokio::test]
async fn members_come_and_go_by_name() {
    let server = TestServer::start().await;
    let (a, b) = (server.trusted(1).await, server.trusted(2).await);
    let client = server.admin();
    let mut admin = client.groups();
    let group = admin.create_group(create("Web")).await.expect("defined").into_inner();

    let both = modify(&group.name, &[b.clone(), a.clone()], &[]);
    let full = admin.modify_group_members(both.clone()).await.expect("changed").into_inner();
    assert_eq!(full.member_count, 2);
    assert_ne!(full.etag, group.etag);
    let same = admin.modify_group_members(both).await.expect("nothing to do").into_inner();
    assert_eq!(same, full);

    let list = pb::ListGroupMembersRequest { name: group.name.clone(), page_size: 1, ..Default::default() };
    let first = admin.list_group_members(list.clone()).await.expect("a page").into_inner();
    let rest = pb::ListGroupMembersRequest { page_token: first.next_page_token, ..list };
    let rest = admin.list_group_members(rest).await.expect("a page").into_inner();
    assert_eq!(
        (first.devices, rest.devices, rest.next_page_token),
        (vec![a.clone()], vec![b], String::new())
    );

    let check = pb::ModifyGroupMembersRequest {
        validate_only: true,
        ..modify(&group.name, &[], std::slice::from_ref(&a))
    };
    assert_eq!(admin.modify_group_members(check).await.expect("checked").into_inner().member_count, 1);
    let left =
        admin.modify_group_members(modify(&group.name, &[], &[a])).await.expect("changed").into_inner();
    let shown = admin.get_group(pb::GetGroupRequest { name: group.name }).await.expect("shown").into_inner();
    assert_eq!(shown, left);
    assert_eq!(
        server.events().await[2..],
        ["GroupDefined", "GroupMembershipChanged", "GroupMembershipChanged"]
    );
}

#[tokio::test]
async fn a_stale_etag_is_refused() {
    let server = TestServer::start().await;
    let (a, b) = (server.trusted(1).await, server.trusted(2).await);
    let mut admin = server.admin().groups();
    let group = admin.create_group(create("Web")).await.expect("defined").into_inner();
    let based = |device: &String| pb::ModifyGroupMembersRequest {
        etag: group.etag.clone(),
        ..modify(&group.name, std::slice::from_ref(device), &[])
    };
    admin.modify_group_members(based(&a)).await.expect("still as read");
    assert_eq!(code(admin.modify_group_members(based(&b)).await), Some(ErrorCode::EtagMismatch));
}

#[tokio::test]
async fn an_unknown_device_is_named() {
    let server = TestServer::start().await;
    let known = server.trusted(1).await;
    let mut admin = server.admin().groups();
    let group = admin.create_group(create("Web")).await.expect("defined").into_inner();
    let request = modify(&group.name, &[known.clone(), device_name(9)], &[]);
    let refused = fault(admin.modify_group_members(request).await).expect("refused");
    assert_eq!(refused.code, ErrorCode::DeviceUnknown);
    assert_eq!(refused.metadata.get("device"), Some(&device_name(9)));
    let contradiction = modify(&group.name, std::slice::from_ref(&known), std::slice::from_ref(&known));
    assert_eq!(code(admin.modify_group_members(contradiction).await), Some(ErrorCode::ArgumentInvalid));
    let nowhere = modify(&format!("{PARENT}/groups/{}", Uuid::nil()), &[known], &[]);
    assert_eq!(code(admin.modify_group_members(nowhere).await), Some(ErrorCode::GroupUnknown));
}

#[tokio::test]
async fn groups_are_listed_by_name() {
    let server = TestServer::start().await;
    let mut admin = server.admin().groups();
    for name in ["Web", "Databases", "Laptops"] {
        admin.create_group(create(name)).await.expect("defined");
    }
    let list = pb::ListGroupsRequest { parent: PARENT.into(), page_size: 2, ..Default::default() };
    let first = admin.list_groups(list.clone()).await.expect("a page").into_inner();
    let rest = pb::ListGroupsRequest { page_token: first.next_page_token, ..list };
    let rest = admin.list_groups(rest).await.expect("a page").into_inner();
    let names: Vec<_> =
        first.groups.iter().chain(&rest.groups).map(|group| group.display_name.as_str()).collect();
    assert_eq!(names, ["Databases", "Laptops", "Web"]);
    assert_eq!(rest.next_page_token, "");

    let refused = server.anonymous().groups().create_group(create("X")).await;
    assert_eq!(code(refused), Some(ErrorCode::AdminTokenInvalid));
    let unknown = pb::GetGroupRequest { name: format!("{PARENT}/groups/{}", Uuid::nil()) };
    assert_eq!(code(admin.get_group(unknown).await), Some(ErrorCode::GroupUnknown));
}
