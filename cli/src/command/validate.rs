//! `muster validate`: offline.

use std::path::PathBuf;

use muster_errors::Fault;
use muster_types::{Clock as _, SystemClock};
use serde_json::json;

use crate::files::set;
use crate::flags::Output;
use crate::output::{self, Format};

/// Files to check.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder with all that is in it (*.yaml, *.yml, *.json), or - for standard input
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// How to print
    #[command(flatten)]
    output: Output,
}

/// Prints every mistake with file, line and column.
///
/// # Errors
/// `FILE_INVALID`, or the code that all mistakes have, when there are mistakes.
pub fn run(options: &Options) -> Result<(), Fault> {
    let Options { files, output: Output { format } } = options;
    let (set, findings) = set::load(files, SystemClock.now());
    match format {
        Format::Json | Format::Yaml => {
            let mut found = findings.json();
            found["objects"] = json!(set.objects.len());
            if *format == Format::Json { output::print_json(&found) } else { output::print_yaml(&found) }?;
        }
        Format::Table => {
            output::print_text(&findings.lines().join("\n"))?;
            if findings.mistake_count() == 0 {
                output::print_text(&format!("{} objects, no mistakes", set.objects.len()))?;
            }
        }
        Format::Name => {
            let names: Vec<_> =
                set.objects.iter().map(|object| format!("{} {}", object.kind(), object.title())).collect();
            output::print_text(&names.join("\n"))?;
        }
    }
    findings.settle()
}
