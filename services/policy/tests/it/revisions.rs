//! Revisions of policies, and policies that come back.

use muster_errors::ErrorCode;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;

use crate::house::{House, admin, code, device_name, level, parent, position};

impl House {
    /// Revises the settings of a policy.
    async fn revise(&self, policy: &pb::Policy, to: &str, reason: &str) -> pb::Policy {
        let policy = pb::Policy { settings: vec![level(to)], etag: String::new(), ..policy.clone() };
        let request =
            pb::UpdatePolicyRequest { policy: Some(policy), reason: reason.into(), ..Default::default() };
        let revised = self.grpc.update_policy(admin(request)).await.unwrap();
        self.seen(&position(&revised)).await;
        revised.into_inner()
    }

    async fn revisions(
        &self,
        name: &str,
        page_size: i32,
        page_token: &str,
    ) -> pb::ListPolicyRevisionsResponse {
        let request =
            pb::ListPolicyRevisionsRequest { name: name.into(), page_size, page_token: page_token.into() };
        self.grpc.list_policy_revisions(admin(request)).await.unwrap().into_inner()
    }

    async fn diff(&self, name: &str, from: &str, to: &str) -> Result<pb::PolicyDiff, tonic::Status> {
        let request = pb::DiffPolicyRevisionsRequest { name: name.into(), from: from.into(), to: to.into() };
        self.grpc.diff_policy_revisions(admin(request)).await.map(tonic::Response::into_inner)
    }

    async fn delete(&self, policy: &pb::Policy) {
        let request = pb::DeletePolicyRequest { name: policy.name.clone(), ..Default::default() };
        let deleted = self.grpc.delete_policy(admin(request)).await.unwrap();
        self.seen(&position(&deleted)).await;
    }

    async fn undelete(&self, policy: &pb::Policy) -> Result<pb::Policy, tonic::Status> {
        let request = pb::UndeletePolicyRequest { name: policy.name.clone(), ..Default::default() };
        let back = self.grpc.undelete_policy(admin(request)).await?;
        self.seen(&position(&back)).await;
        Ok(back.into_inner())
    }
}

fn rollback(policy: &pb::Policy, to: &str) -> pb::RollbackPolicyRequest {
    pb::RollbackPolicyRequest {
        name: policy.name.clone(),
        revision: to.into(),
        reason: "it was better".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_history_says_who_changed_what_and_why_the_newest_first() {
    let house = House::new();
    let made = house.create("Servers", vec![level("real_time")]).await;
    house.revise(&made, "passive", "too slow").await;
    let third = house.revise(&made, "on_demand", "a compromise").await;
    let first = house.revisions(&made.name, 2, "").await;
    let rest = house.revisions(&made.name, 2, &first.next_page_token).await;
    let all: Vec<_> = first.revisions.iter().chain(&rest.revisions).collect();
    let numbers: Vec<_> = all.iter().map(|revision| revision.revision).collect();
    assert_eq!((numbers, rest.next_page_token.as_str()), (vec![3, 2, 1], ""));
    assert_eq!((all[1].reason.as_str(), all[1].actor.as_str()), ("too slow", "admin:ada"));
    assert_eq!(all[0].revision_id, third.revision_id);
    assert!(all[0].position > all[1].position);
    house.delete(&third).await;
    assert_eq!(house.revisions(&made.name, 0, "").await.revisions.len(), 3);
    let nobody = pb::ListPolicyRevisionsRequest {
        name: format!("{}/policies/{}", parent(), uuid::Uuid::nil()),
        ..Default::default()
    };
    let unknown = house.grpc.list_policy_revisions(admin(nobody)).await.unwrap_err();
    assert_eq!(code(&unknown), ErrorCode::PolicyUnknown);
    house.end().await;
}

#[tokio::test]
async fn revisions_are_compared_by_number_by_name_and_by_id() {
    let house = House::new();
    let made = house.create("Servers", vec![level("real_time")]).await;
    house.revise(&made, "passive", "").await;
    for (from, to) in
        [("1", "2"), ("", ""), ("", "latest"), (&made.revision_id[..8], "2"), (&made.revision_id, "latest")]
    {
        let diff = house.diff(&made.name, from, to).await.unwrap();
        assert_eq!(diff.settings.len(), 1, "{from} to {to}");
        assert_eq!(diff.settings[0].before, level("real_time").value);
        assert_eq!(diff.settings[0].after, level("passive").value);
        assert_eq!((diff.from.unwrap().revision, diff.to.unwrap().revision), (1, 2));
    }
    for (from, to, expected) in [
        ("1", "3", ErrorCode::RevisionUnknown),
        ("", "1", ErrorCode::RevisionUnknown),
        ("00000000", "2", ErrorCode::RevisionUnknown),
        ("r1", "2", ErrorCode::ArgumentInvalid),
    ] {
        let refused = house.diff(&made.name, from, to).await.unwrap_err();
        assert_eq!(code(&refused), expected, "{from} to {to}");
    }
    house.end().await;
}

#[tokio::test]
async fn rolling_back_makes_a_new_revision() {
    let house = House::new();
    let made = house.create("Servers", vec![level("real_time")]).await;
    house.revise(&made, "passive", "").await;
    let stale = pb::RollbackPolicyRequest { etag: "r1".into(), ..rollback(&made, "1") };
    let refused = house.grpc.rollback_policy(admin(stale)).await.unwrap_err();
    assert_eq!(code(&refused), ErrorCode::EtagMismatch);
    let dry = pb::RollbackPolicyRequest { validate_only: true, ..rollback(&made, "1") };
    let dry = house.grpc.rollback_policy(admin(dry)).await.unwrap();
    assert_eq!((dry.get_ref().revision, position(&dry)), (3, String::new()));
    let back = house.grpc.rollback_policy(admin(rollback(&made, &made.revision_id[..12]))).await.unwrap();
    let back = back.into_inner();
    assert_eq!((back.revision, &back.settings), (3, &made.settings));
    assert_eq!((back.revision_id.as_str(), back.reason.as_str()), (&*made.revision_id, "it was better"));
    assert_eq!(house.revisions(&made.name, 1, "").await.revisions[0].rolled_back_to, 1);
    let again = house.grpc.rollback_policy(admin(rollback(&made, "1"))).await.unwrap();
    assert_eq!(position(&again), "");
    let unknown = house.grpc.rollback_policy(admin(rollback(&made, "9"))).await.unwrap_err();
    assert_eq!(code(&unknown), ErrorCode::RevisionUnknown);
    house.end().await;
}

#[tokio::test]
async fn a_deleted_policy_comes_back_with_its_assignments() {
    let house = House::with_devices().await;
    let made = house.create("Servers", vec![level("passive")]).await;
    house.assign(&made.name, 0).await;
    house.delete(&made).await;
    let effective = || async {
        let request = pb::GetEffectivePolicyRequest { device: device_name(0) };
        house.grpc.get_effective_policy(admin(request)).await.unwrap().into_inner().settings.len()
    };
    assert_eq!(effective().await, 0);
    let list =
        |show_deleted| pb::ListPoliciesRequest { parent: parent(), show_deleted, ..Default::default() };
    let shown = house.grpc.list_policies(admin(list(true))).await.unwrap().into_inner().policies;
    assert!(shown[0].delete_time.is_some());
    assert!(house.grpc.list_policies(admin(list(false))).await.unwrap().into_inner().policies.is_empty());
    let back = house.undelete(&made).await.unwrap();
    assert_eq!((back.revision, back.delete_time), (1, None));
    assert_eq!(effective().await, 1);
    let again = house.undelete(&made).await;
    assert!(again.is_ok(), "what is there is no error");
    house.end().await;
}

#[tokio::test]
async fn a_policy_does_not_come_back_under_a_name_that_another_took() {
    let house = House::new();
    let first = house.create("Servers", vec![level("passive")]).await;
    house.delete(&first).await;
    let second = house.create("Servers", vec![level("real_time")]).await;
    assert_ne!(first.name, second.name);
    let taken = house.undelete(&first).await.unwrap_err();
    assert_eq!(code(&taken), ErrorCode::NameTaken);
    let nobody = pb::Policy { name: format!("{}/policies/{}", parent(), uuid::Uuid::nil()), ..first };
    assert_eq!(code(&house.undelete(&nobody).await.unwrap_err()), ErrorCode::PolicyUnknown);
    house.end().await;
}
