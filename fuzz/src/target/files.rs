//! Files of policies, groups, assignments, scope and waivers, up to their objects and back to text.

use muster_cli::files::mistake::{Findings, MISTAKES_MAX};
use muster_cli::files::set::{self, Set};
use muster_cli::files::source::Source;
use muster_cli::files::write;

use super::NOW;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (set, findings) = read(text);
    let lines = text.lines().count().max(1) as u64 + 1;
    assert!(findings.mistakes().len() <= MISTAKES_MAX);
    for mistake in findings.mistakes() {
        assert!((1..=lines).contains(&mistake.place.line), "{mistake} in {lines} lines");
        assert!(mistake.place.column > 0 && !mistake.message.is_empty(), "{mistake}");
    }
    if findings.mistake_count() > 0 {
        return false;
    }
    reads_back(&set);
    true
}

fn read(text: &str) -> (Set, Findings) {
    let mut findings = Findings::default();
    let source = Source { name: "fuzz".into(), text: text.to_owned() };
    let set = set::check(&[source], NOW, &mut findings);
    (set, findings)
}

/// What is written of objects is read as the same objects.
fn reads_back(set: &Set) {
    let documents = set.objects.iter().map(|object| {
        serde_saphyr::to_string(&write::document(&object.name, &object.spec))
            .expect("a document can be written")
    });
    let text = documents.collect::<Vec<_>>().join("---\n");
    let (again, findings) = read(&text);
    assert_eq!(findings.mistakes(), [], "{text}");
    let said = |set: &Set| {
        let objects = set.objects.iter();
        objects.map(|it| (it.name.clone(), write::fields(&it.spec))).collect::<Vec<_>>()
    };
    assert_eq!(said(&again), said(set), "{text}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../../examples/policies/groups/platforms.yaml"),
        include_str!("../../../examples/policies/policies/linux.yaml"),
        include_str!("../../../examples/policies/policies/windows.yaml"),
        include_str!("../../../examples/policies/assignments/linux.yaml"),
        include_str!("../../../examples/policies/scope.yaml"),
        include_str!("../../../examples/policies/waivers/archives.yaml"),
        r#"{"apiVersion": "muster.io/v1", "kind": "Group", "metadata": {"name": "g"}, "spec": {"static": {"devices": ["a"]}}}"#,
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
