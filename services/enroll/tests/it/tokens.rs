//! Admins make, list and revoke onboarding tokens.

use muster_errors::ErrorCode;
use muster_proto::enroll::v1 as pb;
use muster_types::Service;
use uuid::Uuid;

use crate::server::{PARENT, TestDevice, TestServer, code};

fn create(request_id: Uuid) -> pb::CreateOnboardingTokenRequest {
    pb::CreateOnboardingTokenRequest {
        parent: PARENT.into(),
        request_id: request_id.to_string(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_repeated_request_makes_no_second_token_and_tells_no_secret() {
    let server = TestServer::start().await;
    let mut admin = server.admin().enrollment_admin();
    let request = create(Uuid::from_u128(1));
    let first = admin.create_onboarding_token(request.clone()).await.expect("made").into_inner();
    let newcomer = server.admin();
    let repeat = newcomer.enrollment_admin().create_onboarding_token(request.clone()).await;
    let again = repeat.expect("found").into_inner();
    assert_eq!(newcomer.positions().get(Service::Enroll), 1, "what is there already can be read too");
    assert!(first.secret.starts_with("mot_"));
    assert_eq!(again.secret, "");
    assert_eq!(again.onboarding_token, first.onboarding_token);
    assert_eq!(server.events().await, ["OnboardingTokenIssued"]);

    let other = pb::CreateOnboardingTokenRequest { uses_max: 9, ..request };
    assert_eq!(code(admin.create_onboarding_token(other).await), Some(ErrorCode::RequestIdReused));
}

#[tokio::test]
async fn a_mere_check_changes_nothing() {
    let server = TestServer::start().await;
    let mut admin = server.admin().enrollment_admin();
    let check = pb::CreateOnboardingTokenRequest { validate_only: true, ..create(Uuid::from_u128(1)) };
    let checked = admin.create_onboarding_token(check).await.expect("checked").into_inner();
    assert_eq!(checked.secret, "");
    let bad = pb::CreateOnboardingTokenRequest {
        validate_only: true,
        uses_max: 2_000_000,
        ..create(Uuid::from_u128(1))
    };
    assert_eq!(code(admin.create_onboarding_token(bad).await), Some(ErrorCode::ArgumentInvalid));
    assert!(server.events().await.is_empty());
}

#[tokio::test]
async fn a_revoked_token_lets_nobody_in_and_stays_listed() {
    let server = TestServer::start().await;
    let (older, newer) = (server.token(5).await, server.token(5).await);
    let name = |token: &pb::CreateOnboardingTokenResponse| {
        token.onboarding_token.as_ref().map(|token| token.name.clone()).unwrap_or_default()
    };
    let client = server.admin();
    let mut admin = client.enrollment_admin();
    let revoke = pb::RevokeOnboardingTokenRequest { name: name(&older), ..Default::default() };
    let check = pb::RevokeOnboardingTokenRequest { validate_only: true, ..revoke.clone() };
    let checked = admin.revoke_onboarding_token(check).await.expect("checked").into_inner();
    assert!(checked.revoke_time.is_some());
    assert_eq!(server.events().await.len(), 2);
    let revoked = admin.revoke_onboarding_token(revoke.clone()).await.expect("revoked").into_inner();
    let again = admin.revoke_onboarding_token(revoke).await.expect("still revoked").into_inner();
    assert_eq!(again, revoked);

    let refused = server.onboard(&older.secret, &TestDevice::new(1)).await;
    assert_eq!(refused.map_err(|fault| fault.code), Err(ErrorCode::TokenRevoked));
    let list = pb::ListOnboardingTokensRequest { parent: PARENT.into(), ..Default::default() };
    let listed = admin.list_onboarding_tokens(list).await.expect("listed").into_inner();
    let names: Vec<_> = listed.onboarding_tokens.iter().map(|token| token.name.clone()).collect();
    assert_eq!(names, [name(&newer), name(&older)]);
    assert_eq!(listed.onboarding_tokens[1], revoked);
}

#[tokio::test]
async fn only_admins_get_near_tokens() {
    let server = TestServer::start().await;
    let refused = server.anonymous().enrollment_admin().create_onboarding_token(create(Uuid::nil())).await;
    assert_eq!(code(refused), Some(ErrorCode::AdminTokenInvalid));
    let unknown = pb::RevokeOnboardingTokenRequest {
        name: format!("{PARENT}/onboardingTokens/{}", Uuid::nil()),
        ..Default::default()
    };
    let refused = server.admin().enrollment_admin().revoke_onboarding_token(unknown).await;
    assert_eq!(code(refused), Some(ErrorCode::TokenUnknown));
}
