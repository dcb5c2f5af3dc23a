//! The comparison with a static file server: nginx with one JSON file for each device, ETag, client certificates. Both are
//! asked whether something changed and say no; what counts is the server's own processor time.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::try_join_all;
use muster_testkit::ports::Port;
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::client::TlsStream;

use super::device::{Device, devices};
use super::{CONNECTIONS, FEW, Pair, ROUND, Way, calls, cpu_seconds};
use crate::measure::{Limit, Row, median};

const READY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest header of an answer.
const HEADER_MAX: usize = 4_096;

/// On open connections.
pub(crate) async fn against_nginx(nginx: &Path, rounds: usize) -> anyhow::Result<Row> {
    run("per CPU second, nginx, open connections", nginx, rounds, Way::Open { anew: false }).await
}

/// With a new connection for each, resumed.
pub(crate) async fn fresh_against_nginx(nginx: &Path, rounds: usize) -> anyhow::Result<Row> {
    run("per CPU second, nginx, a connection each", nginx, rounds, Way::Fresh).await
}

async fn run(name: &'static str, nginx: &Path, rounds: usize, way: Way) -> anyhow::Result<Row> {
    let Some(nginx) = found(nginx) else {
        let (product, bare) = ("skipped".to_owned(), "no nginx here".to_owned());
        return Ok(Row { name, product, bare, value: f64::NAN, limit: Limit::None });
    };
    let pair = Pair::start(FEW).await?;
    let mut own = devices(&pair.trust, CONNECTIONS)?;
    for device in &mut own {
        device.settle(pair.product.address).await?;
    }
    let files = Files::start(&nginx, pair.dir.path()).await?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let bare = files.calls(&own, way).await?;
        let product = 1e6 / calls(&pair.product, &mut own, way).await?.cpu_us;
        pairs.push((product, bare));
    }
    files.stop().await?;
    pair.stop().await?;
    let row = Row::of_rates(name, &pairs, 0.0);
    Ok(Row {
        value: median(pairs.iter().map(|(product, bare)| product / bare).collect()),
        limit: Limit::None,
        ..row
    })
}

/// The program, as given or on the path; `None` when it is not there.
fn found(nginx: &Path) -> Option<PathBuf> {
    if nginx.components().count() > 1 {
        return nginx.is_file().then(|| nginx.to_owned());
    }
    ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(nginx))
        .find(|path| path.is_file())
}

/// A file server that runs.
struct Files {
    address: SocketAddr,
    _port: Port,
    child: Child,
}

impl Files {
    async fn start(nginx: &Path, dir: &Path) -> anyhow::Result<Self> {
        let port = Port::free()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let root = dir.join("files");
        std::fs::create_dir_all(&root)?;
        // The shape of a policy of some settings; what it says does not matter.
        let policy = serde_like(40);
        for n in 0..FEW {
            std::fs::write(root.join(format!("{n}.json")), &policy)?;
        }
        let conf = dir.join("nginx.conf");
        std::fs::write(&conf, configuration(dir, address))?;
        let child = Command::new(nginx)
            .arg("-c")
            .arg(&conf)
            .arg("-p")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let files = Self { address, _port: port, child };
        let ready = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, ready).await.context("nginx does not get ready")?;
        Ok(files)
    }

    /// Requests for each second of its processor.
    async fn calls(&self, devices: &[Device], way: Way) -> anyhow::Result<f64> {
        let pid = self.child.id().context("nginx ended")?;
        let (start, before) = (Instant::now(), cpu_seconds(pid)?);
        let loops = (0..).zip(devices).map(|(n, device)| {
            let mut tls = ClientConfig::clone(&device.tls);
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            // Its own sessions: those of the other server are under the same name.
            tls.resumption = Resumption::in_memory_sessions(muster_pki::tls::CLIENT_SESSIONS_MAX);
            let (tls, address) = (Arc::new(tls), self.address);
            #[expect(clippy::disallowed_methods, reason = "awaited below")]
            tokio::spawn(async move {
                let mut stream = Device::open(tls.clone(), address).await?;
                let etag = get(&mut stream, n, None).await?.context("an answer without an etag")?;
                let mut calls = 1_u32;
                while start.elapsed() < ROUND {
                    if matches!(way, Way::Fresh) {
                        stream = Device::open(tls.clone(), address).await?;
                        let shaken = stream.get_ref().1.handshake_kind();
                        anyhow::ensure!(shaken == Some(HandshakeKind::Resumed), "not resumed: {shaken:?}");
                    }
                    get(&mut stream, n, Some(&etag)).await?;
                    calls += 1;
                }
                anyhow::Ok(calls)
            })
        });
        let mut all = 0.0;
        for calls in try_join_all(loops).await? {
            all += f64::from(calls?);
        }
        Ok(all / (cpu_seconds(pid)? - before))
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

fn serde_like(settings: usize) -> String {
    let settings: Vec<_> =
        (0..settings).map(|n| format!("{{\"id\":\"linux-antivirus/setting_{n}\",\"value\":true}}")).collect();
    format!("{{\"settings\":[{}]}}", settings.join(","))
}

fn configuration(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; tcp_nodelay on;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  keepalive_requests 100000000; keepalive_timeout 1h; open_file_cache max=20000;
  server {{
    listen {address} ssl; root {dir}/files;
    ssl_certificate {dir}/pki/policy.pem; ssl_certificate_key {dir}/pki/policy.key;
    ssl_client_certificate {dir}/pki/ca.pem; ssl_verify_client on; ssl_verify_depth 2;
    ssl_protocols TLSv1.3; ssl_session_tickets on; ssl_session_timeout 6h;
  }}
}}
"
    )
}

/// Asks for a device's file; `None` when it is not modified, else its etag.
async fn get(
    stream: &mut TlsStream<TcpStream>,
    n: u32,
    etag: Option<&str>,
) -> anyhow::Result<Option<String>> {
    let if_none = etag.map_or_else(String::new, |etag| format!("If-None-Match: {etag}\r\n"));
    let request = format!("GET /{n}.json HTTP/1.1\r\nHost: localhost\r\n{if_none}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; HEADER_MAX];
    let mut filled = 0;
    let end = loop {
        filled += stream.read(&mut answer[filled..]).await?;
        if let Some(end) = answer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        anyhow::ensure!(filled < HEADER_MAX, "no end of the header");
    };
    let header = String::from_utf8_lossy(&answer[..end]).into_owned();
    if header.starts_with("HTTP/1.1 304") {
        return Ok(None);
    }
    anyhow::ensure!(header.starts_with("HTTP/1.1 200") && etag.is_none(), "answered {header}");
    let field = |name: &str| header.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    let length: usize = field("Content-Length:").context("an answer without a length")?.parse()?;
    let mut rest = vec![0; length.saturating_sub(filled - end)];
    stream.read_exact(&mut rest).await?;
    Ok(field("ETag:"))
}
