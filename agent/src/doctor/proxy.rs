//! Proxies. The agent goes through none: one that is set matters when the direct way is closed.

use std::io;
use std::path::Path;
use std::time::Duration;

use muster_types::EnrollmentCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Finding, Target};
use crate::config::Config;

/// How long a proxy may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);
/// Most bytes of its answer that are read.
const ANSWER_BYTES_MAX: usize = 1024;
/// Largest system-wide environment file that is read.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Where a proxy is set for the whole system.
const SYSTEM_ENVIRONMENT: &str = "etc/environment";

struct Proxy {
    set_by: String,
    host: String,
    port: u16,
}

/// Says whether a proxy is set, what it answers, and whether that matters.
pub(super) async fn look(config: &Config, target: &Target, direct: bool) -> Finding {
    let Some((set_by, url)) = set(config) else {
        return Finding::ok("proxy", "none is set, and the agent needs none: it connects directly");
    };
    let Some(proxy) = parse(set_by.clone(), &url) else {
        let seen = format!("{set_by} is set to what names no proxy; the agent connects directly");
        return Finding::ok("proxy", seen);
    };
    let place = format!("{}:{}", proxy.host, proxy.port);
    let answer = match tokio::time::timeout(ANSWER_WAIT_MAX, ask(&proxy, target)).await {
        Ok(Ok(answer)) => format!("it answers CONNECT {} with {answer:?}", target.authority()),
        Ok(Err(error)) => format!("it cannot be asked: {error}"),
        Err(_) => format!("it does not answer within {} s", ANSWER_WAIT_MAX.as_secs()),
    };
    if direct {
        let seen =
            format!("{} names {place}; the agent connects directly, and that works ({answer})", proxy.set_by);
        return Finding::ok("proxy", seen);
    }
    let seen = format!(
        "{} names the proxy {place}, the agent connects directly, and the direct way is closed; {answer}",
        proxy.set_by
    );
    let action = format!(
        "Let this device reach {} directly, past the proxy: the agent shows a certificate of its own, which no proxy may \
         take apart.",
        target.authority()
    );
    Finding::failed("proxy", EnrollmentCode::Proxy, seen, action)
}

fn set(config: &Config) -> Option<(String, String)> {
    if let Some((name, url)) = config.proxy.https() {
        return Some((name.to_owned(), url.to_owned()));
    }
    let text = read(&config.facts_root.join(SYSTEM_ENVIRONMENT)).unwrap_or_default();
    let value = |line: &str| {
        let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        let names = ["https_proxy", "all_proxy"];
        let named = names.contains(&name.trim().to_lowercase().as_str()) && !value.is_empty();
        named.then(|| (format!("{} in /{SYSTEM_ENVIRONMENT}", name.trim()), value.to_owned()))
    };
    text.lines().find_map(value)
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Host and port; whatever names a user before them is left out and never shown.
fn parse(set_by: String, url: &str) -> Option<Proxy> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => (host, port.parse().ok()?),
        _ => (authority, 3128),
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    let sound = !host.is_empty() && host.chars().all(|c| !c.is_control() && !c.is_whitespace());
    sound.then_some(Proxy { set_by, host, port })
}

/// The first line of what the proxy says to CONNECT.
async fn ask(proxy: &Proxy, target: &Target) -> io::Result<String> {
    let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await?;
    let to = target.authority();
    stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES_MAX && !answer.contains(&b'\n') {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    Ok(line.chars().filter(|c| !c.is_control()).take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_told_by_host_and_port_and_nothing_secret() {
        let place = |url| parse("x".into(), url).map(|proxy| (proxy.host, proxy.port));
        assert_eq!(place("http://user:secret@proxy.corp:8080/"), Some(("proxy.corp".into(), 8080)));
        assert_eq!(place("proxy.corp"), Some(("proxy.corp".into(), 3128)));
        assert_eq!(place("http://[::1]:3128"), Some(("::1".into(), 3128)));
        assert_eq!(place("http://"), None);
    }
}
