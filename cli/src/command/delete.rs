//! `muster delete`.

use std::path::PathBuf;

use muster_errors::Fault;

use super::apply;
use crate::files::carry::{self, How};
use crate::files::prepared::{Goal, Prepared};
use crate::flags::Write;

/// Files whose objects are to be deleted.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder with all that is in it (*.yaml, *.yml, *.json), or - for standard input
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Why, for those who read the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// How to call
    #[command(flatten)]
    write: Write,
}

/// Deletes what the files have; what is not there is no error. The enforcement scope stays as it is.
///
/// # Errors
/// The mistakes of the files; a call's fault.
pub async fn run(options: Options) -> Result<(), Fault> {
    let Options { files, reason, write: Write { dry_run, target, output } } = options;
    let Prepared { api, live, changes } = Prepared::of(&files, &target, Goal::Delete).await?;
    let how = How { reason, dry_run, ..How::default() };
    let carried = carry::carry(&api, &changes, &live, &how).await?;
    apply::print(&changes, &carried, output.format)
}
