//! Coming in, following policy, and coming back.

use muster_agent::{Agent, Config, Snapshot, is_onboarded};
use muster_errors::ErrorCode;
use tokio::task::JoinSet;

use crate::server::{ClosedPort, config, managed, reaches, reported, serve, serve_at, soon};

#[tokio::test]
async fn a_device_comes_under_policy_follows_it_and_resumes() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let agent = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    let mut seen = agent.observe();
    let first = tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
    let first_seen = reaches(&mut seen, |seen| reported(seen, 2) && seen.connected).await;
    assert_eq!(first_seen.applied_version, 2);
    assert_eq!(first_seen.last_error, None);

    server.threads.send_replace(4);
    reaches(&mut seen, |seen| reported(seen, 4)).await;
    assert!(managed(&dir).contains(r#""maximumOnDemandScanThreads": 4"#));

    // An older version is refused, and what is in force stays.
    server.threads.send_replace(3);
    let refusing =
        |seen: &Snapshot| seen.last_error.as_deref().is_some_and(|e| e.starts_with("POLICY_ROLLED_BACK"));
    let refused = reaches(&mut seen, refusing).await;
    assert_eq!(refused.applied_version, 4);

    first.abort();
    drop(tasks.join_next().await);
    assert!(is_onboarded(&dir.path().join("agent")));
    server.threads.send_replace(5);
    let again = Agent::new(config(&server, &dir, None)).unwrap();
    soon(again.once(std::future::pending())).await.unwrap();
    tasks.abort_all();
}

#[tokio::test]
async fn a_token_that_is_no_good_ends_the_agent_with_its_code() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let agent = Agent::new(config(&server, &dir, Some("bad"))).unwrap();
    let ended = soon(agent.run(std::future::pending())).await;
    assert_eq!(ended.unwrap_err().code, ErrorCode::TokenUnknown);
    tasks.abort_all();
}

#[test]
fn a_device_that_is_not_onboarded_needs_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { state_dir: dir.path().to_owned(), ..Config::default() };
    let error = Agent::new(config).err().unwrap();
    assert_eq!(error.code, ErrorCode::ConfigInvalid);
    assert!(error.message.contains("--token"), "{error}");
}

#[tokio::test]
async fn a_refused_device_says_why_and_asks_again() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    server.script().refuse = Some(("OS_TOO_OLD", 1));
    let once = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    let error = soon(once.once(std::future::pending())).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::EnrollmentRefused);
    assert!(error.message.contains("OS_TOO_OLD"), "{error}");
    assert!(!is_onboarded(&dir.path().join("agent")));

    let agent = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    let mut seen = agent.observe();
    tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
    let code = |seen: &Snapshot| seen.authority.as_ref().map(|authority| authority.code.clone());
    reaches(&mut seen, |seen| code(seen).as_deref() == Some("OS_TOO_OLD")).await;
    server.script().refuse = None;
    let enrolled = reaches(&mut seen, |seen| reported(seen, 2)).await;
    assert_eq!(code(&enrolled).as_deref(), Some("ENROLLED"));
    let keys: Vec<_> =
        server.script().onboardings.iter().map(|onboarding| key(&onboarding.csr_der)).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "the same key each time: a lost answer burns nothing");
    tasks.abort_all();
}

fn key(csr_der: &[u8]) -> [u8; 32] {
    muster_pki::csr::parse(csr_der).unwrap().key_digest()
}

#[tokio::test]
async fn what_kept_the_device_from_getting_through_is_told_once_it_does() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let closed = ClosedPort::bind();
    let mut away = config(&server, &dir, Some("good"));
    away.server = Some(closed.url());
    let error = soon(Agent::new(away).unwrap().once(std::future::pending())).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ServerUnreachable);

    let back = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    soon(back.once(std::future::pending())).await.unwrap();
    let troubles = server.script().onboardings[0].troubles.clone();
    let codes: Vec<_> = troubles.iter().map(|trouble| trouble.code.as_str()).collect();
    assert_eq!(codes, ["CONNECTIVITY"], "{troubles:?}");
    assert!(troubles[0].detail.contains(closed.url().trim_start_matches("https://")), "{troubles:?}");
    let again = Agent::new(config(&server, &dir, None)).unwrap();
    soon(again.once(std::future::pending())).await.unwrap();
    assert!(server.script().facts.iter().all(|report| report.troubles.is_empty()), "told once");
    tasks.abort_all();
}

#[tokio::test]
async fn a_server_of_another_authority_ends_the_agent_and_is_told_as_inspection_later() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let (other, _other_dir) = serve_at(&mut tasks, "127.0.0.1:0".parse().unwrap()).await;
    let mut inspected = config(&server, &dir, Some("good"));
    inspected.server = Some(other.url.clone());
    let error = soon(Agent::new(inspected).unwrap().run(std::future::pending())).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ServerUntrusted);
    let back = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    soon(back.once(std::future::pending())).await.unwrap();
    let troubles = server.script().onboardings[0].troubles.clone();
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert_eq!(troubles[0].code, "TLS_INSPECTION");
    tasks.abort_all();
}
