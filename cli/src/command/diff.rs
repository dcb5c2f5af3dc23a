//! `muster diff`.

use std::path::PathBuf;

use muster_errors::Fault;

use crate::files::change::{self, ObjectChange};
use crate::files::prepared::{Goal, Prepared};
use crate::flags::Read;
use crate::output::{self, Format};

/// Files to compare.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder with all that is in it (*.yaml, *.yml, *.json), or - for standard input
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Show also what apply --prune would delete
    #[arg(long)]
    prune: bool,
    /// How to call
    #[command(flatten)]
    read: Read,
}

/// Prints what applying the files would change, and tells whether that is anything.
///
/// # Errors
/// The mistakes of the files; a call's fault.
pub async fn run(options: Options) -> Result<bool, Fault> {
    let Options { files, prune, read: Read { target, output } } = options;
    let prepared = Prepared::of(&files, &target, Goal::Apply { prune }).await?;
    print(&prepared.changes, output.format)?;
    Ok(!prepared.changes.is_empty())
}

/// Prints changes of objects.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(changes: &[ObjectChange], format: Format) -> Result<(), Fault> {
    match format {
        Format::Json => output::print_json(&change::json(changes)),
        Format::Yaml => output::print_yaml(&change::json(changes)),
        Format::Name => {
            let names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
            output::print_text(&names.join("\n"))
        }
        Format::Table => output::print_text(&text(changes)),
    }
}

/// Changes for people.
pub(super) fn text(changes: &[ObjectChange]) -> String {
    if changes.is_empty() {
        return "nothing differs".to_owned();
    }
    let headings = ["action", "kind", "name", "field", "before", "after"];
    output::table(&headings, change::rows(changes))
}
