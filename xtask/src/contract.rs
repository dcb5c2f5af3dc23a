//! The contract in `proto/`: its form, and what changes it may take.

use std::path::Path;

use crate::{setup, sh};

/// The contract as it was released last, without comments: a change that breaks whoever knows it is refused.
const RELEASED: &str = "proto/released.binpb";

/// Checks form, formatting, and that nothing was broken since the last release.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let buf = setup::bin(root).join("buf");
    sh(root, &buf, &["lint", "proto"])?;
    sh(root, &buf, &["format", "--diff", "--exit-code", "proto"])?;
    sh(root, &buf, &["breaking", "proto", "--against", RELEASED])
}

/// Takes the contract as released, if it breaks nothing.
pub(crate) fn release(root: &Path) -> anyhow::Result<()> {
    check(root)?;
    sh(root, setup::bin(root).join("buf"), &["build", "proto", "--exclude-source-info", "-o", RELEASED])
}
