//! Keeping the trust.

use std::fs;

use muster_agent::{Agent, Snapshot};
use muster_errors::ErrorCode;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as policy;
use tokio::task::JoinSet;

use crate::server::{Server, config, device, reaches, reported, serve, soon};

/// The certificate of the last check-in.
fn last_caller(server: &Server) -> Vec<u8> {
    server.script().check_ins.last().unwrap().1.clone()
}

fn is_device(seen: &Snapshot, n: u8) -> bool {
    seen.device.as_deref().is_some_and(|name| name.ends_with(&device(n).to_string()))
}

#[tokio::test]
async fn a_certificate_is_renewed_over_the_old_one_also_when_the_answer_is_lost() {
    for lost in [false, true] {
        let mut tasks = JoinSet::new();
        let (server, dir) = serve(&mut tasks).await;
        let agent = Agent::new(config(&server, &dir, Some("good"))).unwrap();
        let mut seen = agent.observe();
        let running = tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
        reaches(&mut seen, |seen| reported(seen, 2) && seen.connected).await;
        let old = last_caller(&server);
        {
            let mut script = server.script();
            script.needs = vec![policy::Need::Renewal];
            script.lose_activation = lost;
        }
        server.poke();
        reaches(&mut seen, |seen| reported(seen, 3)).await;
        reaches(&mut seen, |_| server.script().heard.contains(&"activate")).await;
        // From here on the old one is refused.
        server.poke();
        reaches(&mut seen, |seen| reported(seen, 4)).await;
        assert_ne!(last_caller(&server), old, "lost: {lost}");
        let renewals = server.script().renewals.clone();
        assert_eq!((renewals.len(), renewals[0].proof.as_ref()), (1, None));
        let keys = [&server.script().onboardings[0].csr_der, &renewals[0].csr_der]
            .map(|der| muster_pki::csr::parse(der).unwrap().key_digest());
        assert_ne!(keys[0], keys[1], "each certificate has a key of its own");
        assert_eq!(server.script().onboardings.len(), 1);

        running.abort();
        drop(tasks.join_next().await);
        server.poke();
        let again = Agent::new(config(&server, &dir, None)).unwrap();
        soon(again.once(std::future::pending())).await.unwrap();
        assert_ne!(last_caller(&server), old, "and after a restart");
        let state = dir.path().join("agent");
        assert!(!state.join("next.pb").exists() && !state.join("next-key.pkcs8").exists());
        tasks.abort_all();
    }
}

#[tokio::test]
async fn a_renewal_that_was_interrupted_is_finished_by_the_next_run() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let first = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    soon(first.once(std::future::pending())).await.unwrap();
    let old = last_caller(&server);
    {
        let mut script = server.script();
        script.needs = vec![policy::Need::Renewal];
        script.lose_activation = true;
    }
    server.poke();
    // It ends with the lost answer: the new certificate is on the disk, and the old one in use.
    let second = Agent::new(config(&server, &dir, None)).unwrap();
    drop(soon(second.once(std::future::pending())).await);
    assert!(dir.path().join("agent/next.pb").exists());
    assert!(server.script().revoked.contains(&old));
    let third = Agent::new(config(&server, &dir, None)).unwrap();
    soon(third.once(std::future::pending())).await.unwrap();
    assert_ne!(last_caller(&server), old);
    assert!(!dir.path().join("agent/next.pb").exists());
    tasks.abort_all();
}

#[tokio::test]
async fn a_proof_that_appears_promotes_the_device_into_the_one_that_is_known() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let mut config = config(&server, &dir, Some("good"));
    config.registration_cert = Some(dir.path().join("corp.pem"));
    config.registration_key = Some(dir.path().join("corp.key"));
    let agent = Agent::new(config.clone()).unwrap();
    let mut seen = agent.observe();
    let running = tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
    reaches(&mut seen, |seen| reported(seen, 2) && seen.connected).await;
    assert!(is_device(&seen.borrow(), 1));
    assert_eq!(server.script().onboardings[0].proof, None);

    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["host.corp".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(config.registration_cert.as_ref().unwrap(), certificate.pem()).unwrap();
    fs::write(config.registration_key.as_ref().unwrap(), key.serialize_pem()).unwrap();
    server.script().device = 2;
    server.poke();
    let merged = reaches(&mut seen, |seen| is_device(seen, 2) && reported(seen, 3)).await;
    assert!(merged.spiffe_id.unwrap().ends_with(&device(2).to_string()));
    let proof = server.script().renewals[0].proof.clone().and_then(|proof| proof.proof);
    let Some(identity::registration_proof::Proof::Certificate(proof)) = proof else { panic!("{proof:?}") };
    assert_eq!(proof.chain_der, [certificate.der().to_vec()]);

    running.abort();
    drop(tasks.join_next().await);
    let again = Agent::new(config).unwrap();
    soon(again.once(std::future::pending())).await.unwrap();
    assert_eq!(server.script().renewals.len(), 1, "it is shown once");
    tasks.abort_all();
}

#[tokio::test]
async fn a_revoked_device_onboards_again_with_a_new_key_or_stops() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let first = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    soon(first.once(std::future::pending())).await.unwrap();
    let old = last_caller(&server);
    server.script().revoked.push(old);
    let without = Agent::new(config(&server, &dir, None)).unwrap();
    let error = soon(without.run(std::future::pending())).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CertificateRevoked);
    assert!(error.message.contains("--token"), "{error}");
    server.poke();
    let with = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    let mut seen = with.observe();
    tasks.spawn(async move { with.run(std::future::pending()).await.unwrap() });
    reaches(&mut seen, |seen| reported(seen, 3)).await;
    let keys: Vec<_> = server
        .script()
        .onboardings
        .iter()
        .map(|onboarding| muster_pki::csr::parse(&onboarding.csr_der).unwrap().key_digest())
        .collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1], "the old key may be in other hands");
    let told = server.script().onboardings[1].troubles.iter().any(|trouble| trouble.code == "CERTIFICATE");
    assert!(told, "and why it comes back");
    tasks.abort_all();
}

#[tokio::test]
async fn two_boots_of_one_device_can_be_told_apart() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let boot = dir.path().join("machine/proc/sys/kernel/random/boot_id");
    fs::create_dir_all(boot.parent().unwrap()).unwrap();
    fs::write(&boot, "6fa459ea-ee8a-3ca4-894e-db77e160355e\n").unwrap();
    for token in [Some("good"), None] {
        let agent = Agent::new(config(&server, &dir, token)).unwrap();
        soon(agent.once(std::future::pending())).await.unwrap();
    }
    let check_ins = server.script().check_ins.clone();
    let (first, last) = (&check_ins[0].0, &check_ins.last().unwrap().0);
    assert_eq!(first.boot_id[..2], [0x6f, 0xa4]);
    assert_eq!(first.boot_id, last.boot_id);
    assert_ne!(first.session_id, last.session_id, "each run has an id of its own");
    tasks.abort_all();
}
