//! What the doctor finds.

use std::time::Duration;

use muster_agent::doctor::{Finding, Verdict, examine};
use muster_agent::{Agent, Config, ProxyEnvironment};
use muster_types::{Clock as _, EnrollmentCode, FixedClock, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::server::{ClosedPort, config, serve, serve_at, soon};

fn failures(findings: &[Finding]) -> Vec<(&'static str, Option<EnrollmentCode>)> {
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failed);
    failed.map(|finding| (finding.check, finding.code)).collect()
}

fn finding<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.check == check).unwrap()
}

/// A device that knows nothing but the server.
fn bare(dir: &tempfile::TempDir, server: &str) -> Config {
    Config {
        server: Some(server.to_owned()),
        root: dir.path().join("root"),
        facts_root: dir.path().join("machine"),
        state_dir: dir.path().join("agent"),
        ..Config::default()
    }
}

#[tokio::test]
async fn a_device_that_is_well_has_no_failures_onboarded_or_not() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let config = config(&server, &dir, Some("good"));
    let before = soon(examine(&config, &SystemClock)).await;
    assert_eq!(failures(&before), []);
    assert_eq!(finding(&before, "clock").verdict, Verdict::Ok, "{before:#?}");
    assert!(finding(&before, "certificate").seen.contains("not onboarded"));
    soon(Agent::new(config.clone()).unwrap().once(std::future::pending())).await.unwrap();
    // It knows the server and its authority by itself now.
    let after = soon(examine(&Config { server: None, ca: None, ..config }, &SystemClock)).await;
    assert_eq!(failures(&after), []);
    assert!(finding(&after, "enrollment").seen.starts_with("ENROLLED"), "{after:#?}");
    assert!(finding(&after, "certificate").seen.starts_with("good until"), "{after:#?}");
    tasks.abort_all();
}

#[tokio::test]
async fn a_closed_port_is_a_matter_of_connectivity() {
    let dir = tempfile::tempdir().unwrap();
    let closed = ClosedPort::bind();
    let findings = soon(examine(&bare(&dir, &closed.url()), &SystemClock)).await;
    assert_eq!(failures(&findings), [("connectivity", Some(EnrollmentCode::Connectivity))]);
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_matter_of_dns() {
    let dir = tempfile::tempdir().unwrap();
    let findings = soon(examine(&bare(&dir, "https://muster.invalid:7443"), &SystemClock)).await;
    assert_eq!(failures(&findings), [("dns", Some(EnrollmentCode::Dns))]);
    assert!(finding(&findings, "dns").seen.contains("muster.invalid"));
}

#[tokio::test]
async fn without_a_server_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let findings = soon(examine(&Config { server: None, ..bare(&dir, "") }, &SystemClock)).await;
    assert_eq!(failures(&findings), [("server", None)]);
    let findings = soon(examine(&bare(&dir, "http://x"), &SystemClock)).await;
    assert_eq!(failures(&findings), [("server", None)]);
}

#[tokio::test]
async fn another_authority_is_a_matter_of_inspection_and_its_name_is_shown() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let (other, _other_dir) = serve(&mut tasks).await;
    let mut inspected = config(&server, &dir, None);
    inspected.server = Some(other.url.clone());
    let findings = soon(examine(&inspected, &SystemClock)).await;
    assert_eq!(failures(&findings), [("tls", Some(EnrollmentCode::TlsInspection))]);
    assert!(finding(&findings, "tls").seen.contains("Muster"), "{findings:#?}");
    // Nothing to hold it against: nothing is claimed.
    let findings = soon(examine(&bare(&dir, &other.url), &SystemClock)).await;
    assert_eq!((failures(&findings), finding(&findings, "tls").verdict), (Vec::new(), Verdict::Skipped));
    tasks.abort_all();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told_with_its_names() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve_at(&mut tasks, "127.0.0.2:0".parse().unwrap()).await;
    let findings = soon(examine(&config(&server, &dir, None), &SystemClock)).await;
    assert_eq!(failures(&findings), [("tls", Some(EnrollmentCode::Certificate))]);
    assert!(finding(&findings, "tls").seen.contains("localhost"), "{findings:#?}");
    tasks.abort_all();
}

#[tokio::test]
async fn a_clock_that_is_off_is_found_by_the_date_and_by_the_certificate() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let config = config(&server, &dir, None);
    let now = SystemClock.now();
    let day = Duration::from_secs(24 * 60 * 60);
    let hour_ahead = soon(examine(&config, &FixedClock::at(now.plus(day / 24)))).await;
    assert_eq!(failures(&hour_ahead), [("clock", Some(EnrollmentCode::Clock))]);
    for clock in
        [FixedClock::at(now.plus(day * 365 * 60)), FixedClock::at(muster_types::Timestamp::from_micros(0))]
    {
        let findings = soon(examine(&config, &clock)).await;
        let clock = Some(EnrollmentCode::Clock);
        assert_eq!(failures(&findings), [("tls", clock), ("clock", clock)]);
    }
    tasks.abort_all();
}

/// A proxy that gives one answer to everybody.
async fn proxy(tasks: &mut JoinSet<()>, answer: &'static str) -> ProxyEnvironment {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|n| n > 0)
            {
            }
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    ProxyEnvironment::with_https(format!("http://user:secret@{address}/"))
}

#[tokio::test]
async fn a_proxy_matters_when_the_direct_way_is_closed() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let proxy = proxy(&mut tasks, "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let closed_port = ClosedPort::bind();
    let closed = Config { proxy: proxy.clone(), ..bare(&dir, &closed_port.url()) };
    let findings = soon(examine(&closed, &SystemClock)).await;
    let expected =
        [("connectivity", Some(EnrollmentCode::Connectivity)), ("proxy", Some(EnrollmentCode::Proxy))];
    assert_eq!(failures(&findings), expected);
    let seen = &finding(&findings, "proxy").seen;
    assert!(seen.contains("403 Forbidden") && !seen.contains("secret"), "{seen}");

    let open = Config { proxy, ..config(&server, &dir, None) };
    let findings = soon(examine(&open, &SystemClock)).await;
    assert_eq!(failures(&findings), []);
    assert!(finding(&findings, "proxy").seen.contains("403"), "{findings:#?}");
    tasks.abort_all();
}

#[tokio::test]
async fn a_proxy_of_the_whole_system_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("machine/etc/environment");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "PATH=/bin\nexport https_proxy=\"http://127.0.0.1:1\"\n").unwrap();
    let closed = ClosedPort::bind();
    let findings = soon(examine(&bare(&dir, &closed.url()), &SystemClock)).await;
    assert!(failures(&findings).contains(&("proxy", Some(EnrollmentCode::Proxy))), "{findings:#?}");
}

#[tokio::test]
async fn a_certificate_that_was_ended_and_a_broken_configuration_are_found() {
    let mut tasks = JoinSet::new();
    let (server, dir) = serve(&mut tasks).await;
    let config = config(&server, &dir, Some("good"));
    soon(Agent::new(config.clone()).unwrap().once(std::future::pending())).await.unwrap();
    let late = FixedClock::at(SystemClock.now().plus(Duration::from_secs(2 * 24 * 60 * 60)));
    let findings = soon(examine(&config, &late)).await;
    let certificate = ("certificate", Some(EnrollmentCode::Certificate));
    assert!(failures(&findings).contains(&certificate), "{findings:#?}");
    let managed = dir.path().join("root/etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
    std::fs::write(managed, "{").unwrap();
    let findings = soon(examine(&config, &SystemClock)).await;
    assert_eq!(failures(&findings), [("engine mdatp", None)]);
    tasks.abort_all();
}
