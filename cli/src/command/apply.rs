//! `muster apply`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use muster_errors::{ErrorCode, Fault};
use serde_json::json;

use super::diff;
use crate::files::carry::{self, Carried, How};
use crate::files::change::{self, Action, ObjectChange};
use crate::files::prepared::{Goal, Prepared};
use crate::flags::Write;
use crate::output::{self, Format};
use crate::view;

/// Files to apply.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder with all that is in it (*.yaml, *.yml, *.json), or - for standard input
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Delete what the files do not have, of the kinds that they have: a folder with a policy in it speaks for all policies
    #[arg(long)]
    prune: bool,
    /// Do not ask before pruning
    #[arg(long, short = 'y')]
    yes: bool,
    /// Apply only what was planned: the digest that `muster plan` told
    #[arg(long, value_name = "DIGEST", default_value = "", hide_default_value = true)]
    plan: String,
    /// Why, for those who read the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// How to call
    #[command(flatten)]
    write: Write,
}

/// Makes the server have what the files have, and prints what that changed.
///
/// # Errors
/// The mistakes of the files; a call's fault; `PLAN_MOVED_ON`.
pub async fn run(options: Options) -> Result<(), Fault> {
    let Options { files, prune, yes, plan, reason, write: Write { dry_run, target, output } } = options;
    let plan_digest = digest(&plan)?;
    let Prepared { api, live, changes } = Prepared::of(&files, &target, Goal::Apply { prune }).await?;
    if prune && !yes && !dry_run {
        let from_stdin = files.iter().any(|file| file.as_os_str() == "-");
        confirm(&changes, from_stdin)?;
    }
    let how = How { reason, plan_digest, dry_run };
    let carried = carry::carry(&api, &changes, &live, &how).await?;
    print(&changes, &carried, output.format)
}

/// Reads the digest of a plan.
fn digest(text: &str) -> Result<Vec<u8>, Fault> {
    let wrong =
        || Fault::invalid_field("--plan", "expected the 64 hexadecimal digits that `muster plan` told");
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let byte = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    (0..text.len()).step_by(2).map(byte).collect::<Option<_>>().ok_or_else(wrong)
}

/// Asks a person whether what would go shall go. A program that runs this has nobody to ask.
fn confirm(changes: &[ObjectChange], from_stdin: bool) -> Result<(), Fault> {
    let gone: Vec<_> = changes.iter().filter(|change| change.action == Action::Delete).cloned().collect();
    if gone.is_empty() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let refused = |message: &str| Err(Fault::new(ErrorCode::ArgumentInvalid, message));
    output::note(&diff::text(&gone));
    if from_stdin {
        return refused("the files come from standard input, so nobody can be asked; give --yes");
    }
    output::note(&format!("{} objects would be deleted. Go on? [y/N]", gone.len()));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let yes = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
    if yes { Ok(()) } else { refused("nothing was changed; give --yes to prune without being asked") }
}

/// Prints what changed.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(changes: &[ObjectChange], carried: &Carried, format: Format) -> Result<(), Fault> {
    let Carried { changes: applied, scope } = carried;
    let mut item = change::json(changes);
    item["events"] = json!(applied.events);
    item["collisions"] = applied
        .collisions
        .iter()
        .map(|collision| {
            json!({
                "assignments": collision.assignments,
                "settings": collision.settings,
                "devices": collision.devices,
                "decided": collision.decided,
            })
        })
        .collect();
    item["scope"] = scope.as_ref().map_or(serde_json::Value::Null, view::enroll::scope_change);
    match format {
        Format::Json => output::print_json(&item),
        Format::Yaml => output::print_yaml(&item),
        Format::Name => diff::print(changes, format),
        Format::Table => {
            output::print_text(&diff::text(changes))?;
            for collision in applied.collisions.iter().filter(|collision| !collision.decided) {
                let ids: Vec<_> = collision.assignments.iter().map(|name| view::id(name)).collect();
                output::note(&format!(
                    "collision on {} devices: {} between {}",
                    collision.devices,
                    collision.settings.join(" "),
                    ids.join(" and ")
                ));
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_64_digits() {
        assert_eq!(digest(&"0f".repeat(32)), Ok(vec![15; 32]));
        assert_eq!(digest(""), Ok(vec![]));
        for wrong in ["0", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(digest(wrong).unwrap_err().code, ErrorCode::ArgumentInvalid);
        }
    }
}
