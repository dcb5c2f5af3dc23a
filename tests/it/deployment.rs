//! A deployment under test: real processes, their ports and folders, and what is typed at them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use muster_testkit::nats::{NatsServer, Sync};
use muster_testkit::ports::Port;
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks at what has no signal.
const LOOK_EVERY: Duration = Duration::from_millis(25);

const SERVICES: [&str; 4] = ["enroll", "identity", "policy", "report"];

/// How the control plane is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `muster serve` on the embedded log.
    OneProcess,
    /// Four service processes over a real nats-server.
    FourProcesses,
}

/// A running deployment. Its processes end with it.
pub(crate) struct Deployment {
    pub(crate) dir: TempDir,
    shape: Shape,
    ports: BTreeMap<&'static str, Port>,
    processes: BTreeMap<&'static str, Process>,
    nats: Option<NatsServer>,
    /// Where the services find the log.
    nats_url: String,
    /// Runs what the nats-server's owner does in the background.
    _runtime: tokio::runtime::Runtime,
}

impl Deployment {
    pub(crate) fn start(shape: Shape) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let nats = (shape == Shape::FourProcesses)
            .then(|| runtime.block_on(NatsServer::start(Sync::Always)).unwrap());
        let url = nats.as_ref().map_or_else(String::new, NatsServer::url);
        Self::start_on(shape, runtime, nats, url)
    }

    /// Four processes that are a user of a nats-server with further configuration.
    pub(crate) fn start_as(user: &str, password: &str, nats_config: &str) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let nats = runtime.block_on(NatsServer::start_with(Sync::Always, nats_config)).unwrap();
        let url = nats.url_of(user, password);
        Self::start_on(Shape::FourProcesses, runtime, Some(nats), url)
    }

    fn start_on(
        shape: Shape,
        runtime: tokio::runtime::Runtime,
        nats: Option<NatsServer>,
        nats_url: String,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names: &[&str] = match shape {
            Shape::OneProcess => &["serve"],
            Shape::FourProcesses => &SERVICES,
        };
        let ports = names.iter().map(|name| (*name, Port::free().unwrap())).collect();
        let processes = BTreeMap::new();
        let mut deployment = Self { dir, shape, ports, processes, nats, nats_url, _runtime: runtime };
        if shape == Shape::FourProcesses {
            let pki = deployment.pki();
            succeed(muster().args(["pki", "init", "--dir"]).arg(pki));
        }
        for name in names {
            deployment.start_process(name);
        }
        deployment.await_ready();
        deployment
    }

    /// The processes of the control plane, by name.
    pub(crate) fn process_names(&self) -> Vec<&'static str> {
        self.ports.keys().copied().collect()
    }

    /// Where a user of the nats-server connects.
    pub(crate) fn nats_url_of(&self, user: &str, password: &str) -> String {
        self.nats.as_ref().unwrap().url_of(user, password)
    }

    /// The folder with the authority and the admin token.
    pub(crate) fn pki(&self) -> PathBuf {
        match self.shape {
            Shape::OneProcess => self.data_dir("serve").join("pki"),
            Shape::FourProcesses => self.dir.path().join("pki"),
        }
    }

    /// The data folder of a process.
    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("https://127.0.0.1:{}", self.ports[name])
    }

    /// Where devices come in.
    pub(crate) fn enroll_url(&self) -> String {
        self.url(if self.shape == Shape::OneProcess { "serve" } else { "enroll" })
    }

    /// What `--endpoint` is given.
    pub(crate) fn endpoint(&self) -> String {
        match self.shape {
            Shape::OneProcess => self.url("serve"),
            Shape::FourProcesses => {
                SERVICES.map(|service| format!("{service}={}", self.url(service))).join(",")
            }
        }
    }

    fn start_process(&mut self, name: &'static str) {
        let mut command = match self.shape {
            Shape::OneProcess => {
                let mut command = muster();
                command.arg("serve");
                command
            }
            Shape::FourProcesses => Command::new(program(&format!("muster-{name}"))),
        };
        command.args([
            "--listen",
            &format!("127.0.0.1:{}", self.ports[name]),
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        command.arg("--data-dir").arg(self.data_dir(name)).arg("--pki-dir").arg(self.pki());
        if let Some(nats) = &self.nats {
            command.args(["--log", &self.nats_url, "--nats-monitors", &nats.monitor_url()]);
        }
        if (self.shape, name) == (Shape::FourProcesses, "enroll") {
            command.args(["--identity-url", &self.url("identity")]);
            for service in SERVICES {
                command.args([&format!("--public-{service}-url"), &self.url(service)]);
            }
        }
        if (self.shape, name) == (Shape::FourProcesses, "policy") {
            command.args(["--policy-identity-url", &self.url("identity")]);
        }
        let process = Process::start(command, &self.dir.path().join(format!("{name}.log")));
        self.processes.insert(name, process);
    }

    /// Changes the authority's stage.
    pub(crate) fn rotate(&self, stage: &str) {
        let mut command = muster();
        command.args(["pki", "rotate", "--stage", stage, "--force", "--dir"]).arg(self.pki());
        succeed(&mut command);
    }

    /// What a metric of a process sums up to over its labels.
    pub(crate) fn metric(&self, name: &str, start: &str) -> u64 {
        let metrics = self.probe(name, "/metrics").unwrap();
        let of_it = metrics.lines().filter(|line| line.starts_with(start));
        of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// What the admin port of a process answers.
    pub(crate) fn probe(&self, name: &str, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.data_dir(name).join("endpoint.json")).ok()?;
        let told: Value = serde_json::from_str(&text).ok()?;
        http_get(&format!("{}{path}", told["admin_url"].as_str()?))
    }

    fn await_ready(&mut self) {
        for name in self.process_names() {
            eventually(&format!("{name} is ready"), || {
                self.processes.get_mut(name).unwrap().assert_running();
                self.probe(name, "/readyz").filter(|answer| answer.contains(" 200 ")).map(drop)
            });
        }
    }

    /// Ends a process as a crash does, and starts it again.
    pub(crate) fn kill_and_restart(&mut self, name: &'static str) {
        self.kill(name);
        self.restart(name);
    }

    /// Ends a process as a crash does.
    pub(crate) fn kill(&mut self, name: &'static str) {
        let mut process = self.processes.remove(name).unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        fs::remove_file(self.data_dir(name).join("endpoint.json")).unwrap();
    }

    /// Starts a process that was ended.
    pub(crate) fn restart(&mut self, name: &'static str) {
        self.start_process(name);
        self.await_ready();
    }

    /// Asks a process to end, and tells how it did.
    pub(crate) fn terminate(&mut self, name: &'static str) -> ExitStatus {
        let mut process = self.processes.remove(name).unwrap();
        process.end_by("TERM")
    }

    /// A command of the program, to this deployment, that prints JSON.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = muster();
        command.args(args).args(["--endpoint", &self.endpoint(), "-o", "json"]);
        // The folder beside `pki` is what commands call the data folder.
        command.arg("--data-dir").arg(self.pki().parent().unwrap());
        command
    }

    /// Types a command and reads its JSON; it must succeed.
    pub(crate) fn muster(&self, args: &[&str]) -> Value {
        let output = succeed(&mut self.command(args));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Types a command that prints a JSON object a line.
    pub(crate) fn lines(&self, args: &[&str]) -> Vec<Value> {
        let listed = succeed(&mut self.command(args));
        let lines = std::str::from_utf8(&listed.stdout).unwrap().lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The events of a service's log, in order.
    pub(crate) fn events(&self, service: &str) -> Vec<Value> {
        self.lines(&["events", "tail", "--no-follow", "--service", service])
    }

    /// Types a command that must find a difference, which is exit code 2, and reads its JSON.
    pub(crate) fn differs(&self, args: &[&str]) -> Value {
        let output = self.command(args).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Types a command and gives its exit code.
    pub(crate) fn outcome(&self, args: &[&str]) -> Option<i32> {
        self.command(args).output().unwrap().status.code()
    }

    /// Exports what there is into a folder.
    pub(crate) fn export(&self, folder: &str) {
        let mut command = muster();
        command.args(["export", "-o", folder, "--endpoint", &self.endpoint()]);
        command.arg("--data-dir").arg(self.pki().parent().unwrap());
        succeed(&mut command);
    }

    /// Types a command that may fail, and gives all that it says.
    pub(crate) fn tried_for_output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Types a command that prints no JSON of its own accord, and gives what it prints; it must succeed.
    pub(crate) fn printed(&self, args: &[&str]) -> String {
        let mut command = muster();
        command.args(args).args(["--endpoint", &self.endpoint()]);
        command.arg("--data-dir").arg(self.pki().parent().unwrap());
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    }

    /// Types a command that may fail.
    pub(crate) fn tried(&self, args: &[&str]) {
        drop(self.command(args).output().unwrap());
    }

    /// Types a command that must fail, and gives the code it fails with.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        error_code(&self.command(args).output().unwrap())
    }

    /// Starts an agent with its own state and root.
    pub(crate) fn agent(&self, name: &str, token: &str) -> Agent {
        self.agent_on(&self.machine(name), name, token)
    }

    /// The root of a made-up machine's file system. What it lacks is as on a real one that lacks it.
    pub(crate) fn machine(&self, name: &str) -> PathBuf {
        let root = self.dir.path().join(name).join("root");
        if !root.exists() {
            fs::create_dir_all(root.join("etc")).unwrap();
            fs::write(root.join("etc/machine-id"), format!("{:0>32}\n", hex(name))).unwrap();
            fs::create_dir_all(root.join("proc/sys/kernel/random")).unwrap();
            let boot_id = format!("{:0>12}", hex(name));
            let boot_id = format!("6fa459ea-ee8a-3ca4-894e-{}\n", &boot_id[boot_id.len() - 12..]);
            fs::write(root.join("proc/sys/kernel/random/boot_id"), boot_id).unwrap();
        }
        root
    }

    /// Starts an agent with its own state on a root that is there.
    pub(crate) fn agent_on(&self, root: &Path, name: &str, token: &str) -> Agent {
        self.agent_with(root, name, token, &[])
    }

    /// The same, with further options.
    pub(crate) fn agent_with(&self, root: &Path, name: &str, token: &str, options: &[&str]) -> Agent {
        let (folder, root) = (self.dir.path().join(name), root.to_owned());
        let mut command = Command::new(program("muster-agent"));
        command.arg("run").args(["--server", &self.enroll_url(), "--token", token]);
        command.arg("--ca").arg(self.pki().join("ca.pem"));
        command
            .arg("--root")
            .arg(&root)
            .arg("--facts-root")
            .arg(&root)
            .arg("--state-dir")
            .arg(folder.join("state"));
        command.args(options);
        let log = self.dir.path().join(format!("{name}.log"));
        let process = Process::start(command, &log);
        Agent { root, log, process }
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// A running agent.
pub(crate) struct Agent {
    /// The root of its machine's file system.
    pub(crate) root: PathBuf,
    log: PathBuf,
    process: Process,
}

impl Agent {
    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    /// Whether it has said a word in its log.
    pub(crate) fn said(&self, word: &str) -> Option<()> {
        fs::read_to_string(&self.log).unwrap().contains(word).then_some(())
    }

    /// The managed configuration on the device; null when there is none.
    pub(crate) fn managed_configuration(&self) -> Value {
        let path = self.root.join("etc/opt/microsoft/mdatp/managed/mdatp_managed.json");
        fs::read_to_string(path).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }
}

/// A process that ends with its owner.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// Whether those that it started end with it.
    group: bool,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log: log.to_owned(), group: false }
    }

    /// The same for one that starts others, such as a shell: they end together.
    pub(crate) fn start_group(mut command: Command, log: &Path) -> Self {
        command.process_group(0);
        let mut process = Self::start(command, log);
        process.group = true;
        process
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Fails with what the process said when it has ended.
    pub(crate) fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("it ended ({status}): {}", fs::read_to_string(&self.log).unwrap());
        }
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end_by(&mut self, signal: &str) -> ExitStatus {
        succeed(Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]));
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.group {
            let group = format!("-{}", self.child.id());
            drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program of this workspace, built by the test command.
pub(crate) fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push(name);
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --workspace --bins`, or `cargo xtask test`",
        path.display()
    );
    path
}

/// The `muster` program.
pub(crate) fn muster() -> Command {
    Command::new(program("muster"))
}

/// Runs a command that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The code in `error[CODE]: …` of a command that must have failed.
pub(crate) fn error_code(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it succeeded: {}", String::from_utf8_lossy(&output.stdout));
    let code = stderr.split("error[").nth(1).and_then(|rest| rest.split(']').next());
    code.unwrap_or_else(|| panic!("no error code in: {stderr}")).to_owned()
}

/// Looks until something is so.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {WAIT_MAX:?}: {what}");
        #[expect(clippy::disallowed_methods, reason = "another process has no condition to await")]
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The answer of a URL of this machine, headers and all.
fn http_get(url: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = std::net::TcpStream::connect(host).ok()?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
