//! What makes a policy be obeyed: keys that rotate, clocks that are wrong, machines that are restored.

use std::time::Duration;

use muster_agent::{Agent, Snapshot};
use muster_pki::LocalTrust;
use muster_pki::local::RotationStep;
use muster_types::{Clock as _, SettingValue, SystemClock, WithheldReason};
use tokio::task::JoinSet;

use crate::server::{Server, config, reaches, reported, serve, soon};

/// Runs an agent until the test ends; it has the first policy in force.
async fn run(
    tasks: &mut JoinSet<()>,
    server: &Server,
    dir: &tempfile::TempDir,
) -> tokio::sync::watch::Receiver<Snapshot> {
    let agent = Agent::new(config(server, dir, Some("good"))).unwrap();
    let mut seen = agent.observe();
    tasks.spawn(async move { agent.run(std::future::pending()).await.unwrap() });
    reaches(&mut seen, |seen| reported(seen, 2) && seen.connected).await;
    seen
}

fn rotate(server: &Server, step: RotationStep) {
    LocalTrust::rotate_policy_key(server.trust.dir(), step, true, SystemClock.now()).unwrap();
}

#[tokio::test]
async fn no_policy_is_refused_while_the_keys_that_sign_them_rotate() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let mut seen = run(&mut tasks, &server, &dir).await;
    let old = server.trust.reload().unwrap();
    let steps = [RotationStep::Prepare, RotationStep::Switch, RotationStep::Retire];
    for (value, step) in (3..).zip(steps) {
        rotate(&server, step);
        server.poke();
        let now = reaches(&mut seen, |seen| reported(seen, value)).await;
        assert_eq!(now.last_error, None, "{step:?}");
    }
    // By the old key alone: what is in force stays.
    server.script().sign_as = Some(old);
    server.poke();
    let refusing = |seen: &Snapshot| {
        seen.last_error.as_deref().is_some_and(|error| error.starts_with("POLICY_UNSIGNED"))
    };
    assert_eq!(reaches(&mut seen, refusing).await.applied_version, 5);
    server.script().sign_as = None;
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}

    // What was learned is still known, and what was kept is still good.
    let kept = std::fs::read(dir.path().join("agent/enrollment.pb")).unwrap();
    let told: muster_proto::enroll::v1::OnboardResponse = prost::Message::decode(&*kept).unwrap();
    let present = server.trust.reload().unwrap();
    let ids: Vec<_> = told.policy_keys.iter().map(|key| key.key_id.as_str()).collect();
    assert_eq!(ids, [present.policy_signer().unwrap().key_id()]);
    let policy =
        muster_envelope::decode(&std::fs::read(dir.path().join("agent/policy.pb")).unwrap()).unwrap();
    muster_envelope::Document::open(&policy, present.policy_trust()).unwrap();
}

#[tokio::test]
async fn a_device_that_was_away_for_a_whole_rotation_refuses_nothing() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let once = |token| Agent::new(config(&server, &dir, token)).unwrap();
    soon(once(Some("good")).once(std::future::pending())).await.unwrap();
    for step in [RotationStep::Prepare, RotationStep::Switch, RotationStep::Retire] {
        rotate(&server, step);
    }
    // Nothing changed for it but the key: it gets its policy anew.
    soon(once(None).once(std::future::pending())).await.unwrap();
    let policy =
        muster_envelope::decode(&std::fs::read(dir.path().join("agent/policy.pb")).unwrap()).unwrap();
    muster_envelope::Document::open(&policy, server.trust.reload().unwrap().policy_trust()).unwrap();
    tasks.abort_all();
}

#[tokio::test]
async fn a_clock_that_is_ten_years_off_keeps_no_policy_away_and_is_told_once() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    server.script().ahead = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    let mut seen = run(&mut tasks, &server, &dir).await;
    server.poke();
    let now = reaches(&mut seen, |seen| reported(seen, 3)).await;
    assert_eq!(now.last_error, None);
    // The next survey, before the next check-in, brings it up.
    server.poke();
    reaches(&mut seen, |seen| reported(seen, 4)).await;
    tasks.abort_all();
    let script = server.script();
    let told: Vec<_> = script.facts.iter().flat_map(|report| &report.troubles).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].code, "CLOCK");
    assert!(told[0].detail.contains("behind"), "{told:?}");
}

#[tokio::test]
async fn a_watch_that_the_server_ends_is_opened_again_without_a_check_in() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    server.script().end_watch = Some(Duration::from_millis(50));
    let mut seen = run(&mut tasks, &server, &dir).await;
    server.poke();
    reaches(&mut seen, |seen| reported(seen, 3)).await;
    let script = server.script();
    let heard = |what| script.heard.iter().filter(|heard| **heard == what).count();
    assert_eq!(heard("watch"), 2, "{:?}", script.heard);
    tasks.abort_all();
}

#[tokio::test]
async fn what_is_withheld_is_reported() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    server.script().withheld = vec![("linux-antivirus/scan_archives", WithheldReason::Conflict)];
    let seen = run(&mut tasks, &server, &dir).await;
    let told: Vec<_> = seen
        .borrow()
        .last_report
        .iter()
        .map(|outcome| (outcome.id.setting().to_owned(), outcome.reason.map(|code| code.as_str())))
        .collect();
    let expected = [("maximum_on_demand_scan_threads", None), ("scan_archives", Some("SETTING_CONFLICT"))];
    assert_eq!(told, expected.map(|(id, reason)| (id.to_owned(), reason)));
    tasks.abort_all();
}

#[tokio::test]
async fn a_machine_restored_from_a_snapshot_catches_up() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let once = |token| Agent::new(config(&server, &dir, token)).unwrap();
    soon(once(Some("good")).once(std::future::pending())).await.unwrap();
    let state = dir.path().join("agent");
    let snapshot: Vec<_> = ["policy.pb", "progress.json"]
        .map(|name| (state.join(name), std::fs::read(state.join(name)).unwrap()))
        .into();
    server.threads.send_replace(4);
    soon(once(None).once(std::future::pending())).await.unwrap();
    for (path, bytes) in snapshot {
        std::fs::write(path, bytes).unwrap();
    }
    soon(once(None).once(std::future::pending())).await.unwrap();
    assert!(crate::server::managed(&dir).contains(r#""maximumOnDemandScanThreads": 4"#));
    let script = server.script();
    let said: Vec<_> =
        script.check_ins.iter().map(|(request, _)| (request.sequence, request.applied_version)).collect();
    assert_eq!(said[said.len() - 1], (1, 2), "each run counts from 1, and says what is in force: {said:?}");
    let mut sessions: Vec<_> = script.check_ins.iter().map(|(request, _)| &request.session_id).collect();
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "each run has its own session");
    tasks.abort_all();
}

/// What the last report says of the one setting: its value, and how often it was put back.
fn last_said(server: &Server) -> (Option<SettingValue>, u32) {
    let script = server.script();
    let setting = &script.reports.last().unwrap().settings[0];
    let observed = setting.observed.clone().map(|value| value.try_into().unwrap());
    (observed, setting.corrections)
}

#[tokio::test]
async fn what_is_changed_by_hand_is_put_back_at_the_next_check_in_counted_and_reported() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let once = async |token| {
        let agent = Agent::new(config(&server, &dir, token)).unwrap();
        soon(agent.once(std::future::pending())).await.unwrap();
    };
    let file = dir.path().join("root/etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
    let edit = |by: &str| {
        let content = std::fs::read_to_string(&file).unwrap();
        let value = SettingValue::Integer(*server.threads.borrow());
        let before = format!(r#""maximumOnDemandScanThreads": {value}"#);
        assert!(content.contains(&before), "{content}");
        std::fs::write(&file, content.replace(&before, by)).unwrap();
    };
    let is = |value, corrections| (Some(SettingValue::Integer(value)), corrections);
    once(Some("good")).await;
    assert_eq!(last_said(&server), is(2, 0), "a first policy corrects nothing");
    edit(r#""maximumOnDemandScanThreads": 7"#);
    once(None).await;
    assert_eq!(last_said(&server), is(2, 1));
    assert!(crate::server::managed(&dir).contains(r#""maximumOnDemandScanThreads": 2"#));
    let reports = server.script().reports.len();
    once(None).await;
    assert_eq!(server.script().reports.len(), reports + 1, "a run begins with a report");
    assert_eq!(last_said(&server), is(2, 1), "it is kept across restarts");
    edit(r#""maximumOnDemandScanThreads": "many""#);
    once(None).await;
    assert_eq!(last_said(&server), is(2, 2));
    std::fs::remove_file(&file).unwrap();
    once(None).await;
    assert_eq!(last_said(&server), is(2, 3));
    server.poke();
    once(None).await;
    assert_eq!(last_said(&server), is(3, 0), "a new policy is an intentional change");
    tasks.abort_all();
}

#[tokio::test]
async fn an_agent_that_stays_puts_back_what_was_changed_when_it_checks_in_and_is_answered_nothing_new() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let mut seen = run(&mut tasks, &server, &dir).await;
    let file = dir.path().join("root/etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
    std::fs::write(&file, "{}").unwrap();
    // A hint without a new policy.
    server.threads.send_modify(|_| {});
    let corrected = |seen: &Snapshot| seen.last_report.first().is_some_and(|one| one.corrections == 1);
    reaches(&mut seen, corrected).await;
    assert!(crate::server::managed(&dir).contains(r#""maximumOnDemandScanThreads": 2"#));
    let reports = server.script().reports.len();
    let check_ins = server.script().check_ins.len();
    server.threads.send_modify(|_| {});
    server.poke();
    reaches(&mut seen, |seen| reported(seen, 3)).await;
    assert!(server.script().check_ins.len() > check_ins);
    assert_eq!(server.script().reports.len(), reports + 1, "what stands as it should is not reported again");
    tasks.abort_all();
}
