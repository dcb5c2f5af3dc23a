//! Every published sample: what is left out and what changes is told; all else comes back as it was.

use muster_managed::import::{self, Repeated};
use muster_managed::json;
use muster_managed::report::Reason;
use muster_managed::{Form, Invalid};
use serde_json::{Map, Value, json};

use crate::{catalogue, found, read, rendered, settings};

struct Sample {
    text: &'static str,
    form: Form,
    repeated: Repeated,
    /// What the report says.
    findings: &'static [(Reason, &'static str)],
    /// Paths of the sample of which the report says that they were left out or moved: sections that become empty go too.
    without: &'static [&'static str],
    /// What changed, and to what.
    instead: Value,
}

impl Sample {
    fn check(&self) {
        let imported = match self.form {
            Form::MdatpJson => import::mdatp_json(catalogue(), self.text.as_bytes(), self.repeated),
            Form::WdavPlist => import::wdav_plist(catalogue(), self.text.as_bytes()),
        };
        let imported = imported.unwrap();
        let mut findings = found(&imported);
        findings.retain(|(_, path)| !is_note(path));
        assert_eq!(findings, self.findings, "{:#?}", imported.findings);
        let expected = self.expected();
        let text = rendered(self.form, &settings(&imported));
        assert_eq!(tree(self.form, &text), expected, "{text}");
        let again = read(self.form, text.as_bytes()).unwrap();
        assert_eq!(again.drafts, imported.drafts);
        assert_eq!(rendered(self.form, &settings(&again)), text);
    }

    fn expected(&self) -> Value {
        let mut expected = match self.form {
            // The last of repeated keys counts: so does any lenient reader.
            Form::MdatpJson => serde_json::from_str(self.text).unwrap(),
            Form::WdavPlist => tree(self.form, self.text),
        };
        let root = expected.as_object_mut().unwrap();
        self.without.iter().for_each(|path| json::remove(root, path));
        for (path, value) in self.instead.as_object().unwrap() {
            json::set(root, path, value.clone(), |_| {}).unwrap();
        }
        drop_empty(root);
        expected
    }
}

/// The notes of the annotated sample, as keys among the others.
const NOTES: [&str; 2] = ["info", "possible values"];

fn is_note(path: &str) -> bool {
    NOTES
        .iter()
        .any(|note| path.ends_with(&format!("[{note:?}]")) || path.split('.').next_back() == Some(note))
}

fn drop_empty(object: &mut Map<String, Value>) {
    NOTES.iter().for_each(|note| drop(object.shift_remove(*note)));
    for value in object.values_mut() {
        let items = value.as_array_mut().into_iter().flatten();
        items.filter_map(Value::as_object_mut).for_each(drop_empty);
    }
    object.values_mut().filter_map(Value::as_object_mut).for_each(drop_empty);
    object.retain(|_, value| value.as_object().is_none_or(|object| !object.is_empty()));
}

/// What a file says, by a reader that is not ours.
fn tree(form: Form, text: &str) -> Value {
    match form {
        Form::MdatpJson => serde_json::from_str(text).unwrap(),
        Form::WdavPlist => plain(&plist::Value::from_reader_xml(text.as_bytes()).unwrap()),
    }
}

pub(crate) fn plain(value: &plist::Value) -> Value {
    match value {
        plist::Value::Array(items) => items.iter().map(plain).collect(),
        plist::Value::Dictionary(object) => {
            object.iter().map(|(key, value)| (key.clone(), plain(value))).collect::<Map<_, _>>().into()
        }
        plist::Value::Boolean(value) => (*value).into(),
        plist::Value::Integer(value) => value.as_signed().unwrap().into(),
        plist::Value::String(value) => value.clone().into(),
        plist::Value::Data(_) | plist::Value::Date(_) | plist::Value::Real(_) | plist::Value::Uid(_) | _ => {
            panic!("{value:?} in a sample")
        }
    }
}

#[test]
fn the_recommended_configuration_comes_back() {
    Sample {
        text: include_str!("../samples/docs_linux_recommended.json"),
        form: Form::MdatpJson,
        repeated: Repeated::Refuse,
        findings: &[(Reason::NotOnChannel, "cloudService.proxy")],
        without: &["cloudService.proxy"],
        instead: json!({}),
    }
    .check();
}

#[test]
fn the_full_configuration_comes_back_with_its_file_systems_apart() {
    Sample {
        text: include_str!("../samples/docs_linux_full.json"),
        form: Form::MdatpJson,
        repeated: Repeated::Refuse,
        findings: &[
            (Reason::ExampleValue, "antivirusEngine.exclusions"),
            (Reason::ExampleValue, "antivirusEngine.allowedThreats"),
            (Reason::CommaJoined, "antivirusEngine.unmonitoredFilesystems[0]"),
            (Reason::NotOnChannel, "cloudService.proxy"),
        ],
        without: &["cloudService.proxy"],
        instead: json!({ "antivirusEngine.unmonitoredFilesystems": ["nfs", "fuse"] }),
    }
    .check();
}

#[test]
fn the_tag_comes_back_without_the_group_id() {
    Sample {
        text: include_str!("../samples/docs_linux_edr_tag_fragment.json"),
        form: Form::MdatpJson,
        repeated: Repeated::Refuse,
        findings: &[(Reason::NotOnChannel, "cloudService.proxy"), (Reason::NotOnChannel, "edr.groupIds")],
        without: &["cloudService.proxy", "edr.groupIds"],
        instead: json!({}),
    }
    .check();
}

#[test]
fn exclusions_with_scopes_go_where_they_mean_the_same() {
    Sample {
        text: include_str!("../samples/docs_linux_exclusions_2025-06.json"),
        form: Form::MdatpJson,
        repeated: Repeated::Refuse,
        findings: &[
            (Reason::ExampleValue, "exclusionSettings.exclusions"),
            (Reason::ExclusionMoved, "exclusionSettings.exclusions[0]"),
            (Reason::ExclusionMoved, "exclusionSettings.exclusions[3]"),
            (Reason::ScopesMissing, "exclusionSettings.exclusions[4]"),
            (Reason::NotOnChannel, "exclusionSettings.mergePolicy"),
        ],
        without: &["exclusionSettings.mergePolicy"],
        instead: json!({
            "antivirusEngine.exclusions": [
                {"$type": "excludedPath", "isDirectory": true, "path": "/home/*/git<EXAMPLE DO NOT USE>"},
                {"$type": "excludedFileExtension", "extension": ".pdf<EXAMPLE DO NOT USE>"},
            ],
            "exclusionSettings.exclusions": [
                {"$type": "excludedPath", "isDirectory": true, "path": "/run<EXAMPLE DO NOT USE>", "scopes": ["global"]},
                {
                    "$type": "excludedPath",
                    "isDirectory": false,
                    "path": "/var/log/system.log<EXAMPLE DO NOT USE><EXCLUDED IN ALL SCENARIOS>",
                    "scopes": ["epp", "global"],
                },
                {
                    "$type": "excludedFileName",
                    "name": "/bin/cat<EXAMPLE DO NOT USE><NO SCOPE PROVIDED - GLOBAL CONSIDERED>",
                },
            ],
        }),
    }
    .check();
}

const ANNOTATED: &str = include_str!("../samples/xplat_linux_mdatp_managed_annotated.json");

#[test]
fn a_sample_with_keys_twice_is_refused_with_their_place() {
    let Invalid { message, position } = read(Form::MdatpJson, ANNOTATED.as_bytes()).unwrap_err();
    assert!(
        message.ends_with(r#"stands twice in one object: antivirusEngine["possible values"]"#),
        "{message}"
    );
    assert_eq!(position.map(|(line, _)| line), Some(7));
}

#[test]
fn and_if_one_insists_comes_back_without_its_notes() {
    Sample {
        text: ANNOTATED,
        form: Form::MdatpJson,
        repeated: Repeated::LastCounts,
        findings: &[
            (Reason::NotOnChannel, "exclusionSettings.mergePolicy"),
            (Reason::ExclusionMoved, "exclusionSettings.exclusions[1]"),
            (Reason::GlobalExclusionForm, "exclusionSettings.exclusions[2]"),
            (Reason::NotOnChannel, "cloudService.proxy"),
            (Reason::NotOnChannel, "features.remediateInfectedFile"),
            (Reason::NotOnChannel, "features.ebpfSupplementaryEventProvider"),
            (Reason::NotOnChannel, "features.offlineDefinitionUpdateVerifySig"),
            (Reason::NotOnChannel, "networkProtection.disableIcmpInspection"),
            (Reason::NotOnChannel, "edr.groupIds"),
        ],
        without: &[
            "exclusionSettings.mergePolicy",
            "cloudService.proxy",
            "features",
            "networkProtection.disableIcmpInspection",
            "edr.groupIds",
        ],
        instead: json!({
            "antivirusEngine.exclusions": [{"$type": "excludedFileExtension", "extension": ".pdf"}],
            "exclusionSettings.exclusions": [
                {"$type": "excludedPath", "isDirectory": true, "path": "/foo/bar", "scopes": ["epp", "global"]},
                {"$type": "excludedFileName", "name": "cat", "scopes": ["epp", "global"]},
            ],
        }),
    }
    .check();
}

#[test]
fn each_note_among_the_keys_is_told() {
    let imported = import::mdatp_json(catalogue(), ANNOTATED.as_bytes(), Repeated::LastCounts).unwrap();
    let notes = found(&imported).into_iter().filter(|(_, path)| is_note(path));
    let (repeated, unknown): (Vec<_>, Vec<_>) = notes.partition(|(reason, _)| *reason == Reason::RepeatedKey);
    assert!(unknown.iter().all(|(reason, _)| *reason == Reason::UnknownKey), "{unknown:?}");
    let standing: usize = NOTES.iter().map(|note| ANNOTATED.matches(&format!("\"{note}\":")).count()).sum();
    assert_eq!(repeated.len() + unknown.len(), standing);
}

#[test]
fn the_recommended_property_list_comes_back() {
    Sample {
        text: include_str!("../samples/docs_macos_jamf_recommended.plist"),
        form: Form::WdavPlist,
        repeated: Repeated::Refuse,
        findings: &[],
        without: &[],
        instead: json!({}),
    }
    .check();
}

#[test]
fn the_property_list_of_data_loss_prevention_comes_back_and_tells_what_needs_an_mdm() {
    Sample {
        text: include_str!("../samples/xplat_macos_dlp_com.microsoft.wdav.plist"),
        form: Form::WdavPlist,
        repeated: Repeated::Refuse,
        findings: &[
            (Reason::Deprecated, "antivirusEngine.passiveMode"),
            (Reason::MdmOnly, "features.dataLossPrevention"),
        ],
        without: &[],
        instead: json!({}),
    }
    .check();
}
