//! House rules that no lint has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use muster_errors::ErrorCode;

/// What each package of ours may depend on, of ours. Arrows point down only; dev-dependencies are free.
const ARROWS: &[(&str, &[&str])] = &[
    ("muster-types", &[]),
    ("muster-errors", &[]),
    ("muster-telemetry", &[]),
    ("muster-proto", &["muster-types"]),
    ("muster-catalog", &["muster-types", "muster-errors"]),
    ("muster-managed", &["muster-types", "muster-errors", "muster-catalog"]),
    ("muster-envelope", &["muster-types", "muster-errors", "muster-proto"]),
    ("muster-pki", &["muster-types", "muster-errors", "muster-envelope"]),
    ("muster-eventlog", &["muster-types", "muster-errors", "muster-proto", "muster-telemetry"]),
    (
        "muster-runtime",
        &[
            "muster-types",
            "muster-errors",
            "muster-proto",
            "muster-telemetry",
            "muster-pki",
            "muster-eventlog",
        ],
    ),
    ("muster-client", &["muster-types", "muster-errors", "muster-proto", "muster-telemetry", "muster-pki"]),
    ("muster-enroll", SERVICE),
    ("muster-identity", SERVICE),
    ("muster-policy", SERVICE),
    ("muster-report", SERVICE),
    (
        "muster-agent",
        &[
            "muster-types",
            "muster-errors",
            "muster-proto",
            "muster-telemetry",
            "muster-pki",
            "muster-envelope",
            "muster-catalog",
            "muster-client",
            "muster-managed",
        ],
    ),
    ("muster-cli", ANY),
    ("muster-testkit", ANY),
    ("muster-bench", ANY),
    ("muster-tests", ANY),
    ("muster-fuzz", ANY),
    ("xtask", &["muster-types", "muster-errors", "muster-catalog"]),
];

/// A service may use every crate and no other service.
const SERVICE: &[&str] = &[
    "muster-types",
    "muster-errors",
    "muster-proto",
    "muster-telemetry",
    "muster-pki",
    "muster-envelope",
    "muster-catalog",
    "muster-eventlog",
    "muster-runtime",
    "muster-client",
];

/// The programs at the top: no limit but that nothing depends on them.
const ANY: &[&str] = &["*"];

/// What a pure rule does not know: (text in the source, what to do instead).
const IMPURE: &[(&str, &str)] = &[
    (
        "async fn",
        "decide and evolve are synchronous; look outside information up first and put it in the command",
    ),
    (".await", "decide and evolve are synchronous"),
    ("tokio", "no runtime in domain/"),
    ("std::fs", "no I/O in domain/"),
    ("std::net", "no I/O in domain/"),
    ("std::env", "no configuration in domain/; put it in the command"),
    ("Instant::now", "time comes with the command"),
    ("SystemTime", "time comes with the command"),
    ("Clock", "time comes with the command"),
    ("new_v4", "ids come with the command"),
    ("new_v7", "ids come with the command"),
    ("muster_proto", "wire types stay in wire.rs and grpc/"),
    ("prost", "wire types stay in wire.rs and grpc/"),
    ("tonic", "wire types stay in wire.rs and grpc/"),
];

/// Checks every rule and reports every breach at once.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut breaches = Vec::new();
    arrows(root, &mut breaches)?;
    purity(root, &mut breaches)?;
    error_pages(root, &mut breaches)?;
    main_files(root, &mut breaches)?;
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("the house is untidy:\n  {}", breaches.join("\n  "))
}

fn arrows(root: &Path, breaches: &mut Vec<String>) -> anyhow::Result<()> {
    let output = Command::new("cargo")
        .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("running cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for package in metadata["packages"].as_array().context("cargo metadata names no packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(may) = allowed.get(name) else {
            breaches.push(format!("{name}: not in the table of dependency arrows (xtask/src/tidy.rs)"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let ours = allowed.contains_key(on);
            let dev = dependency["kind"] == "dev";
            if ours && !dev && *may != ANY && !may.contains(&on) {
                breaches.push(format!("{name} depends on {on}: arrows point down only (ARCHITECTURE.md)"));
            }
        }
    }
    Ok(())
}

fn purity(root: &Path, breaches: &mut Vec<String>) -> anyhow::Result<()> {
    for service in ["enroll", "identity", "policy", "report"] {
        let domain = root.join("services").join(service).join("src/domain");
        for path in rust_files(&domain)? {
            if path.file_name().is_some_and(|name| name == "tests.rs") {
                continue;
            }
            let source = fs::read_to_string(&path)?;
            for (number, line) in
                source.lines().enumerate().take_while(|(_, line)| !line.contains("#[cfg(test)]"))
            {
                // A device's clock may be off: the name of that cause is no clock.
                let code = line.split("//").next().unwrap_or_default().replace("EnrollmentCode::Clock", "");
                for (text, instead) in IMPURE.iter().filter(|(text, _)| code.contains(text)) {
                    breaches.push(format!(
                        "{}:{}: `{text}` in a pure rule: {instead}",
                        shown(root, &path),
                        number + 1
                    ));
                }
            }
        }
    }
    Ok(())
}

fn error_pages(root: &Path, breaches: &mut Vec<String>) -> anyhow::Result<()> {
    let codes: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| format!("{code}.md")).collect();
    for entry in fs::read_dir(root.join("docs/errors"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "README.md" && !codes.contains(&name) {
            breaches.push(format!("docs/errors/{name}: no such error code"));
        }
    }
    Ok(())
}

fn main_files(root: &Path, breaches: &mut Vec<String>) -> anyhow::Result<()> {
    let mains =
        ["agent", "cli", "services/enroll", "services/identity", "services/policy", "services/report"];
    for folder in mains {
        let path = root.join(folder).join("src/main.rs");
        let lines = fs::read_to_string(&path)?.lines().count();
        if lines > 30 {
            breaches.push(format!(
                "{}: {lines} lines; what is not parse, run and exit code belongs in the library",
                shown(root, &path)
            ));
        }
    }
    Ok(())
}

fn rust_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !dir.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
