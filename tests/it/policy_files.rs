//! Configuration as files: checked without a server, planned, applied, exported.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::deployment::{Deployment, Shape, error_code, eventually, muster};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies")
}

fn validate(path: &Path) -> Output {
    muster().args(["validate", "-o", "json", "-f"]).arg(path).output().unwrap()
}

#[test]
fn the_example_has_no_mistakes() {
    let output = validate(&example());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{found}");
    assert_eq!((&found["mistakes"], &found["objects"]), (&json!([]), &json!(11)));
}

#[test]
fn every_mistake_is_told_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.yaml"), "apiVersion: muster.io/v1\nkind: Polizy\n").unwrap();
    fs::write(dir.path().join("b.yaml"), b"a: \xff\n").unwrap();
    let output = validate(dir.path());
    assert_eq!((output.status.code(), error_code(&output)), (Some(1), "FILE_INVALID".to_owned()));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let places: Vec<_> =
        found["mistakes"].as_array().unwrap().iter().map(|it| (&it["line"], &it["column"])).collect();
    assert_eq!(places.len(), 2);
    assert_eq!((places[0], places[1]), ((&json!(2), &json!(7)), (&json!(1), &json!(4))));
    for (files, told) in [(dir.path().join("a.yaml"), 1), (dir.path().to_owned(), 2)] {
        let refused = muster().args(["diff", "-f"]).arg(&files).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(text.matches("a.yaml:2:7").count(), told, "{text}");
    }
}

/// How many events all services have, but for those that tell of many devices together, some time after a change.
fn events(deployment: &Deployment) -> usize {
    let services = ["enroll", "identity", "policy"];
    let together = ["DevicesSeen", "EffectivePoliciesChanged", "PoliciesDelivered"];
    let alone = |event: &&Value| !together.iter().any(|kind| event["type"].as_str().unwrap().ends_with(kind));
    services.iter().map(|service| deployment.events(service).iter().filter(alone).count()).sum()
}

fn tell(deployment: &mut Deployment) {
    let folder = deployment.dir.path().join("policies");
    copy(&example(), &folder);
    let files = folder.to_str().unwrap().to_owned();
    let diff = deployment.differs(&["diff", "-f", &files]);
    assert_eq!(
        (&diff["create"], &diff["update"], &diff["delete"]),
        (&json!(10), &json!(1), &json!(0)),
        "{diff}"
    );

    let planned = deployment.differs(&["plan", "-f", &files]);
    let digest = planned["plan"]["digest"].as_str().unwrap().to_owned();
    deployment.muster(&["apply", "-f", &files, "--dry-run"]);
    assert_eq!(
        deployment.differs(&["plan", "-f", &files])["plan"]["digest"],
        digest.as_str(),
        "plans are repeatable"
    );
    deployment.muster(&["scope", "set", "--tag", "another"]);
    assert_eq!(
        deployment.refused(&["apply", "-f", &files, "--plan", &digest]),
        "PLAN_MOVED_ON",
        "the scope is part of the plan"
    );
    let planned = deployment.differs(&["plan", "-f", &files]);
    let digest = planned["plan"]["digest"].as_str().unwrap().to_owned();
    let applied = deployment.muster(&["apply", "-f", &files, "--plan", &digest, "--reason", "first"]);
    assert_eq!(applied["create"], 10, "{applied}");

    let before = events(deployment);
    let again = deployment.muster(&["apply", "-f", &files]);
    assert_eq!((&again["changes"], &again["events"]), (&json!([]), &json!(0)));
    deployment.muster(&["apply", "-f", &files, "--prune"]);
    assert_eq!(deployment.muster(&["diff", "-f", &files, "--prune"])["changes"], json!([]));
    let planned = deployment.muster(&["plan", "-f", &files]);
    assert_eq!(planned["plan"]["devices_touched"], 0);
    let exported = deployment.dir.path().join("exported");
    let exported = exported.to_str().unwrap();
    deployment.export(exported);
    assert_eq!(deployment.muster(&["diff", "-f", exported, "--prune"])["changes"], json!([]));
    deployment.muster(&["apply", "-f", exported, "--prune"]);
    assert_eq!(events(deployment), before, "what is so already makes no event");

    edit(deployment, &folder, &files);
}

/// An edit, a plan that moves on, a prune, and what comes back.
fn edit(deployment: &mut Deployment, folder: &Path, files: &str) {
    let policy = folder.join("policies/linux.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, text.replace("threads: 2", "threads: 3")).unwrap();
    let diff = deployment.differs(&["diff", "-f", files]);
    let field = json!([{
        "field": "settings.linux-antivirus/maximum_on_demand_scan_threads", "before": 2, "after": 3,
    }]);
    assert_eq!((diff["changes"].as_array().unwrap().len(), &diff["changes"][0]["fields"]), (1, &field));
    let old = deployment.differs(&["plan", "-f", files])["plan"]["digest"].as_str().unwrap().to_owned();
    fs::write(&policy, text.replace("threads: 2", "threads: 4")).unwrap();
    let before = events(deployment);
    assert_eq!(deployment.refused(&["apply", "-f", files, "--plan", &old]), "PLAN_MOVED_ON");
    assert_eq!(events(deployment), before, "nothing is half applied");
    deployment.muster(&["apply", "-f", files]);

    fs::remove_file(folder.join("groups/platforms.yaml")).unwrap();
    fs::remove_file(folder.join("waivers/archives.yaml")).unwrap();
    fs::write(folder.join("assignments/linux.yaml"), "").unwrap();
    let kept = deployment.muster(&["diff", "-f", files, "--prune"]);
    assert_eq!(kept["changes"], json!([]), "the files have no kinds that others are of");
    let group =
        "{apiVersion: muster.io/v1, kind: Group, metadata: {name: Lab}, spec: {static: {devices: []}}}";
    fs::write(folder.join("groups/lab.yaml"), group).unwrap();
    let pruned = deployment.muster(&["apply", "-f", files, "--prune", "--yes"]);
    assert_eq!((&pruned["create"], &pruned["delete"]), (&json!(1), &json!(7)), "{pruned}");

    let example = example();
    let example = example.to_str().unwrap();
    deployment.muster(&["apply", "-f", example]);
    deployment.muster(&["delete", "-f", example]);
    let gone = deployment.muster(&["delete", "-f", example]);
    assert_eq!(gone["changes"], json!([]));
    deployment.muster(&["apply", "-f", example]);
    eventually("nothing differs", || {
        let diff = deployment.outcome(&["diff", "-f", example]);
        (diff == Some(0)).then_some(())
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn files_are_planned_applied_and_exported() {
    tell(&mut Deployment::start(Shape::OneProcess));
}

/// A policy with an exclusion of its own, assigned to the group of all: exclusions of several policies add up.
fn excluding(n: usize) -> String {
    format!(
        "---\napiVersion: muster.io/v1\nkind: Policy\nmetadata: {{name: Team {n}}}\nspec:\n  profile: linux-antivirus-exclusions\n  \
         settings:\n    linux-antivirus-exclusions/exclusions: [{{type: excluded_file_extension, extension: .t{n}}}]\n\
         ---\napiVersion: muster.io/v1\nkind: Assignment\nspec: {{policy: Team {n}, group: All Linux}}\n"
    )
}

#[test]
fn five_hundred_objects_change_at_once_and_one_more_does_not() {
    let deployment = Deployment::start(Shape::FourProcesses);
    let file = deployment.dir.path().join("teams.yaml");
    let path = file.to_str().unwrap().to_owned();
    let group = "apiVersion: muster.io/v1\nkind: Group\nmetadata: {name: All Linux}\nspec:\n  \
                 rule: device.deviceOSType -eq \"Linux\"\n";
    let write = |teams: usize| {
        let teams: String = (0..teams).map(excluding).collect();
        fs::write(&file, format!("{group}{teams}")).unwrap();
    };
    write(251);
    assert_eq!(deployment.refused(&["apply", "-f", &path]), "MESSAGE_TOO_LARGE");
    assert_eq!(deployment.muster(&["policy", "list"])["policies"], json!([]), "nothing is half applied");
    write(250);
    let applied = deployment.muster(&["apply", "-f", &path]);
    assert_eq!((&applied["create"], &applied["events"]), (&json!(501), &json!(500)));
    let again = deployment.muster(&["apply", "-f", &path]);
    assert_eq!((&again["changes"], &again["events"]), (&json!([]), &json!(0)));
}
