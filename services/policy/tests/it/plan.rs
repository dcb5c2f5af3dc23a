//! What changes would do is told before they are made, and holds when they are.

use std::sync::Arc;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_pki::{InitOptions, LocalTrust};
use muster_policy::grpc::IdentityClient;
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as identity;
use muster_proto::identity::v1::membership_service_server::{MembershipService, MembershipServiceServer};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::change::Kind;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Metrics, Readiness, ServiceParts, caller};
use muster_types::{Clock as _, PolicyId, RequestId, ResourceName, Service, SystemClock, Timestamp};
use roaring::RoaringBitmap;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::house::{House, TENANT, admin, create, device_name, group, group_name, level, parent, position};

fn creation(n: u128, name: &str, to: &str) -> Kind {
    let request_id = Uuid::from_u128(n).to_string();
    Kind::CreatePolicy(pb::CreatePolicyRequest { request_id, ..create(name, vec![level(to)]) })
}

fn policy(n: u128) -> String {
    let id: PolicyId = muster_policy::commands::policy_id(TENANT, RequestId::from_uuid(Uuid::from_u128(n)));
    ResourceName::Policy(TENANT, id).to_string()
}

fn assignment(policy: String, to: u8) -> Kind {
    Kind::AssignPolicy(pb::AssignPolicyRequest { policy, group: group_name(to), ..Default::default() })
}

fn changes(kinds: Vec<Kind>) -> Vec<pb::Change> {
    kinds.into_iter().map(|kind| pb::Change { kind: Some(kind) }).collect()
}

fn wish(kinds: Vec<Kind>) -> pb::PlanChangesRequest {
    pb::PlanChangesRequest { parent: parent(), changes: changes(kinds), ..Default::default() }
}

fn bits(ordinals: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ordinals.iter().copied().collect::<RoaringBitmap>().serialize_into(&mut bytes).unwrap();
    bytes
}

fn code<T>(outcome: Result<T, Status>) -> Option<ErrorCode> {
    outcome.err().map(|status| Fault::from_status(&status).code)
}

impl House {
    async fn plan(&self, wish: pb::PlanChangesRequest) -> pb::Plan {
        self.grpc.plan_changes(admin(wish)).await.unwrap().into_inner()
    }

    async fn apply_planned(
        &self,
        kinds: Vec<Kind>,
        plan: &pb::Plan,
    ) -> Result<pb::ApplyChangesResponse, Status> {
        let request = pb::ApplyChangesRequest {
            parent: parent(),
            changes: changes(kinds),
            plan_digest: plan.digest.clone(),
            ..Default::default()
        };
        let applied = self.grpc.apply_changes(admin(request)).await?;
        self.seen(&position(&applied)).await;
        Ok(applied.into_inner())
    }

    async fn etag(&self, n: u8) -> Vec<u8> {
        let request = pb::GetEffectivePolicyRequest { device: device_name(n) };
        self.grpc.get_effective_policy(admin(request)).await.unwrap().into_inner().etag
    }
}

#[tokio::test]
async fn a_plan_tells_what_comes_and_applying_it_makes_that_so() {
    let house = House::with_devices().await;
    let kinds = || vec![creation(1, "Baseline", "real_time"), assignment(policy(1), 0)];
    let plan = house.plan(wish(kinds())).await;
    assert_eq!((plan.devices_touched, plan.resolved), (2, 1));
    assert_eq!(plan.devices_sample, [device_name(0), device_name(1)]);
    let [added] = &plan.settings[..] else { panic!("{plan:?}") };
    assert_eq!((&added.id[..], added.devices), ("linux-antivirus/enforcement_level", 2));
    assert!(added.before.is_none() && added.after.is_some());
    assert_eq!(added.policies, [policy(1)]);
    assert_eq!(plan.digest.len(), 32);
    assert!(plan.position.contains("policy:") || plan.position.contains("identity:"), "{}", plan.position);
    let before = house.etag(0).await;
    assert_eq!(house.plan(wish(kinds())).await.digest, plan.digest, "a plan changes nothing");
    house.apply_planned(kinds(), &plan).await.unwrap();
    assert_ne!(house.etag(0).await, before);
    let again = house.plan(wish(kinds())).await;
    assert_eq!((again.devices_touched, again.settings.len()), (0, 0), "it is so already");
    house.end().await;
}

#[tokio::test]
async fn a_plan_that_moved_on_is_not_applied() {
    let house = House::with_devices().await;
    let made = house.create("Baseline", vec![level("real_time")]).await;
    house.assign(&made.name, 0).await;
    let kinds = || vec![creation(1, "Other", "passive"), assignment(policy(1), 0)];
    let plan = house.plan(wish(kinds())).await;
    assert_eq!(plan.new_conflicts[0].devices, 2);
    assert_eq!(plan.new_conflicts[0].candidates.len(), 2);
    let removed = &plan.settings[0];
    assert_eq!((removed.after.is_none(), removed.withheld()), (true, pb::WithheldReason::Conflict));
    let update = |display_name: &str, to: &str| {
        let settings = vec![level(to)];
        let policy = pb::Policy {
            name: made.name.clone(),
            display_name: display_name.into(),
            settings,
            ..Default::default()
        };
        admin(pb::UpdatePolicyRequest { policy: Some(policy), ..Default::default() })
    };
    house.grpc.update_policy(update("Renamed", "real_time")).await.unwrap();
    assert_eq!(house.plan(wish(kinds())).await.digest, plan.digest, "a rename of another is no matter");
    house.grpc.update_policy(update("Renamed", "on_demand")).await.unwrap();
    assert_eq!(code(house.apply_planned(kinds(), &plan).await), Some(ErrorCode::PlanMovedOn));
    let unmade = pb::GetPolicyRequest { name: policy(1) };
    assert_eq!(code(house.grpc.get_policy(admin(unmade)).await), Some(ErrorCode::PolicyUnknown));
    let plan = house.plan(wish(kinds())).await;
    let applied = house.apply_planned(kinds(), &plan).await.unwrap();
    let [collision] = &applied.collisions[..] else { panic!("{applied:?}") };
    assert_eq!((collision.devices, collision.decided), (2, false));
    house.end().await;
}

#[tokio::test]
async fn groups_may_be_proposed_to_be_otherwise_and_new_ones_may_be_assigned_to() {
    let house = House::with_devices().await;
    let made = house.create("Baseline", vec![level("real_time")]).await;
    house.assign(&made.name, 0).await;
    let membership = |n, of: &[u32]| pb::ProposedMembership { group: group_name(n), members: bits(of) };
    let alone = pb::PlanChangesRequest { memberships: vec![membership(0, &[1, 2, 77])], ..wish(vec![]) };
    let plan = house.plan(alone).await;
    assert_eq!(plan.devices_sample, [device_name(0), device_name(2)]);
    let [removed, added] = &plan.settings[..] else { panic!("{plan:?}") };
    assert!(removed.after.is_none() && added.before.is_none(), "removals come first");
    let to_new = wish(vec![assignment(made.name.clone(), 9)]);
    let unknown = house.grpc.plan_changes(admin(to_new.clone())).await;
    assert_eq!(code(unknown), Some(ErrorCode::GroupUnknown));
    let to_new = pb::PlanChangesRequest { memberships: vec![membership(9, &[2])], ..to_new };
    let plan = house.plan(to_new.clone()).await;
    assert_eq!(plan.devices_sample, [device_name(2)]);
    let check = pb::ApplyChangesRequest {
        parent: parent(),
        changes: to_new.changes,
        memberships: to_new.memberships,
        plan_digest: plan.digest,
        validate_only: true,
        ..Default::default()
    };
    house.grpc.apply_changes(admin(check.clone())).await.unwrap();
    let made = pb::ApplyChangesRequest { validate_only: false, ..check };
    assert_eq!(code(house.grpc.apply_changes(admin(made)).await), Some(ErrorCode::GroupUnknown));
    for bad in [vec![membership(0, &[]), membership(0, &[])], vec![membership(0, &[]); 1_001]] {
        let bad = pb::PlanChangesRequest { memberships: bad, ..wish(vec![]) };
        assert_eq!(code(house.grpc.plan_changes(admin(bad)).await), Some(ErrorCode::ArgumentInvalid));
    }
    let noise = pb::ProposedMembership { group: group_name(0), members: vec![1, 2, 3] };
    let noise = pb::PlanChangesRequest { memberships: vec![noise], ..wish(vec![]) };
    assert_eq!(code(house.grpc.plan_changes(admin(noise)).await), Some(ErrorCode::ArgumentInvalid));
    house.end().await;
}

#[tokio::test]
async fn warnings_tell_of_filters_and_of_what_would_not_take_effect() {
    let house = House::with_devices().await;
    let waiver = pb::Waiver {
        setting: "linux-antivirus/enforcement_level".into(),
        target: Some(pb::waiver::Target::Device(device_name(0))),
        reason: "benchmark".into(),
        approver: "eve".into(),
        expire_time: Some(timestamp(Timestamp::from_micros(1_700_086_400_000_000))),
        ..Default::default()
    };
    let waiver = pb::CreateWaiverRequest { parent: parent(), waiver: Some(waiver), ..Default::default() };
    let waived = house.grpc.create_waiver(admin(waiver)).await.unwrap();
    house.seen(&position(&waived)).await;
    let filtered = Kind::AssignPolicy(pb::AssignPolicyRequest {
        policy: policy(1),
        group: group_name(0),
        filter: "device.model -eq x".into(),
        ..Default::default()
    });
    let plan = house.plan(wish(vec![creation(1, "Baseline", "real_time"), filtered])).await;
    assert_eq!(plan.devices_touched, 2, "who is exempt is told so");
    assert_eq!(plan.settings[0].devices, 1);
    let warned = |of: &str| plan.warnings.iter().any(|warning| warning.contains(of));
    assert!(warned("/assignments/") && warned("waivers exempt the devices"), "{:?}", plan.warnings);
    assert!(warned("identity did not tell"), "{:?}", plan.warnings);
    house.end().await;
}

/// Identity, as far as plans ask it.
struct Identity;

#[tonic::async_trait]
impl MembershipService for Identity {
    async fn list_unknown(
        &self,
        request: Request<identity::ListUnknownRequest>,
    ) -> Result<Response<identity::ListUnknownResponse>, Status> {
        caller::service(&request, &[Service::Policy])?;
        assert_eq!(request.into_inner().groups, [group_name(0)]);
        let devices = bits(&[1, 2]);
        Ok(Response::new(identity::ListUnknownResponse { devices, position: String::new() }))
    }
}

#[tokio::test]
async fn identity_tells_of_whom_the_membership_is_unknown() {
    let mut house = House::with_devices().await;
    // The house's clock stands; certificates of a real server are of today.
    let dir = tempfile::tempdir().unwrap();
    let trust = LocalTrust::init(dir.path(), &InitOptions::local(SystemClock.now())).unwrap();
    let bound = server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let endpoint = format!("https://{}", bound.local_addr());
    let options = ServerOptions::new(&trust, Service::Identity, Arc::new(SystemClock)).unwrap();
    let parts = ServiceParts {
        service: Service::Identity,
        routes: Routes::new(MembershipServiceServer::new(Identity)),
        readiness: Readiness::always(),
    };
    server::start(bound, vec![parts], options, &house.tasks, &Metrics::default()).unwrap();
    let options = ConnectOptions::new(endpoint, trust.ca_certs().to_vec())
        .with_identity(trust.service_identity(Service::Policy).unwrap());
    house.grpc.identity = IdentityClient::new(Some(Client::connect(options).unwrap()));
    let plan = house.plan(wish(vec![creation(1, "Baseline", "real_time"), assignment(policy(1), 0)])).await;
    assert_eq!(plan.devices_unknown, 2, "{:?}", plan.warnings);
    assert_eq!(plan.devices_unknown_sample, [device_name(1), device_name(2)]);
    assert!(plan.warnings.is_empty());
    house.end().await;
}

#[tokio::test]
async fn collisions_are_listed_for_one_policy_and_for_all() {
    let house = House::with_devices().await;
    let made = [
        house.create("One", vec![level("real_time")]).await.name,
        house.create("Two", vec![level("passive")]).await.name,
        house.create("Three", vec![]).await.name,
    ];
    for name in &made {
        house.assign(name, 0).await;
    }
    let list = async |policy: &str| {
        let request = pb::ListCollisionsRequest { parent: parent(), policy: policy.into() };
        house.grpc.list_collisions(admin(request)).await
    };
    let all = list("").await.unwrap().into_inner();
    let [collision] = &all.collisions[..] else { panic!("{all:?}") };
    assert_eq!(collision.settings, ["linux-antivirus/enforcement_level"]);
    assert_eq!((collision.devices, collision.decided, collision.assignments.len()), (2, false, 2));
    assert!(!all.position.is_empty());
    assert_eq!(list(&made[1]).await.unwrap().into_inner().collisions, all.collisions);
    assert!(list(&made[2]).await.unwrap().into_inner().collisions.is_empty());
    let unknown = ResourceName::Policy(TENANT, PolicyId::from_uuid(Uuid::nil())).to_string();
    assert_eq!(code(list(&unknown).await), Some(ErrorCode::PolicyUnknown));
    house.end().await;
}

async fn explained(house: &House, setting: &str) -> pb::Explanation {
    let request = pb::ExplainDeviceRequest { device: device_name(0), setting: setting.into(), as_of: None };
    house.grpc.explain_device(admin(request)).await.unwrap().into_inner()
}

#[tokio::test]
async fn an_explanation_names_who_wrote_what_and_where_it_stands_in_the_log() {
    let house = House::with_devices().await;
    let made = house.create("Baseline", vec![level("real_time")]).await;
    house.assign(&made.name, 0).await;
    let policy = pb::Policy {
        name: made.name.clone(),
        display_name: "Baseline".into(),
        settings: vec![level("passive")],
        ..Default::default()
    };
    let update =
        pb::UpdatePolicyRequest { policy: Some(policy), reason: "lunch".into(), ..Default::default() };
    let updated = house.grpc.update_policy(admin(update)).await.unwrap();
    house.seen(&position(&updated)).await;

    let explanation = explained(&house, "").await;
    assert_eq!(explanation.etag, house.etag(0).await);
    assert_eq!(explanation.facts["platform"], "linux");
    assert_eq!(explanation.facts["channel"], "ssm");
    let [setting] = &explanation.settings[..] else { panic!("{explanation:?}") };
    assert_eq!(setting.summary, "Policy \"Baseline\" sets it to passive.");
    let [winner] = &setting.winners[..] else { panic!("{setting:?}") };
    assert_eq!((&winner.policy, winner.revision, &winner.reason[..]), (&made.name, 2, "lunch"));
    assert_eq!((&winner.actor[..], winner.position, winner.revision_id.len()), ("admin:ada", 3, 64));
    let [by] = &winner.assignments[..] else { panic!("{winner:?}") };
    assert_eq!((&by.group, &by.actor[..], by.position), (&group_name(0), "admin:ada", 2));
    assert!(by.create_time.is_some() && winner.change_time.is_some());
    house.end().await;
}

#[tokio::test]
async fn what_nobody_carries_explains_itself_and_excluded_policies_say_by_whom() {
    let house = House::with_devices().await;
    let made = house.create("Baseline", vec![level("real_time")]).await;
    let exclude = pb::AssignPolicyRequest {
        policy: made.name.clone(),
        group: group_name(0),
        intent: pb::AssignmentIntent::Exclude.into(),
        ..Default::default()
    };
    let excluded = house.grpc.assign_policy(admin(exclude)).await.unwrap();
    house.seen(&position(&excluded)).await;
    let explanation = explained(&house, "linux-antivirus/enforcement_level").await;
    let [setting] = &explanation.settings[..] else { panic!("{explanation:?}") };
    assert!(setting.value.is_none() && setting.winners.is_empty());
    assert!(setting.summary.starts_with("No assigned policy sets it"), "{}", setting.summary);
    let [policy] = &explanation.not_reaching[..] else { panic!("{explanation:?}") };
    assert_eq!((&policy.policy, &policy.display_name[..]), (&made.name, "Baseline"));
    assert_eq!(policy.why, format!("excluded by group {}", group(0)));
    for (device, setting, expected) in [
        (device_name(9), "", ErrorCode::DeviceUnknown),
        (device_name(0), "linux-antivirus/no_such", ErrorCode::SettingUnknown),
        (device_name(0), "nothing", ErrorCode::ArgumentInvalid),
    ] {
        let request = pb::ExplainDeviceRequest { device, setting: setting.into(), as_of: None };
        assert_eq!(code(house.grpc.explain_device(admin(request)).await), Some(expected));
    }
    house.end().await;
}
