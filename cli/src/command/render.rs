//! `muster render`: offline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use muster_catalog::Catalogue;
use muster_errors::{ErrorCode, Fault};
use muster_managed::render::{self, Rendered};
use muster_managed::{Form, registry};
use muster_types::{Clock as _, SettingId, SettingValue, SystemClock};

use crate::files::mistake::Place;
use crate::files::set::{self, Object, Set, Spec};
use crate::output::{note, print_text};

/// What policies become on a device.
#[derive(Debug, Args)]
pub struct Options {
    /// What to render
    #[arg(long, value_enum)]
    format: Format,
    /// A policy file, a folder with all that is in it (*.yaml, *.yml, *.json), or - for standard input; all policies in them
    /// are combined
    #[arg(short, long = "file", value_name = "PATH", required = true)]
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

/// Runs the command.
///
/// # Errors
/// `FILE_INVALID`; what is wrong with a setting; `SETTING_DUPLICATE` when two policies set one.
pub fn run(options: &Options) -> Result<(), Fault> {
    let Options { format, files } = options;
    let (set, findings) = set::load(files, SystemClock.now());
    findings.settle()?;
    let settings = combined(set)?;
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

/// The settings of all policies together, where none sets what another does.
fn combined(set: Set) -> Result<BTreeMap<SettingId, SettingValue>, Fault> {
    let mut settings = BTreeMap::new();
    let mut places: BTreeMap<SettingId, Place> = BTreeMap::new();
    for Object { place, spec, .. } in set.objects {
        let Spec::Policy(policy) = spec else { continue };
        for (id, value) in policy.settings {
            if let Some(first) = places.insert(id.clone(), place.clone()) {
                let message = format!("{place}: {id} is set by the policy at {first} too");
                return Err(Fault::new(ErrorCode::SettingDuplicate, message).with("setting", &id));
            }
            settings.insert(id, value);
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use muster_types::Timestamp;

    use super::*;
    use crate::files::mistake::Findings;
    use crate::files::source::Source;

    fn policy(name: &str, level: &str) -> String {
        format!(
            "apiVersion: muster.io/v1\nkind: Policy\nmetadata:\n  name: {name}\nspec:\n  profile: linux-antivirus\n  \
             settings:\n    linux-antivirus/enforcement_level: {level}\n"
        )
    }

    #[test]
    fn two_policies_that_set_one_setting_are_refused_with_both_places() {
        let text = format!("{}---\n{}", policy("a", "passive"), policy("b", "passive"));
        let mut findings = Findings::default();
        let source = Source { name: "x.yaml".into(), text };
        let set = set::check(&[source], Timestamp::from_micros(0), &mut findings);
        findings.settle().unwrap();
        let fault = combined(set).unwrap_err();
        assert_eq!(fault.code, ErrorCode::SettingDuplicate);
        assert!(fault.message.contains("x.yaml:10:") && fault.message.contains("x.yaml:1:"), "{fault}");
    }
}
