//! Real nats-servers for tests: one, or three as a cluster, on free loopback ports, with their data in a folder of
//! their own. They end with the fixture.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::ports::Port;

/// Environment variable that names the nats-server to use.
pub const SERVER_VARIABLE: &str = "MUSTER_NATS_SERVER";
/// How long servers may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_LOOK_EVERY: Duration = Duration::from_millis(20);

/// When a server syncs what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before it acknowledges.
    Always,
    /// Every two minutes: the server's default.
    Lazy,
}

/// One nats-server process.
#[derive(Debug)]
pub struct NatsServer {
    dir: PathBuf,
    port: Port,
    monitor_port: Port,
    child: Option<Child>,
    /// Kept by the fixture of a single server; a cluster keeps its own.
    _folder: Option<TempDir>,
}

/// Three nats-servers as one cluster.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
    _routes: [Port; 3],
    _folder: TempDir,
}

/// The nats-server to run: the one the environment names, the one `cargo xtask setup` installed, or one on the path.
///
/// # Errors
/// When there is none.
pub fn server_binary() -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test fixture has no command line to configure it")]
    let (named, path) = (std::env::var_os(SERVER_VARIABLE), std::env::var_os("PATH"));
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/nats-server");
    let on_path = path.iter().flat_map(std::env::split_paths).map(|dir| dir.join("nats-server"));
    let mut candidates = named.map(PathBuf::from).into_iter().chain([installed]).chain(on_path);
    candidates
        .find(|candidate| candidate.is_file())
        .context("there is no nats-server: run `cargo xtask setup`, or set MUSTER_NATS_SERVER")
}

impl NatsServer {
    /// Starts a single server with JetStream and waits until it is ready.
    ///
    /// # Errors
    /// When there is no nats-server, or it does not start.
    pub async fn start(sync: Sync) -> Result<Self> {
        Self::start_with(sync, "").await
    }

    /// Starts a single server with further lines in its configuration.
    ///
    /// # Errors
    /// When there is no nats-server, or it does not start, for example because of those lines.
    pub async fn start_with(sync: Sync, lines: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut server = Self::configured(folder.path(), "single", Port::several()?, sync, lines)?;
        server._folder = Some(folder);
        server.run().await?;
        Ok(server)
    }

    fn configured(
        dir: &Path,
        name: &str,
        [port, monitor_port]: [Port; 2],
        sync: Sync,
        lines: &str,
    ) -> Result<Self> {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir)?;
        let sync = match sync {
            Sync::Always => "sync_interval: always",
            Sync::Lazy => "sync_interval: \"2m\"",
        };
        let config = format!(
            "host: 127.0.0.1\nport: {port}\nhttp: \"127.0.0.1:{monitor_port}\"\nserver_name: {name}\n\
             jetstream {{\n  store_dir: \"{}\"\n  max_file: 4G\n  {sync}\n}}\n{lines}\n",
            dir.join("data").display()
        );
        std::fs::write(dir.join("server.conf"), config)?;
        Ok(Self { dir, port, monitor_port, child: None, _folder: None })
    }

    /// Starts the process and waits until it is ready.
    async fn run(&mut self) -> Result<()> {
        self.spawn()?;
        self.ready().await
    }

    fn spawn(&mut self) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log"))?;
        let child = Command::new(server_binary()?)
            .arg("-c")
            .arg(self.dir.join("server.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if self.monitor("/healthz").await.is_ok_and(|health| health["status"] == "ok") {
                return Ok(());
            }
            let child = self.child.as_mut().context("it was not started")?;
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.dir.join("log"))?;
                bail!("nats-server does not become ready ({ended:?}):\n{log}");
            }
            tokio::time::sleep(READY_LOOK_EVERY).await;
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where a user connects.
    #[must_use]
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("nats://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// Where it tells about itself.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// Kills it as a power cut of the process would (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        child.kill().await?;
        Ok(())
    }

    /// Starts it again on the same ports and data, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "it still runs");
        self.run().await
    }

    /// What the monitoring port answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn monitor(&self, path: &str) -> Result<Value> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.monitor_port.number())).await?;
        connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let (_, body) =
            answer.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::from(ErrorKind::InvalidData))?;
        Ok(serde_json::from_str(body)?)
    }
}

impl NatsCluster {
    /// Starts three servers and waits until all of them are ready.
    ///
    /// # Errors
    /// When there is no nats-server, or they do not start.
    pub async fn start(sync: Sync) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [a, b, c, am, bm, cm, ar, br, cr] = Port::several()?;
        let routes = [&ar, &br, &cr].map(|port| format!("\"nats://127.0.0.1:{port}\"")).join(", ");
        let mut nodes = Vec::new();
        for (name, ports, route) in [("n0", [a, am], &ar), ("n1", [b, bm], &br), ("n2", [c, cm], &cr)] {
            let cluster = format!(
                "cluster {{\n  name: muster\n  host: 127.0.0.1\n  port: {route}\n  routes: [{routes}]\n}}"
            );
            let mut node = NatsServer::configured(folder.path(), name, ports, sync, &cluster)?;
            node.spawn()?;
            nodes.push(node);
        }
        for node in &mut nodes {
            node.ready().await?;
        }
        Ok(Self { nodes, _routes: [ar, br, cr], _folder: folder })
    }

    /// Where clients connect: all servers, separated by commas.
    #[must_use]
    pub fn urls(&self) -> String {
        self.nodes.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    /// Where the servers tell about themselves.
    #[must_use]
    pub fn monitor_urls(&self) -> Vec<String> {
        self.nodes.iter().map(NatsServer::monitor_url).collect()
    }

    /// One of the three servers.
    pub fn node(&mut self, index: usize) -> &mut NatsServer {
        &mut self.nodes[index]
    }

    /// The server that leads a JetStream stream now.
    ///
    /// # Errors
    /// When none does within a minute.
    pub async fn leader_of(&self, stream: &str) -> Result<usize> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline {
            for node in &self.nodes {
                let Ok(told) = node.monitor("/jsz?streams=1&accounts=1").await else { continue };
                if let Some(leader) = leader_in(&told, stream) {
                    return leader
                        .trim_start_matches('n')
                        .parse()
                        .context("a server of another cluster leads");
                }
            }
            tokio::time::sleep(READY_LOOK_EVERY).await;
        }
        bail!("nobody leads {stream}")
    }
}

fn leader_in<'a>(told: &'a Value, stream: &str) -> Option<&'a str> {
    let accounts = told["account_details"].as_array()?;
    let mut streams = accounts.iter().filter_map(|account| account["stream_detail"].as_array()).flatten();
    streams.find(|detail| detail["name"] == stream)?["cluster"]["leader"].as_str()
}
