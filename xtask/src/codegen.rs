//! Generates what is checked in: `crates/proto/src/gen` from `proto/`, without protoc, and `docs/catalogue` from
//! `catalog/`, the table of error codes, and `docs/enrollment`; and tells whether it is fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use muster_catalog::{Catalogue, docs};
use muster_errors::{Effect, ErrorCode, Retry};
use prost::Message as _;

use crate::{comments, enrollment_docs, sh};

type Files = BTreeMap<String, Vec<u8>>;

/// Generates everything; with `check`, only compares it with what is checked in.
pub(crate) fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    settle(root, "crates/proto/src/gen", &generate(root)?, check)?;
    settle(root, "docs/catalogue", &catalogue_pages(), check)?;
    settle(root, "docs/enrollment", &enrollment_docs::pages(), check)?;
    settle_file(root, "docs/errors/README.md", &error_table(), check)
}

/// Writes `docs/events`, or only compares it with what is checked in. A program of its own does, because it reads the
/// code that [`run`] makes: this one must build when that does not.
pub(crate) fn event_docs(root: &Path, check: bool) -> anyhow::Result<()> {
    let mut args = vec!["run", "--quiet", "--locked", "-p", "muster-proto", "--example", "event_docs"];
    if check {
        args.extend(["--", "--check"]);
    }
    sh(root, "cargo", &args)
}

/// Makes a folder hold just these files, or complains that it does not.
fn settle(root: &Path, folder: &str, fresh: &Files, check: bool) -> anyhow::Result<()> {
    let out = root.join(folder);
    let current = read_dir(&out)?;
    if check {
        let names = fresh.keys().chain(current.keys());
        let stale: BTreeSet<_> =
            names.filter(|name| fresh.get(*name) != current.get(*name)).cloned().collect();
        if !stale.is_empty() {
            let stale = stale.into_iter().collect::<Vec<_>>().join(", ");
            bail!("{folder} is stale ({stale}); run `cargo xtask codegen` and commit");
        }
        return Ok(());
    }
    for name in current.keys().filter(|name| !fresh.contains_key(*name)) {
        fs::remove_file(out.join(name))?;
    }
    fs::create_dir_all(&out)?;
    for (name, bytes) in fresh {
        if current.get(name) != Some(bytes) {
            fs::write(out.join(name), bytes)?;
        }
    }
    Ok(())
}

fn settle_file(root: &Path, file: &str, fresh: &str, check: bool) -> anyhow::Result<()> {
    let path = root.join(file);
    if fs::read_to_string(&path).is_ok_and(|current| current == fresh) {
        return Ok(());
    }
    if check {
        bail!("{file} is stale; run `cargo xtask codegen` and commit");
    }
    fs::write(path, fresh)?;
    Ok(())
}

fn error_table() -> String {
    let mut table = String::from(
        "# Error codes\n\nEvery refusal and failure carries one of these codes: over gRPC as `google.rpc.ErrorInfo.reason` in the \
         domain `muster.io`,\non the command line as `error[CODE]`. `muster error explain CODE` prints the page.\n\n\
         | code | meaning | gRPC status | same call again? | did anything happen? |\n|---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let again = match code.retry() {
            Retry::Same => "yes",
            Retry::AfterReading => "after reading again",
            Retry::Never => "no",
        };
        let happened = match code.effect() {
            Effect::None => "no",
            Effect::Unknown => "perhaps",
        };
        let meaning = code.page().lines().nth(2).unwrap_or_default();
        table.push_str(&format!(
            "| [{code}]({code}.md) | {meaning} | {:?} | {again} | {happened} |\n",
            code.status()
        ));
    }
    table
}

fn catalogue_pages() -> Files {
    let pages = docs::pages(Catalogue::builtin()).into_iter();
    pages.map(|(name, page)| (name, page.into_bytes())).collect()
}

fn generate(root: &Path) -> anyhow::Result<Files> {
    let include = root.join("proto");
    let mut protos = Vec::new();
    find_protos(&include.join("muster"), &mut protos)?;
    protos.sort();
    let mut descriptors = protox::compile(&protos, [&include]).context("proto/ does not compile")?;

    let scratch = root.join("target/codegen");
    fs::remove_dir_all(&scratch)
        .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    fs::create_dir_all(&scratch)?;
    tonic_prost_build::configure()
        .bytes(".muster.log.v1.Envelope.payload")
        .bytes(".muster.policy.v1.SignedPolicy.payload")
        .out_dir(&scratch)
        .compile_fds(descriptors.clone())
        .context("generating code")?;
    let comments = comments::table(&descriptors);
    // Comments are in the generated code; reflection does not need them.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(scratch.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut files = read_dir(&scratch)?;
    files.insert("comments.rs".to_owned(), comments.into_bytes());
    Ok(files)
}

fn find_protos(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

fn read_dir(dir: &Path) -> anyhow::Result<Files> {
    if !dir.exists() {
        return Ok(BTreeMap::new());
    }
    fs::read_dir(dir)?
        .map(|entry| {
            let path = entry?.path();
            let name =
                path.file_name().and_then(|name| name.to_str()).context("a file name that is not UTF-8")?;
            Ok((name.to_owned(), fs::read(&path)?))
        })
        .collect()
}
