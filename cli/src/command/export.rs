//! `muster export`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use muster_errors::{ErrorCode, Fault};
use serde_json::Value;

use crate::connect::Api;
use crate::files::exported;
use crate::files::live::Live;
use crate::flags::Target;
use crate::output;

/// Longest name of a file that is made of an object's name, in characters.
const STEM_CHARS_MAX: usize = 80;

/// Where to write.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The folder to write into, a file for each object; or - for all on standard output
    #[arg(short, long = "output", value_name = "DIR|-", default_value = "-")]
    output: PathBuf,
    /// Write into a folder that is not empty
    #[arg(long)]
    force: bool,
    /// How to find the server
    #[command(flatten)]
    target: Target,
}

/// Writes what the server has as files. Applied at once, they change nothing.
///
/// # Errors
/// A call's fault; `CONFIG_INVALID` when the folder cannot be written or is not empty.
pub async fn run(options: Options) -> Result<(), Fault> {
    let Options { output, force, target } = options;
    let api = Api::connect(&target)?;
    let documents = exported::documents(&Live::read_all(&api).await?);
    if output == Path::new("-") {
        let texts =
            documents.iter().map(|document| yaml(&document.content)).collect::<Result<Vec<_>, _>>()?;
        return output::print_text(&texts.join("---\n"));
    }
    check_folder(&output, force)?;
    let mut used = BTreeSet::new();
    for document in &documents {
        let path = output.join(file_name(document.folder, &document.title, &mut used));
        let parent = path.parent().unwrap_or(&output);
        let text = yaml(&document.content)?;
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.map_err(|error| cannot_write(&path, &error))?;
    }
    output::note(&format!("{} objects written to {}", documents.len(), output.display()));
    Ok(())
}

fn yaml(document: &Value) -> Result<String, Fault> {
    let text = serde_saphyr::to_string(document);
    let text =
        text.map_err(|error| Fault::new(ErrorCode::Internal, format!("cannot write YAML: {error}")))?;
    Ok(if text.ends_with('\n') { text } else { format!("{text}\n") })
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, format!("{} cannot be written: {error}", path.display()))
}

/// Files of an earlier export would be applied with the new ones.
fn check_folder(folder: &Path, force: bool) -> Result<(), Fault> {
    let holds_something = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(cannot_write(folder, &error)),
    };
    if holds_something && !force {
        let message = format!("{} is not empty; choose another folder, or give --force", folder.display());
        return Err(Fault::new(ErrorCode::ConfigInvalid, message));
    }
    Ok(())
}

/// A name that every file system takes, and that no other object has.
fn file_name(folder: &str, title: &str, used: &mut BTreeSet<String>) -> String {
    let mut stem = String::new();
    for char in title.chars().flat_map(char::to_lowercase).take(STEM_CHARS_MAX) {
        match char {
            'a'..='z' | '0'..='9' => stem.push(char),
            _ if stem.is_empty() || stem.ends_with('-') => {}
            _ => stem.push('-'),
        }
    }
    let stem = stem.trim_end_matches('-');
    let stem = if stem.is_empty() { "unnamed" } else { stem };
    let names = (1_u32..).map(|number| match number {
        1 => format!("{folder}/{stem}.yaml"),
        _ => format!("{folder}/{stem}-{number}.yaml"),
    });
    let free = names.into_iter().find(|name| used.insert(name.clone()));
    free.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_that_every_file_system_takes() {
        let mut used = BTreeSet::new();
        let mut name = |title: &str| file_name("policies", title, &mut used);
        assert_eq!(name("Linux: baseline → all"), "policies/linux-baseline-all.yaml");
        assert_eq!(name("linux/baseline/all"), "policies/linux-baseline-all-2.yaml");
        assert_eq!(name("../../etc/passwd"), "policies/etc-passwd.yaml");
        assert_eq!(name("政策"), "policies/unnamed.yaml");
    }
}
