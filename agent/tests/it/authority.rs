//! Who manages the device, and leaving.

use std::fs;
use std::time::Duration;

use muster_agent::core::message::{ManagedBy, Standing};
use muster_agent::{Agent, Snapshot, is_onboarded};
use muster_errors::ErrorCode;
use muster_proto::enroll::v1 as enroll;
use muster_proto::policy::v1 as policy;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::server::{Server, config, managed, reaches, reported, serve, soon};

const THREADS: &str = "linux-antivirus/maximum_on_demand_scan_threads";

/// How often a device is hinted that may not watch yet.
const POKE_EVERY: Duration = Duration::from_secs(1);

/// A device under policy.
async fn under_policy(
    tasks: &mut JoinSet<()>,
) -> (Server, tempfile::TempDir, watch::Receiver<Snapshot>, AbortHandle) {
    let (server, dir) = serve(tasks).await;
    let agent = Agent::new(config(&server, &dir, Some("good"))).unwrap();
    let mut seen = agent.observe();
    let running = tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
    reaches(&mut seen, |seen| reported(seen, 2) && seen.connected).await;
    assert!(managed(&dir).contains("maximumOnDemandScanThreads"));
    (server, dir, seen, running)
}

fn stood_down(seen: &Snapshot) -> bool {
    matches!(seen.standing, Standing::StoodDown { .. }) && seen.applied_version == 0
}

fn direct(server: &Server, directive: policy::Directive, code: &'static str) {
    {
        let mut script = server.script();
        script.directive = directive;
        script.directive_code = code;
    }
    server.poke();
}

/// Hints again and again until something is so: a hint while no watch is open is for nobody.
async fn poked(
    server: &Server,
    seen: &mut watch::Receiver<Snapshot>,
    what: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let reached = async {
        loop {
            server.poke();
            let waited = tokio::time::timeout(POKE_EVERY, seen.wait_for(|seen| what(seen))).await;
            if let Ok(seen) = waited {
                return seen.expect("the agent ended").clone();
            }
        }
    };
    soon(reached).await
}

#[tokio::test]
async fn a_device_stands_down_stays_so_after_a_restart_and_resumes() {
    let mut tasks = JoinSet::new();
    let (server, dir, mut seen, running) = under_policy(&mut tasks).await;
    direct(&server, policy::Directive::StandDown, "MANAGED_BY_MDM");
    let seen = reaches(&mut seen, stood_down).await;
    assert_eq!(seen.authority.map(|authority| authority.managed_by), Some(ManagedBy::Mdm));
    assert_eq!(managed(&dir).trim(), "{}");

    running.abort();
    let agent = Agent::new(config(&server, &dir, None));
    // The state folder is free once the first one is gone.
    let agent = match agent {
        Ok(agent) => agent,
        Err(_) => {
            drop(tasks.join_next().await);
            Agent::new(config(&server, &dir, None)).unwrap()
        }
    };
    let mut seen = agent.observe();
    tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
    reaches(&mut seen, |seen| stood_down(seen) && seen.connected).await;
    assert_eq!(managed(&dir).trim(), "{}");
    direct(&server, policy::Directive::Unspecified, "");
    let resumed = reaches(&mut seen, |seen| reported(seen, 4)).await;
    assert_eq!(resumed.standing, Standing::Enforcing);
    assert!(managed(&dir).contains("maximumOnDemandScanThreads"));
    tasks.abort_all();
}

#[tokio::test]
async fn an_mdm_that_comes_is_told_before_any_policy_and_its_leaving_too() {
    let mut tasks = JoinSet::new();
    let (server, dir, mut seen, _) = under_policy(&mut tasks).await;
    let intune = dir.path().join("machine/opt/microsoft/intune");
    fs::create_dir_all(&intune).unwrap();
    fs::create_dir_all(dir.path().join("machine/opt/microsoft/identity-broker")).unwrap();
    let registration = dir.path().join("machine/home/admin/.config/intune/registration.toml");
    fs::create_dir_all(registration.parent().unwrap()).unwrap();
    fs::write(registration, "device_hint = \"8c7d2f10-6f5e-4b0a-9a57-0d5f3a1b2c4d\"\n").unwrap();
    {
        let mut script = server.script();
        script.managed_by = enroll::ManagedBy::Mdm;
        script.code = "MANAGED_BY_MDM";
        script.heard.clear();
    }
    poked(&server, &mut seen, |_| server.script().heard.contains(&"report facts")).await;
    // One check-in may have been under way when the MDM came.
    let heard = server.script().heard.clone();
    let before = heard.iter().take_while(|it| **it != "report facts").filter(|it| **it == "check in");
    assert!(before.count() <= 1, "{heard:?}");
    direct(&server, policy::Directive::StandDown, "MANAGED_BY_MDM");
    poked(&server, &mut seen, stood_down).await;
    let facts = server.script().facts.last().unwrap().facts.clone().unwrap();
    assert_eq!(facts.mdm.unwrap().provider(), enroll::MdmProvider::Intune);
    assert_eq!(managed(&dir).trim(), "{}");

    fs::remove_dir_all(&intune).unwrap();
    {
        let mut script = server.script();
        script.managed_by = enroll::ManagedBy::Muster;
        script.code = "ENROLLED";
        script.directive = policy::Directive::Unspecified;
    }
    let enforces = |seen: &Snapshot| seen.standing == Standing::Enforcing && seen.applied_version > 0;
    let resumed = poked(&server, &mut seen, enforces).await;
    assert_eq!(resumed.authority.map(|authority| authority.managed_by), Some(ManagedBy::Muster));
    tasks.abort_all();
}

#[tokio::test]
async fn a_quarantined_device_keeps_its_policy() {
    let mut tasks = JoinSet::new();
    let (server, dir, mut seen, _) = under_policy(&mut tasks).await;
    direct(&server, policy::Directive::Quarantine, "QUARANTINED");
    let seen = reaches(&mut seen, |seen| seen.standing == Standing::Quarantined).await;
    assert_eq!(seen.applied_version, 2);
    assert!(managed(&dir).contains("maximumOnDemandScanThreads"));
    tasks.abort_all();
}

#[tokio::test]
async fn an_offboarded_device_leaves_and_stays_away_until_it_gets_a_new_token() {
    for (lost, kept) in [(false, false), (true, true)] {
        let mut tasks = JoinSet::new();
        let (server, dir) = serve(&mut tasks).await;
        let first = Agent::new(config(&server, &dir, Some("good"))).unwrap();
        soon(first.once(std::future::pending())).await.unwrap();
        {
            let mut script = server.script();
            script.kept = if kept { vec![THREADS.to_owned()] } else { Vec::new() };
            script.lose_confirmation = lost;
        }
        direct(&server, policy::Directive::Decommission, "OFFBOARDING");
        let agent = Agent::new(config(&server, &dir, Some("good"))).unwrap();
        soon(agent.run(std::future::pending())).await.unwrap();

        let confirmation = server.script().confirmations[0].clone();
        let threads = vec![THREADS.to_owned()];
        let (stays, goes) = if kept { (threads, Vec::new()) } else { (Vec::new(), threads) };
        assert_eq!((confirmation.kept_settings, confirmation.reverted_settings), (stays, goes));
        assert_eq!(confirmation.order_digest.len(), 32);
        assert_eq!(managed(&dir).contains("maximumOnDemandScanThreads"), kept);
        assert!(!is_onboarded(&dir.path().join("agent")));
        let left = fs::read_dir(dir.path().join("agent")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["format", "lock", "offboarded.json"]);

        for token in [None, Some("good")] {
            let error = Agent::new(config(&server, &dir, token)).err().unwrap();
            assert_eq!(error.code, ErrorCode::DeviceDeleted, "{error}");
        }
        server.script().directive = policy::Directive::Unspecified;
        let again = Agent::new(config(&server, &dir, Some("good again"))).unwrap();
        soon(again.once(std::future::pending())).await.unwrap();
        assert!(is_onboarded(&dir.path().join("agent")));
        tasks.abort_all();
    }
}
