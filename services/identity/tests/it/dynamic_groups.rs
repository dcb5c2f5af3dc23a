//! Rules say who is in a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_errors::ErrorCode;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::{Dirty, View as _};
use muster_eventlog::{Delivery, Envelope};
use muster_identity::commands::{Answer, Commands};
use muster_identity::domain::group::Verdict;
use muster_identity::projection::Membership;
use muster_identity::wire::{bitmap, kind};
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::group_service_client::GroupServiceClient;
use muster_types::{
    Aggregate, DeviceId, GroupId, Positions, ResourceName, Service, StreamId, SystemClock, TenantId,
};
use prost::Message as _;
use roaring::RoaringBitmap;
use tonic::Response;
use uuid::Uuid;

use crate::server::{self, PARENT, TestServer, code, deps, device_name, fault};

type Groups = GroupServiceClient<muster_client::Transport>;

/// The group service, whose answers take all into account that the log has now.
async fn groups(server: &TestServer) -> Groups {
    let client = server.admin();
    for service in [Service::Enroll, Service::Identity] {
        client.see(&Positions::of(service, server.log.head(service).await.expect("a log")));
    }
    client.groups()
}

fn define(display_name: &str, rule: &str) -> pb::CreateGroupRequest {
    let group = pb::Group {
        display_name: display_name.into(),
        kind: pb::GroupKind::Dynamic.into(),
        rule: rule.into(),
        ..Default::default()
    };
    pb::CreateGroupRequest { parent: PARENT.into(), group: Some(group), ..Default::default() }
}

async fn defined(server: &TestServer, display_name: &str, rule: &str) -> String {
    let made = groups(server).await.create_group(define(display_name, rule)).await;
    made.expect("defined").into_inner().name
}

async fn shown(server: &TestServer, name: &str) -> pb::Group {
    let request = pb::GetGroupRequest { name: name.into() };
    groups(server).await.get_group(request).await.expect("shown").into_inner()
}

/// Numbers of the devices in a group.
async fn members(server: &TestServer, name: &str) -> Vec<u128> {
    let request = pb::ListGroupMembersRequest { name: name.into(), ..Default::default() };
    let listed = groups(server).await.list_group_members(request).await.expect("listed").into_inner();
    listed.devices.iter().map(|name| number(name)).collect()
}

fn number(name: &str) -> u128 {
    let id: DeviceId = name.rsplit('/').next().expect("a name has parts").parse().expect("a device's id");
    id.uuid().as_u128()
}

fn enrollment(device: u128) -> StreamId {
    StreamId::new(TenantId::DEFAULT, Aggregate::Enrollment, Uuid::from_u128(device))
}

/// Has a device onboarded and trusted.
async fn device(server: &TestServer, number: u128, hostname: &str, platform: enroll::Platform) {
    let facts = enroll::DeviceFacts {
        platform: platform.into(),
        hostname: hostname.into(),
        os_version: "12".into(),
        ..Default::default()
    };
    let onboarded = enroll::DeviceOnboarded { facts: Some(facts), ..Default::default() };
    server.append(enrollment(number), kind::DEVICE_ONBOARDED, &onboarded).await;
    server.trusted(number).await;
}

async fn tagged(server: &TestServer, number: u128, added: &[&str], removed: &[&str]) {
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    let tagged = enroll::DeviceTagged { added: tags(added), removed: tags(removed) };
    server.append(enrollment(number), kind::DEVICE_TAGGED, &tagged).await;
}

const LINUX: &str = r#"device.deviceOSType -eq "Linux""#;

#[tokio::test]
async fn a_rule_finds_the_devices_that_are_there_and_those_that_come() {
    let server = TestServer::start().await;
    device(&server, 1, "web-1", enroll::Platform::Linux).await;
    device(&server, 2, "pc-2", enroll::Platform::Macos).await;
    let name = defined(&server, "Linux", LINUX).await;
    assert_eq!(members(&server, &name).await, [1]);
    device(&server, 3, "web-3", enroll::Platform::Linux).await;
    assert_eq!(members(&server, &name).await, [1, 3]);

    let group = shown(&server, &name).await;
    assert_eq!((group.kind(), &group.rule[..], group.member_count), (pb::GroupKind::Dynamic, LINUX, 2));
    let processing = group.processing.expect("a dynamic group follows");
    let position: Positions = processing.position.parse().expect("a position token");
    assert!(processing.evaluate_time.is_some() && processing.unknown_count == 0);
    assert!(position.get(Service::Enroll) >= 2 && position.get(Service::Identity) >= 3, "{position}");

    let delete = enroll::DeviceDeleted {};
    server.append(enrollment(1), kind::DEVICE_DELETED, &delete).await;
    server.events_until(8).await;
    assert_eq!(members(&server, &name).await, [3], "a deleted device leaves at once");
}

#[tokio::test]
async fn tags_let_devices_in_and_out() {
    let server = TestServer::start().await;
    device(&server, 1, "web-1", enroll::Platform::Linux).await;
    let name = defined(&server, "Web", r#"device.tags -any (_ -eq "web")"#).await;
    assert_eq!(members(&server, &name).await, []);
    tagged(&server, 1, &["Web", "eu"], &[]).await;
    assert_eq!(members(&server, &name).await, [1]);
    tagged(&server, 1, &[], &["Web"]).await;
    assert_eq!(members(&server, &name).await, []);
}

#[tokio::test]
async fn what_is_not_collected_is_listed_with_its_reason_and_keeps_the_membership() {
    let server = TestServer::start().await;
    server.trusted(1).await;
    device(&server, 2, "web-2", enroll::Platform::Linux).await;
    let name = defined(&server, "Not Linux", r#"device.deviceOSType -ne "Linux""#).await;
    assert_eq!(members(&server, &name).await, [], "not known to be in");
    let group = shown(&server, &name).await;
    assert_eq!(group.processing.map(|processing| processing.unknown_count), Some(1));
    let request =
        pb::ListGroupMembersRequest { name: name.clone(), unknown_only: true, ..Default::default() };
    let listed = groups(&server).await.list_group_members(request).await.expect("listed").into_inner();
    let unknown =
        pb::UnknownDevice { device: device_name(1), missing_properties: vec!["deviceOSType".into()] };
    assert_eq!(listed.unknown_devices, [unknown]);
    device(&server, 1, "mac-1", enroll::Platform::Macos).await;
    assert_eq!(members(&server, &name).await, [1]);
    assert_eq!(shown(&server, &name).await.processing.map(|it| it.unknown_count), Some(0));
}

#[tokio::test]
async fn a_rule_is_changed_and_a_group_deleted() {
    let server = TestServer::start().await;
    device(&server, 1, "web-1", enroll::Platform::Linux).await;
    device(&server, 2, "mac-2", enroll::Platform::Macos).await;
    let name = defined(&server, "G", LINUX).await;
    assert_eq!(members(&server, &name).await, [1]);
    let change = pb::UpdateGroupRuleRequest {
        name: name.clone(),
        rule: r#"device.displayName -startsWith "MAC""#.into(),
        ..Default::default()
    };
    let check = pb::UpdateGroupRuleRequest { validate_only: true, ..change.clone() };
    groups(&server).await.update_group_rule(check).await.expect("checked");
    assert_eq!(shown(&server, &name).await.rule, LINUX);
    let stale = pb::UpdateGroupRuleRequest { etag: "v1".into(), ..change.clone() };
    assert_eq!(code(groups(&server).await.update_group_rule(stale).await), Some(ErrorCode::EtagMismatch));
    groups(&server).await.update_group_rule(change).await.expect("changed");
    assert_eq!(members(&server, &name).await, [2]);

    let delete = pb::DeleteGroupRequest { name: name.clone(), ..Default::default() };
    let deleted = groups(&server).await.delete_group(delete.clone()).await.expect("deleted").into_inner();
    assert_eq!((&deleted.display_name[..], deleted.member_count), ("G", 0));
    assert_eq!(
        code(groups(&server).await.get_group(pb::GetGroupRequest { name }).await),
        Some(ErrorCode::GroupUnknown)
    );
    groups(&server).await.delete_group(delete).await.expect("deleted already");
    let events = server.events().await;
    assert_eq!(events[events.len() - 2..], ["GroupMembershipChanged", "GroupDeleted"]);
    defined(&server, "G", LINUX).await;
}

#[tokio::test]
async fn what_does_not_hold_is_refused_with_its_place() {
    let server = TestServer::start().await;
    let mut admin = server.admin().groups();
    let refused =
        fault(admin.create_group(define("G", "device.deviceOsTyp -eq \"Linux\"")).await).expect("refused");
    let metadata: BTreeMap<_, _> = refused.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(refused.code, ErrorCode::RuleInvalid);
    assert_eq!(
        [metadata["kind"], metadata["offset"], metadata["length"], metadata["hint"]],
        ["unknown_property", "0", "18", "did you mean deviceOSType?"]
    );
    let fixed = pb::Group {
        display_name: "S".into(),
        kind: pb::GroupKind::Static.into(),
        rule: LINUX.into(),
        ..Default::default()
    };
    let wrong =
        pb::CreateGroupRequest { group: Some(fixed.clone()), parent: PARENT.into(), ..Default::default() };
    assert_eq!(code(admin.create_group(wrong.clone()).await), Some(ErrorCode::ArgumentInvalid));
    let fixed = pb::CreateGroupRequest { group: Some(pb::Group { rule: String::new(), ..fixed }), ..wrong };
    let fixed = admin.create_group(fixed).await.expect("defined").into_inner().name;
    let dynamic = admin.create_group(define("D", LINUX)).await.expect("defined").into_inner().name;

    let nested = pb::ModifyGroupMembersRequest {
        name: fixed.clone(),
        add_devices: vec![dynamic.clone()],
        ..Default::default()
    };
    assert_eq!(code(admin.modify_group_members(nested).await), Some(ErrorCode::GroupNested));
    let named = pb::ModifyGroupMembersRequest { name: dynamic.clone(), ..Default::default() };
    assert_eq!(code(admin.modify_group_members(named).await), Some(ErrorCode::GroupKindMismatch));
    let rule = pb::UpdateGroupRuleRequest { name: fixed, rule: LINUX.into(), ..Default::default() };
    assert_eq!(code(admin.update_group_rule(rule).await), Some(ErrorCode::GroupKindMismatch));
    let member_of = |id: &str| define("M", &format!("device.memberOf -any (group.objectId -in ['{id}'])"));
    let id = dynamic.rsplit('/').next().expect("an id");
    assert_eq!(code(admin.create_group(member_of(id)).await), Some(ErrorCode::GroupNested));
    assert_eq!(code(admin.create_group(member_of("nowhere")).await), Some(ErrorCode::GroupUnknown));
}

#[tokio::test]
async fn a_rule_reads_the_members_of_static_groups() {
    let server = TestServer::start().await;
    let device = server.trusted(7).await;
    let group =
        pb::Group { display_name: "S".into(), kind: pb::GroupKind::Static.into(), ..Default::default() };
    let create = pb::CreateGroupRequest { group: Some(group), parent: PARENT.into(), ..Default::default() };
    let fixed = groups(&server).await.create_group(create).await.expect("defined").into_inner().name;
    let id = fixed.rsplit('/').next().expect("an id");
    let name = defined(&server, "M", &format!("device.memberOf -any (group.objectId -in ['{id}'])")).await;
    assert_eq!(members(&server, &name).await, []);
    let add = pb::ModifyGroupMembersRequest {
        name: fixed.clone(),
        add_devices: vec![device],
        ..Default::default()
    };
    groups(&server).await.modify_group_members(add).await.expect("let in");
    assert_eq!(members(&server, &name).await, [7]);
    let delete = pb::DeleteGroupRequest { name: fixed, ..Default::default() };
    groups(&server).await.delete_group(delete).await.expect("deleted");
    assert_eq!(members(&server, &name).await, []);
}

#[tokio::test]
async fn a_preview_counts_names_and_explains() {
    let server = TestServer::start().await;
    device(&server, 1, "web-1", enroll::Platform::Linux).await;
    device(&server, 2, "mac-2", enroll::Platform::Macos).await;
    server.trusted(3).await;
    let mut admin = groups(&server).await;
    let request = pb::PreviewRuleRequest {
        parent: PARENT.into(),
        rule: LINUX.into(),
        device: device_name(2),
        ..Default::default()
    };
    let preview = admin.preview_rule(request.clone()).await.expect("asked").into_inner();
    assert_eq!((preview.in_count, preview.out_count, preview.unknown_count), (1, 1, 1));
    assert_eq!(
        (&preview.in_devices[..], &preview.out_devices[..]),
        (&[device_name(1)][..], &[device_name(2)][..])
    );
    assert_eq!(preview.unknown_devices[0].device, device_name(3));
    assert!(preview.members.is_empty(), "only for who asks");
    let verdict = preview.verdict.expect("a device was asked for");
    assert_eq!((verdict.device, verdict.result), (device_name(2), Some(false)));
    assert_eq!(
        (&verdict.parts[0].property[..], &verdict.parts[0].values[..]),
        ("deviceOSType", &["macos".to_owned()][..])
    );
    let nobody = pb::PreviewRuleRequest { device: device_name(9), ..request.clone() };
    assert_eq!(code(admin.preview_rule(nobody).await), Some(ErrorCode::DeviceUnknown));
    let wrong = pb::PreviewRuleRequest { rule: "device.".into(), ..request };
    assert_eq!(code(admin.preview_rule(wrong).await), Some(ErrorCode::RuleInvalid));
}

#[tokio::test]
async fn a_preview_has_whom_the_group_would_have_and_a_device_that_is_unknown_stays_what_it_was() {
    let server = TestServer::start().await;
    device(&server, 1, "web-1", enroll::Platform::Linux).await;
    device(&server, 2, "mac-2", enroll::Platform::Macos).await;
    server.trusted(3).await;
    let name = defined(&server, "All", r#"device.accountEnabled -eq true"#).await;
    assert_eq!(members(&server, &name).await, [1, 2, 3]);
    let request = pb::PreviewRuleRequest { parent: PARENT.into(), rule: LINUX.into(), ..Default::default() };
    for (group, expected) in [(String::new(), vec![0]), (name, vec![0, 2])] {
        let request = pb::PreviewRuleRequest { with_members: true, group, ..request.clone() };
        let preview = groups(&server).await.preview_rule(request).await.expect("asked").into_inner();
        let found: Vec<_> = bitmap(&preview.members).expect("a bitmap").into_iter().collect();
        assert_eq!(found, expected);
    }
    let group = ResourceName::Group(TenantId::DEFAULT, GroupId::from_uuid(Uuid::from_u128(9))).to_string();
    let nobody = pb::PreviewRuleRequest { group, ..request };
    assert_eq!(code(groups(&server).await.preview_rule(nobody).await), Some(ErrorCode::GroupUnknown));
}

#[tokio::test]
async fn services_are_told_of_which_devices_it_is_unknown() {
    let server = TestServer::start().await;
    server.trusted(1).await;
    device(&server, 2, "web-2", enroll::Platform::Linux).await;
    server.trusted(3).await;
    let rule = defined(&server, "Not Linux", r#"device.deviceOSType -ne "Linux""#).await;
    let fixed =
        pb::Group { display_name: "Fixed".into(), kind: pb::GroupKind::Static.into(), ..Default::default() };
    let fixed = pb::CreateGroupRequest { parent: PARENT.into(), group: Some(fixed), ..Default::default() };
    let fixed = groups(&server).await.create_group(fixed).await.expect("defined").into_inner().name;
    let client = server.service(Service::Policy);
    let head = server.log.head(Service::Identity).await.expect("a log");
    client.see(&Positions::of(Service::Identity, head));
    let ask = |groups: Vec<String>| {
        let mut memberships = client.memberships();
        async move { memberships.list_unknown(pb::ListUnknownRequest { groups }).await }
    };
    let told = ask(vec![rule, fixed.clone()]).await.expect("told").into_inner();
    assert_eq!(bitmap(&told.devices).expect("a bitmap"), RoaringBitmap::from([0, 2]));
    let position: Positions = told.position.parse().expect("a position token");
    assert!(position.get(Service::Identity) >= head);
    let told = ask(vec![fixed.clone()]).await.expect("told").into_inner();
    assert!(told.devices.is_empty(), "a static group knows its members");

    let nobody = ResourceName::Group(TenantId::DEFAULT, GroupId::from_uuid(Uuid::from_u128(9)));
    assert_eq!(code(ask(vec![nobody.to_string()]).await), Some(ErrorCode::GroupUnknown));
    assert_eq!(code(ask(vec![fixed.clone(); 1_001]).await), Some(ErrorCode::ArgumentInvalid));
    for (client, expected) in
        [(server.anonymous(), ErrorCode::CertificateRequired), (server.admin(), ErrorCode::PermissionDenied)]
    {
        let request = pb::ListUnknownRequest { groups: vec![fixed.clone()] };
        assert_eq!(code(client.memberships().list_unknown(request).await), Some(expected));
    }
}

#[tokio::test]
async fn a_directory_tells_attributes_before_and_after_the_device_is_known_to_it() {
    let server = TestServer::start().await;
    let name = defined(&server, "Company", r#"device.deviceOwnership -eq "Company""#).await;
    let record = |number: u128, ownership: &str| pb::DirectoryDevice {
        directory_id: Uuid::from_u128(number).to_string(),
        display_name: "PC".into(),
        join_type: "AzureAD".into(),
        attributes: [("deviceOwnership".to_owned(), ownership.to_owned())].into(),
        ..Default::default()
    };
    let upsert = |device: pb::DirectoryDevice| pb::UpsertDirectoryDevicesRequest {
        parent: PARENT.into(),
        directory_devices: vec![device],
        ..Default::default()
    };
    let mut registrations = server.admin().registrations();
    registrations.upsert_directory_devices(upsert(record(77, "Company"))).await.expect("taken over");
    server.trusted(1).await;
    assert_eq!(members(&server, &name).await, []);
    let id = muster_types::DirectoryDeviceId::of(TenantId::DEFAULT, &Uuid::from_u128(77).to_string());
    let promote = pb::PromoteRegistrationRequest {
        name: ResourceName::Registration(TenantId::DEFAULT, DeviceId::from_uuid(Uuid::from_u128(1)))
            .to_string(),
        directory_device: ResourceName::DirectoryDevice(TenantId::DEFAULT, id).to_string(),
        ..Default::default()
    };
    registrations.promote_registration(promote).await.expect("promoted");
    assert_eq!(members(&server, &name).await, [1]);
    registrations.upsert_directory_devices(upsert(record(77, "Personal"))).await.expect("taken over");
    assert_eq!(members(&server, &name).await, []);
}

#[tokio::test]
async fn many_devices_that_leave_make_one_event_and_a_restart_makes_none() {
    const DEVICES: u128 = 20;
    let server = TestServer::start().await;
    for number in 1..=DEVICES {
        device(&server, number, &format!("web-{number}"), enroll::Platform::Linux).await;
    }
    let name = defined(&server, "Linux", LINUX).await;
    assert_eq!(members(&server, &name).await.len(), 20);
    let changes = |events: &[Envelope]| -> Vec<_> {
        let changes = events.iter().filter(|event| event.kind.as_str() == kind::MEMBERSHIP_CHANGED);
        changes
            .map(|event| pb::GroupMembershipChanged::decode(&event.payload[..]).expect("readable"))
            .map(|change| bitmap(&change.added).expect("a bitmap").len())
            .collect()
    };
    assert_eq!(changes(&server.envelopes().await), [20], "one event lets all of them in");

    let again = deps(server.log.clone(), &server.trust);
    let (tasks, head) = (again.tasks.clone(), server.log.head(Service::Identity).await.expect("a log"));
    let parts = muster_identity::build(muster_identity::Config::default(), again).await.expect("it is built");
    drop(parts);
    device(&server, 99, "web-99", enroll::Platform::Linux).await;
    assert_eq!(members(&server, &name).await.len(), 21);
    server.events_until(usize::try_from(head).expect("few") + 2).await;
    tasks.stop();
    assert_eq!(changes(&server.envelopes().await), [20, 1], "of two that follow, one tells each change");
}

#[tokio::test]
async fn the_15_001st_dynamic_group_is_refused() {
    const GROUPS: usize = muster_identity::queries::DYNAMIC_GROUPS_MAX;
    let log: SharedLog = Arc::new(MemoryLog::default());
    for number in 0..GROUPS {
        let message = pb::GroupDefined {
            display_name: format!("group {number}"),
            kind: pb::GroupKind::Dynamic.into(),
            rule: format!(r#"device.tags -any (_ -eq "tag-{number}")"#),
        };
        let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Group, Uuid::from_u128(number as u128));
        server::append(&log, stream, kind::GROUP_DEFINED, &message).await;
    }
    let server = TestServer::on(log).await;
    let refused =
        fault(groups(&server).await.create_group(define("One more", LINUX)).await).expect("refused");
    assert_eq!(refused.code, ErrorCode::GroupLimit);
    assert_eq!(refused.metadata.get("limit").map(String::as_str), Some("15000"));
    device(&server, 1, "web-1", enroll::Platform::Linux).await;
    tagged(&server, 1, &["tag-7"], &[]).await;
    let name = ResourceName::Group(TenantId::DEFAULT, GroupId::from_uuid(Uuid::from_u128(7))).to_string();
    assert_eq!(members(&server, &name).await, [1], "and those that are there follow");
}

/// What others fold of the log is what identity shows, and what each rule says of each device alone.
#[tokio::test]
async fn membership_is_the_same_for_all_who_fold_it_whatever_happened() {
    const RULES: [&str; 5] = [
        LINUX,
        r#"device.tags -any (_ -eq "a") -or device.displayName -startsWith "web""#,
        r#"-not (device.tags -any (_ -in ["a","b"])) -and device.managementType -eq null"#,
        r#"device.deviceOSType -ne "Linux" -and device.enrollmentCode -eq "PENDING""#,
        "device.objectId -ne null",
    ];
    const DEVICES: usize = 5;
    for seed in 1..=4_u64 {
        let server = TestServer::start().await;
        let mut chance = Chance(seed);
        let mut names = Vec::new();
        for (number, rule) in RULES.iter().enumerate() {
            names.push(defined(&server, &format!("G{number}"), rule).await);
        }
        for _ in 0..80 {
            let number = 1 + chance.below(DEVICES) as u128;
            match chance.below(8) {
                0 | 1 => {
                    let platform = [enroll::Platform::Linux, enroll::Platform::Macos][chance.below(2)];
                    device(&server, number, ["web-1", "pc", ""][chance.below(3)], platform).await;
                }
                2 => drop(server.trusted(number).await),
                3 => tagged(&server, number, &[["a", "b"][chance.below(2)]], &[]).await,
                4 => tagged(&server, number, &[], &[["a", "b"][chance.below(2)]]).await,
                5 => {
                    let changed = enroll::ManagementAuthorityChanged {
                        to: [enroll::ManagedBy::Muster, enroll::ManagedBy::Nobody][chance.below(2)].into(),
                        ..Default::default()
                    };
                    server.append(enrollment(number), kind::AUTHORITY_CHANGED, &changed).await;
                }
                6 => {
                    let name = ResourceName::Registration(
                        TenantId::DEFAULT,
                        DeviceId::from_uuid(Uuid::from_u128(number)),
                    );
                    let delete =
                        pb::DeleteRegistrationRequest { name: name.to_string(), ..Default::default() };
                    // One that nobody knows cannot be deleted.
                    drop(server.admin().registrations().delete_registration(delete).await);
                }
                _ => {
                    let rule = RULES[chance.below(RULES.len())];
                    let name = names[chance.below(names.len())].clone();
                    let change = pb::UpdateGroupRuleRequest { name, rule: rule.into(), ..Default::default() };
                    groups(&server).await.update_group_rule(change).await.expect("changed");
                }
            }
        }
        rows_are_the_same_however_folded(&server).await;
        for name in &names {
            let shown = members(&server, name).await;
            assert_eq!(folded(&server, name).await, shown, "seed {seed}: {name} as others fold it");
            let rule = self::shown(&server, name).await.rule;
            for number in 1..=DEVICES as u128 {
                let request = pb::PreviewRuleRequest {
                    parent: PARENT.into(),
                    rule: rule.clone(),
                    device: device_name(number),
                    with_members: true,
                    group: name.clone(),
                };
                let asked = groups(&server).await.preview_rule(request).await.map(Response::into_inner);
                if let Ok(preview) = &asked {
                    let members = bitmap(&preview.members).expect("a bitmap").len();
                    assert_eq!(members, shown.len() as u64, "seed {seed}: a rule that is there changes none");
                }
                let says = asked.map(|preview| preview.verdict.and_then(|verdict| verdict.result));
                let is = shown.contains(&number);
                match says {
                    Ok(Some(says)) => assert_eq!(says, is, "seed {seed}: {rule} of {number}"),
                    Ok(None) => {}
                    Err(_) => assert!(!is, "seed {seed}: {number} is not registered"),
                }
            }
        }
    }
}

/// The view has the same rows whichever log comes first, and after they were taken back from the store at any place.
async fn rows_are_the_same_however_folded(server: &TestServer) {
    let identity = server.envelopes().await;
    let mut enroll = Vec::new();
    let mut subscription = server.log.subscribe(Service::Enroll, 0).await.expect("a log");
    while let Some(Delivery::Events(events)) = subscription.next().await.expect("a log") {
        enroll.extend(events);
    }
    let fold = |view: &mut Membership, events: &mut dyn Iterator<Item = &Envelope>| {
        let mut dirty = Dirty::everything();
        events.for_each(|event| view.apply(event, &mut dirty).expect("folded"));
    };
    let fresh = || Membership::new(Arc::default());
    let (mut one, mut other) = (fresh(), fresh());
    fold(&mut one, &mut enroll.iter().chain(&identity));
    fold(&mut other, &mut identity.iter().chain(&enroll));
    assert_eq!(rows(&one), rows(&other));

    let mut stored = fresh();
    let half = identity.len() / 2;
    fold(&mut stored, &mut enroll.iter().chain(&identity[..half]));
    let mut loaded = fresh();
    for (key, value) in rows(&stored) {
        loaded.load_row(&key, &value).expect("it was stored");
    }
    assert_eq!(rows(&loaded), rows(&stored));
    fold(&mut loaded, &mut identity[half..].iter());
    assert_eq!(rows(&loaded), rows(&one));
}

/// In key order, as a store gives them back.
fn rows(view: &Membership) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    view.row_keys(&mut |key| {
        assert!(rows.insert(key.to_vec(), view.encode_row(key).expect("it is there")).is_none());
    });
    rows
}

/// Numbers of the devices in a group, from the log alone, as other services fold it.
async fn folded(server: &TestServer, name: &str) -> Vec<u128> {
    let id: GroupId = name.rsplit('/').next().expect("a name has parts").parse().expect("a group's id");
    let (mut ordinals, mut members) = (Vec::new(), RoaringBitmap::new());
    for event in server.envelopes().await {
        let device = event.stream.id.as_u128();
        match event.kind.as_str() {
            kind::TRUST_ESTABLISHED if !ordinals.contains(&device) => ordinals.push(device),
            kind::MEMBERSHIP_CHANGED if event.stream.id == id.uuid() => {
                let change = pb::GroupMembershipChanged::decode(&event.payload[..]).expect("readable");
                let (added, removed) = (bitmap(&change.added), bitmap(&change.removed));
                let (added, removed) = (added.expect("a bitmap"), removed.expect("a bitmap"));
                assert!(
                    members.is_disjoint(&added) && removed.is_subset(&members),
                    "only differences are told"
                );
                members |= added;
                members -= removed;
            }
            _ => {}
        }
    }
    members.iter().map(|ordinal| ordinals[ordinal as usize]).collect()
}

/// Numbers that look like chance, the same for the same beginning.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }
}

#[tokio::test]
async fn what_a_rule_says_is_written_although_another_changed_the_rule() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let commands = Commands::new(log.clone(), Arc::new(SystemClock));
    let id = GroupId::from_uuid(Uuid::from_u128(1));
    let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Group, id.uuid());
    let resolve = async |rule: &str, ordinal: u32| {
        let inside = RoaringBitmap::from_iter([ordinal]);
        let verdict = Verdict { within: None, inside, unknown: RoaringBitmap::new() };
        let answers = vec![Answer { group: id, rule: rule.into(), verdict }];
        commands.resolve_groups(TenantId::DEFAULT, &Positions::ZERO, answers).await
    };
    let kind = pb::GroupKind::Dynamic.into();
    let defined = pb::GroupDefined { display_name: "G".into(), kind, rule: LINUX.into() };
    server::append(&log, stream, kind::GROUP_DEFINED, &defined).await;
    assert_eq!(resolve(LINUX, 1).await.expect("written").groups, 1);
    let rule = "device.objectId -ne null";
    server::append(&log, stream, kind::GROUP_RULE_CHANGED, &pb::GroupRuleChanged { rule: rule.into() }).await;
    assert_eq!(resolve(rule, 2).await.expect("written").groups, 1, "the copy in memory has the former rule");
    assert_eq!(resolve(rule, 2).await.expect("nothing to do").groups, 0);
}
