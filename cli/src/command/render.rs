//! `muster render`: offline.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use muster_catalog::Catalogue;
use muster_errors::{ErrorCode, Fault};
use muster_managed::render::{self, Rendered};
use muster_managed::{Form, registry};
use muster_types::{Clock as _, SettingId, SettingValue, SystemClock};

use crate::files::mistake::Findings;
use crate::files::set::{self, Spec};
use crate::files::source::{FILE_BYTES_MAX, Source};
use crate::output::{note, print_text};

/// What policies become on a device.
#[derive(Debug, Args)]
pub struct Options {
    /// What to render
    #[arg(long, value_enum)]
    format: Format,
    /// A policy file, or - for standard input; several documents and several files are combined
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// A form of managed configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// mdatp_managed.json of Microsoft Defender for Endpoint on Linux
    MdatpJson,
    /// The com.microsoft.wdav property list of Microsoft Defender for Endpoint on macOS
    WdavPlist,
    /// Values in the registry of Windows, a line each: key :: value = type:data
    Registry,
}

/// A policy of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePolicy {
    /// Where it stands, for people.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Its settings, checked.
    pub settings: BTreeMap<SettingId, SettingValue>,
}

/// Runs the command.
///
/// # Errors
/// `FILE_INVALID`; what is wrong with a setting; `SETTING_DUPLICATE` when two policies set one.
pub fn run(options: &Options) -> Result<(), Fault> {
    let Options { format, files } = options;
    let mut policies = Vec::new();
    for file in files {
        let shown =
            if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        policies.extend(parse(&shown, &read(file, &shown)?)?);
    }
    let settings = combined(policies)?;
    let catalogue = Catalogue::builtin();
    let Rendered { text, left_out } = match format {
        Format::MdatpJson => render::file(catalogue, Form::MdatpJson, &settings),
        Format::WdavPlist => render::file(catalogue, Form::WdavPlist, &settings),
        Format::Registry => registry::listing(catalogue, &settings),
    };
    print_text(&text)?;
    if !left_out.is_empty() {
        let lines: Vec<_> = left_out.iter().map(|(id, reason)| format!("  {id}: {reason}")).collect();
        note(&format!("not rendered:\n{}", lines.join("\n")));
    }
    Ok(())
}

fn read(file: &Path, shown: &str) -> Result<String, Fault> {
    let refused = |problem: String| Fault::new(ErrorCode::FileInvalid, format!("{shown}: {problem}"));
    let mut text = String::new();
    // One byte more than the limit tells a file at the limit from one over it.
    let limit = FILE_BYTES_MAX + 1;
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| refused(format!("cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(refused(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Reads the policies of a file, one or more documents.
///
/// # Errors
/// `FILE_INVALID`, or the code that all mistakes have, with file, line and column of each.
pub fn parse(shown: &str, text: &str) -> Result<Vec<FilePolicy>, Fault> {
    let mut findings = Findings::default();
    let source = Source { name: shown.into(), text: text.to_owned() };
    let set = set::check(&[source], SystemClock.now(), &mut findings);
    findings.settle()?;
    let policies = set.objects.into_iter().map(|object| {
        let place = format!("policy {:?} of {shown}", object.name);
        match object.spec {
            Spec::Policy(spec) => Ok(FilePolicy { place, name: object.name, settings: spec.settings }),
            Spec::Group(_) | Spec::Assignment(_) | Spec::EnforcementScope(_) | Spec::Waiver(_) => {
                let message = format!("{}: expected kind Policy", object.place);
                Err(Fault::new(ErrorCode::FileInvalid, message))
            }
        }
    });
    policies.collect()
}

/// The settings of policies together, where none sets what another does.
fn combined(policies: Vec<FilePolicy>) -> Result<BTreeMap<SettingId, SettingValue>, Fault> {
    let mut settings = BTreeMap::new();
    let mut places: BTreeMap<SettingId, String> = BTreeMap::new();
    for policy in policies {
        for (id, value) in policy.settings {
            if let Some(first) = places.insert(id.clone(), policy.place.clone()) {
                let message = format!("{}: {id} is set by {first} too", policy.place);
                return Err(Fault::new(ErrorCode::SettingDuplicate, message).with("setting", &id));
            }
            settings.insert(id, value);
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, level: &str) -> String {
        format!(
            "apiVersion: muster.io/v1\nkind: Policy\nmetadata:\n  name: {name}\nspec:\n  profile: linux-antivirus\n  \
             settings:\n    linux-antivirus/enforcement_level: {level}\n"
        )
    }

    #[test]
    fn two_policies_that_set_one_setting_are_refused_with_both_places() {
        let text = format!("{}---\n{}", policy("a", "passive"), policy("b", "passive"));
        let fault = combined(parse("x.yaml", &text).unwrap()).unwrap_err();
        assert_eq!(fault.code, ErrorCode::SettingDuplicate);
        assert!(fault.message.contains("\"a\" of x.yaml") && fault.message.contains("\"b\""), "{fault}");
    }

    #[test]
    fn a_value_that_is_not_allowed_is_refused() {
        let fault = parse("x.yaml", &policy("a", "pasive")).unwrap_err();
        assert!(fault.message.contains("linux-antivirus/enforcement_level"), "{fault}");
    }
}
