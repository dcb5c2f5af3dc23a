//! Generates `crates/proto/src/gen` from `proto/`, without protoc, and tells whether the checked-in code is fresh.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use prost::Message as _;

const OUT: &str = "crates/proto/src/gen";

/// Generates the code; with `check`, only compares it with what is checked in.
pub(crate) fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let fresh = generate(root)?;
    let out = root.join(OUT);
    let current = read_dir(&out)?;
    if check {
        let stale: Vec<_> = fresh
            .keys()
            .chain(current.keys())
            .filter(|name| fresh.get(*name) != current.get(*name))
            .map(String::as_str)
            .collect();
        if !stale.is_empty() {
            bail!("{OUT} is stale ({}); run `cargo xtask codegen` and commit", stale.join(", "));
        }
        return Ok(());
    }
    for name in current.keys().filter(|name| !fresh.contains_key(*name)) {
        fs::remove_file(out.join(name))?;
    }
    fs::create_dir_all(&out)?;
    for (name, bytes) in &fresh {
        if current.get(name) != Some(bytes) {
            fs::write(out.join(name), bytes)?;
        }
    }
    Ok(())
}

fn generate(root: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
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
    // Comments are in the generated code; reflection does not need them.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(scratch.join("descriptors.bin"), descriptors.encode_to_vec())?;
    read_dir(&scratch)
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

fn read_dir(dir: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
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
