//! `muster import`: offline.

mod report;

use std::convert::Infallible;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use muster_catalog::Catalogue;
use muster_errors::{ErrorCode, Fault};
use muster_managed::import::{self, Draft, Imported, Repeated};
use muster_managed::{FILE_BYTES_MAX, Invalid};
use muster_proto::policy::v1::OnUnassign;
use serde_json::{Value, json};

use crate::files::policy::PolicySpec;
use crate::files::set::Spec;
use crate::files::write;
use crate::output::{note, print_text};

/// Managed configurations of security products, as policy files.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read mdatp_managed.json of Microsoft Defender for Endpoint on Linux
    MdatpJson {
        /// What to read and write
        #[command(flatten)]
        file: File,
        /// Read a file in which keys stand twice in one object: the last counts, the others are reported
        #[arg(long)]
        allow_repeated_keys: bool,
    },
    /// Read the com.microsoft.wdav property list of Microsoft Defender for Endpoint on macOS: the dictionary or a
    /// configuration profile, XML or binary
    WdavPlist {
        /// What to read and write
        #[command(flatten)]
        file: File,
    },
}

/// What to read and write.
#[derive(Debug, Args)]
pub struct File {
    /// The configuration, or - for standard input
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// Where the policies go, a document for each profile: a file, - for standard output, or json for one JSON object on
    /// standard output that has the whole report too
    #[arg(short, long, value_name = "FILE|-|json", default_value = "-")]
    output: Destination,
    /// How the policies' names begin; the profile follows
    #[arg(long, value_name = "TEXT", default_value = "imported")]
    name: String,
}

/// Where policies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// YAML on standard output.
    Stdout,
    /// With the report, as JSON on standard output.
    Json,
    /// YAML into a file.
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" | "yaml" => Self::Stdout,
            "json" => Self::Json,
            path => Self::File(path.into()),
        })
    }
}

/// Runs the command.
///
/// # Errors
/// `MANAGED_CONFIG_INVALID` when the configuration cannot be read, with line and column where they are known.
pub fn run(command: &Command) -> Result<(), Fault> {
    let catalogue = Catalogue::builtin();
    let (file, imported) = match command {
        Command::MdatpJson { file, allow_repeated_keys } => {
            let repeated = if *allow_repeated_keys { Repeated::LastCounts } else { Repeated::Refuse };
            (file, import::mdatp_json(catalogue, &read(&file.input)?, repeated))
        }
        Command::WdavPlist { file } => (file, import::wdav_plist(catalogue, &read(&file.input)?)),
    };
    let File { input, output, name } = file;
    let shown = shown(input);
    let imported = imported.map_err(|invalid| refused(&shown, &invalid))?;
    match output {
        Destination::Json => print_text(&format!("{:#}", whole(&imported, name)))?,
        Destination::Stdout => print_text(&yaml(&imported, name)?)?,
        Destination::File(path) => std::fs::write(path, yaml(&imported, name)?).map_err(|error| {
            Fault::new(ErrorCode::ArgumentInvalid, format!("{} cannot be written: {error}", path.display()))
        })?,
    }
    note(&report::text(&shown, &imported));
    Ok(())
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn refused(shown: &str, invalid: &Invalid) -> Fault {
    let fault = Fault::new(ErrorCode::ManagedConfigInvalid, format!("{shown}: {invalid}"));
    match invalid.position {
        Some((line, column)) => fault.with("line", line).with("column", column),
        None => fault,
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    // One byte more than the limit tells a file at the limit from one over it.
    let limit = FILE_BYTES_MAX as u64 + 1;
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => {
            Err(Fault::new(ErrorCode::ArgumentInvalid, format!("{}: cannot be read: {error}", shown(file))))
        }
    }
}

fn document(draft: &Draft, name: &str) -> Value {
    let Draft { profile, settings } = draft;
    let spec =
        PolicySpec { profile: profile.clone(), on_unassign: OnUnassign::Revert, settings: settings.clone() };
    write::document(&format!("{name} {profile}"), &Spec::Policy(spec))
}

fn yaml(imported: &Imported, name: &str) -> Result<String, Fault> {
    let documents = imported.drafts.iter().map(|draft| {
        serde_saphyr::to_string(&document(draft, name))
            .map_err(|error| Fault::new(ErrorCode::Internal, format!("cannot write YAML: {error}")))
    });
    Ok(documents.collect::<Result<Vec<_>, _>>()?.join("---\n"))
}

fn whole(imported: &Imported, name: &str) -> Value {
    let policies: Vec<_> = imported.drafts.iter().map(|draft| document(draft, name)).collect();
    json!({ "policies": policies, "report": imported.findings })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use muster_types::{SettingId, SettingValue, Timestamp};

    use super::*;
    use crate::files::mistake::Findings;
    use crate::files::set;
    use crate::files::source::Source;

    fn drafts(texts: &[&str]) -> Imported {
        let texts = SettingValue::Strings(texts.iter().map(ToString::to_string).collect());
        let id: SettingId = "linux-antivirus/allowed_threats".parse().unwrap();
        let level: SettingId = "linux-antivirus/enforcement_level".parse().unwrap();
        let settings = BTreeMap::from([(id, texts), (level, SettingValue::Text("passive".into()))]);
        let draft = Draft { profile: "linux-antivirus".into(), settings };
        let tags = SettingValue::Objects(vec![BTreeMap::from([
            ("key".to_owned(), SettingValue::Text("group".into())),
            ("value".to_owned(), SettingValue::Text("on".into())),
        ])]);
        let edr = BTreeMap::from([("linux-edr/edr_tags".parse().unwrap(), tags)]);
        Imported {
            drafts: vec![draft, Draft { profile: "linux-edr".into(), settings: edr }],
            findings: vec![],
        }
    }

    /// Texts that YAML would read as something else keep being texts.
    #[test]
    fn policy_files_say_what_was_imported() {
        let odd = [
            "true",
            "no",
            "on",
            "~",
            "null",
            "1",
            "0x1f",
            "1e3",
            "2026-01-01",
            " a ",
            "a: b",
            "# c",
            "- d",
            "{e}",
            "[f]",
            "*g",
            "&h",
            "!i",
            "|",
            ">",
            "%j",
            "@k",
            "`l",
            "'m'",
            "\"n\"",
            "o\np",
            "q\tr",
            "\u{7f}",
            "\u{feff}s",
            "é",
            "---",
            "...",
            "\u{1}",
            "\u{85}\u{2028}",
            "\r\n",
            "<<",
            "=",
            "a #b",
            "\\n",
        ];
        let imported = drafts(&odd);
        let text = yaml(&imported, "Imported: x").unwrap();
        let mut findings = Findings::default();
        let source = Source { name: "x.yaml".into(), text: text.clone() };
        let set = set::check(&[source], Timestamp::from_micros(0), &mut findings);
        findings.settle().unwrap();
        let names: Vec<_> = set.objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["Imported: x linux-antivirus", "Imported: x linux-edr"]);
        let back = set.objects.into_iter().filter_map(|object| match object.spec {
            Spec::Policy(policy) => Some(policy.settings),
            Spec::Group(_) | Spec::Assignment(_) | Spec::EnforcementScope(_) | Spec::Waiver(_) => None,
        });
        let back: Vec<_> = back.collect();
        let given: Vec<_> = imported.drafts.into_iter().map(|draft| draft.settings).collect();
        assert_eq!(back, given, "{text}");
    }

    #[test]
    fn a_destination_is_a_file_or_a_word() {
        let parse = |text: &str| text.parse::<Destination>().unwrap();
        assert_eq!(parse("-"), Destination::Stdout);
        assert_eq!(parse("json"), Destination::Json);
        assert_eq!(parse("./json"), Destination::File("./json".into()));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("managed.json");
        std::fs::write(&input, "{\"a\": 1,\n \"a\": 2}").unwrap();
        let file = File { input, output: Destination::Json, name: "x".into() };
        let fault = run(&Command::MdatpJson { file, allow_repeated_keys: false }).unwrap_err();
        assert_eq!(fault.code, ErrorCode::ManagedConfigInvalid);
        assert_eq!(fault.metadata["line"], "2");
        assert!(fault.message.contains("managed.json: line 2"), "{fault}");
        let file = File { input: dir.path().join("none"), output: Destination::Json, name: "x".into() };
        assert_eq!(run(&Command::WdavPlist { file }).unwrap_err().code, ErrorCode::ArgumentInvalid);
    }
}
