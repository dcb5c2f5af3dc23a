//! What files say, and every mistake with its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use muster_errors::ErrorCode;
use muster_types::Timestamp;

use super::mistake::{Findings, MISTAKES_MAX};
use super::node::{self, Node};
use super::set::{self, Kind, Set};
use super::source::{FILE_BYTES_MAX, Source};
use super::write;

const GOOD: &str = r#"apiVersion: muster.io/v1
kind: Policy
metadata:
  name: Linux baseline
spec:
  profile: linux-antivirus
  onUnassign: keep
  settings:
    linux-antivirus/enforcement_level: real_time
    linux-antivirus/maximum_on_demand_scan_threads: 2
---
apiVersion: muster.io/v1
kind: Group
metadata: {name: Linux}
spec:
  rule: device.deviceOSType -eq "Linux"
---
apiVersion: muster.io/v1
kind: Group
metadata: {name: Lab}
spec:
  static:
    devices: [build-1, "17"]
---
apiVersion: muster.io/v1
kind: Assignment
spec: {policy: Linux baseline, group: Linux, priority: 10, filter: x}
---
apiVersion: muster.io/v1
kind: Assignment
metadata: {name: not in the lab}
spec: {policy: Linux baseline, group: Lab, intent: exclude}
---
apiVersion: muster.io/v1
kind: EnforcementScope
spec:
  windowsClient: off
  linux: all
  rulesAsOf: 2023-09
  entitlement: {kind: endpoint, seats: 5}
---
apiVersion: muster.io/v1
kind: Waiver
spec:
  policy: Linux baseline
  setting: linux-antivirus/enforcement_level
  device: build-1
  reason: the build is too slow
  approver: Ada
  expires: 2026-06-01T00:00:00Z
"#;
/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn check(text: &str) -> (Set, Findings) {
    let mut findings = Findings::default();
    let source = Source { name: "f".into(), text: text.to_owned() };
    let set = set::check(&[source], NOW, &mut findings);
    (set, findings)
}

fn mistakes(text: &str) -> Vec<String> {
    let (_, findings) = check(text);
    let told = findings.mistakes().iter();
    told.map(|mistake| format!("{}:{} {}", mistake.place.line, mistake.place.column, mistake.code)).collect()
}

#[test]
fn every_kind_is_read() {
    let (set, findings) = check(GOOD);
    assert_eq!(findings.mistakes(), []);
    let warnings: Vec<_> = findings.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("f:27:"), "{warnings:?}");
    let titles: Vec<_> = set.objects.iter().map(|object| (object.kind(), object.title())).collect();
    assert_eq!(titles[2], (Kind::Group, "Lab".to_owned()));
    assert_eq!(titles[3], (Kind::Assignment, "Linux baseline → Linux".to_owned()));
    assert_eq!(set.kinds().len(), 5);
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let awkward = GOOD
        .replace("Linux baseline", "'off'")
        .replace("name: Lab", "name: '2023-09'")
        .replace("group: Lab", "group: '2023-09'")
        .replace("the build is too slow", "\"a: #\\n- 'b' \\\"c\\\" é\\t \"");
    for text in [GOOD, &awkward] {
        let (set, _) = check(text);
        let documents: Vec<_> = set
            .objects
            .iter()
            .map(|object| serde_saphyr::to_string(&write::document(&object.name, &object.spec)).unwrap())
            .collect();
        let (again, findings) = check(&documents.join("---\n"));
        assert_eq!(findings.mistakes(), []);
        let specs = |set: &Set| {
            set.objects.iter().map(|it| (it.name.clone(), write::fields(&it.spec))).collect::<Vec<_>>()
        };
        assert_eq!(specs(&again), specs(&set), "{documents:?}");
    }
}

#[test]
fn mistakes_are_told_with_line_and_column() {
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        ("kind: Policy", "kind: Polizy", "2:7 FILE_INVALID"),
        ("muster.io/v1\nkind: Policy", "muster.io/v9\nkind: Policy", "1:13 FILE_INVALID"),
        ("kind: Policy", "Kind: Policy", "2:1 FILE_INVALID"),
        ("  name: Linux baseline", "  labels: {a: b}\n  name: Linux baseline", "4:3 FILE_INVALID"),
        ("  profile: linux-antivirus", "  profile: linux-antivir", "6:12 PROFILE_UNKNOWN"),
        ("  profile:", "  profil:", "6:3 FILE_INVALID"),
        ("onUnassign: keep", "onUnassign: forget", "7:15 FILE_INVALID"),
        ("linux-antivirus/enforcement_level: real_time", "scan archives: true", "9:5 SETTING_UNKNOWN"),
        ("enforcement_level: real_time", "enforcement_leve: real_time", "9:5 SETTING_UNKNOWN"),
        ("level: real_time\n", "level: real\n", "9:40 SETTING_OUT_OF_RANGE"),
        ("level: real_time\n", "level: [real_time]\n", "9:40 SETTING_TYPE_MISMATCH"),
        ("threads: 2", "threads: 2.5", "10:53 SETTING_TYPE_MISMATCH"),
        ("threads: 2", "threads: 99999999999999999999", "10:53 SETTING_TYPE_MISMATCH"),
        ("threads: 2", "threads:", "10:51 SETTING_TYPE_MISMATCH"),
        ("maximum_on_demand_scan_threads: 2", "enforcement_level: passive", "10:5 SETTING_DUPLICATE"),
        ("rule: device.deviceOSType", "rule: device.deviceOsTyp", "16:9 RULE_INVALID"),
        ("-eq \"Linux\"", "-eq \"Linux", "16:33 RULE_INVALID"),
        ("devices: [build-1, \"17\"]", "devices: [build-1, 17]", "23:24 FILE_INVALID"),
        ("  rule: device", "  static: {devices: []}\n  rule: device", "16:11 FILE_INVALID"),
        ("name: Lab", "name: Linux", "18:1 FILE_INVALID"),
        ("name: Lab", "name: ''", "20:18 FILE_INVALID"),
        ("priority: 10", "priority: 0", "27:56 FILE_INVALID"),
        ("group: Linux, priority", "users: all, priority", "27:32 TARGET_UNSUPPORTED"),
        ("intent: exclude", "intent: exclude, priority: 1", "32:7 FILE_INVALID"),
        ("windowsClient: off", "windowsClient: no", "37:18 FILE_INVALID"),
        ("seats: 5", "seats: -1", "40:40 FILE_INVALID"),
        ("policy: Linux baseline\n  setting", "sitting", "45:3 FILE_INVALID"),
        ("expires: 2026-06-01T00:00:00Z", "expires: tomorrow", "50:12 FILE_INVALID"),
        ("expires: 2026", "expires: 2046", "42:1 FILE_INVALID"),
        ("device: build-1\n", "device: build-1\n  group: Lab\n", "47:11 FILE_INVALID"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let found = mistakes(&text);
        if !found.iter().any(|it| it == expected) {
            wrong.push(format!("{to}: expected {expected}, found {found:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn places_lead_into_lists() {
    let text = "apiVersion: muster.io/v1
kind: Policy
metadata: {name: Exclusions}
spec:
  profile: linux-antivirus-exclusions
  settings:
    linux-antivirus-exclusions/exclusions:
      - {type: excluded_path, path: /a, is_directory: true}
      - type: excluded_path
        path: 7
";
    assert_eq!(mistakes(text), ["10:15 SETTING_TYPE_MISMATCH"]);
}

#[test]
fn all_mistakes_are_told_at_once_up_to_a_limit() {
    let text: String =
        (0..150).map(|n| format!("--- \n{{apiVersion: muster.io/v1, kind: K{n}}}\n")).collect();
    let (_, findings) = check(&text);
    assert_eq!((findings.mistakes().len(), findings.mistake_count()), (MISTAKES_MAX, 150));
    assert!(findings.lines().last().unwrap().contains("50 more"));
    let fault = findings.settle().unwrap_err();
    assert!(fault.message.contains("150 mistakes") && fault.message.contains("f:2:"), "{fault}");
}

#[test]
fn what_is_not_in_the_files_is_a_warning() {
    let text = "{apiVersion: muster.io/v1, kind: Assignment, spec: {policy: elsewhere, group: 0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f}}";
    let (set, findings) = check(text);
    assert_eq!((set.objects.len(), findings.mistake_count(), findings.warnings().len()), (1, 0, 1));
    assert!(findings.warnings()[0].message.contains("elsewhere"));
}

#[test]
fn ends_of_files_and_empty_documents_are_no_mistakes() {
    let policy = GOOD.split("---").next().unwrap();
    for text in
        [format!("---\n---\n{policy}---\n"), format!("\u{feff}{policy}"), policy.replace('\n', "\r\n")]
    {
        let (set, findings) = check(&text);
        assert_eq!((set.objects.len(), findings.mistakes()), (1, &[][..]), "{text:?}");
    }
}

#[test]
fn a_document_that_is_no_mapping_is_told() {
    for text in ["- a\n", "just text\n", "7\n", "a: b: c\n", "{", "\t- x", "a: &a [*a]", "? [x]\n: y\n"] {
        assert_ne!(mistakes(text), Vec::<String>::new(), "{text:?}");
    }
}

fn load(path: &Path) -> (Set, Vec<String>) {
    let (set, findings) = set::load(&[path.to_owned()], NOW);
    assert!(findings.mistakes().iter().all(|mistake| mistake.code == ErrorCode::FileInvalid));
    let shown = findings.mistakes().iter().map(|mistake| {
        let base = format!("{}/", path.display());
        mistake.to_string().replace(&base, "")
    });
    (set, shown.collect())
}

#[test]
fn folders_are_read_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let group = |name: &str| {
        format!(
            "{{\"apiVersion\": \"muster.io/v1\", \"kind\": \"Group\", \"metadata\": {{\"name\": \"{name}\"}}, \
                 \"spec\": {{\"static\": {{\"devices\": []}}}}}}"
        )
    };
    fs::create_dir_all(dir.path().join("b/deep")).unwrap();
    for (file, name) in [("b/deep/z.yml", "3"), ("c.json", "4"), ("a.yaml", "1"), ("b/a.yaml", "2")] {
        fs::write(dir.path().join(file), group(name)).unwrap();
    }
    fs::write(dir.path().join("notes.txt"), "no").unwrap();
    fs::write(dir.path().join(".hidden.yaml"), "no").unwrap();
    let (set, mistakes) = load(dir.path());
    let names: Vec<_> = set.objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!((names, mistakes), (vec!["1", "2", "3", "4"], vec![]));
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    symlink("../sub", at("sub/again")).unwrap();
    symlink("loop.yaml", at("loop.yaml")).unwrap();
    symlink("nowhere", at("nowhere.yaml")).unwrap();
    fs::write(at("large.yaml"), vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
    fs::write(at("latin.yaml"), b"a: 1\nb: \xe9\n").unwrap();
    fs::write(at("good.yaml"), GOOD).unwrap();
    let (set, mistakes) = load(dir.path());
    assert_eq!(set.objects.len(), 7);
    let expected =
        ["large.yaml:1:1:", "latin.yaml:2:4:", "loop.yaml:1:1:", "nowhere.yaml:1:1:", "sub/again:1:1:"];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:?}");
    for (found, start) in mistakes.iter().zip(expected) {
        assert!(found.starts_with(start), "{found} instead of {start}");
    }
    let (_, mistakes) = load(&at("missing"));
    assert_eq!(mistakes.len(), 1);
}

#[test]
fn a_set_without_documents_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(dir.path()).1.len(), 1);
}

#[test]
fn a_folder_of_ten_thousand_documents_is_enough() {
    let document = "---\n{apiVersion: muster.io/v1, kind: Assignment, spec: {policy: p, group: g}}\n";
    let (set, findings) = check(&document.repeat(set::DOCUMENTS_MAX + 2));
    assert_eq!(set.objects.len(), 1, "the others stand twice");
    assert_eq!(findings.mistake_count(), set::DOCUMENTS_MAX);
}

#[test]
fn values_keep_their_types() {
    let mut read = Vec::new();
    node::documents("[yes, off, 0x10, 1e3, ~, '1', 2023-09, 2026-01-01]", |document| {
        read.push(document);
        true
    });
    let Some(Ok(Node { value: node::Value::List(items), .. })) = read.pop() else { panic!("{read:?}") };
    let kinds: Vec<_> = items.iter().map(|item| item.value.kind()).collect();
    let text = "a text";
    assert_eq!(kinds, [text, text, "a number", "a number", "nothing", text, text, text]);
}
