//! Policies that disagree, and what admins do about it: one story, two deployments.

use std::fs;

use serde_json::{Value, json};

use crate::deployment::{Agent, Deployment, Shape, eventually};

const LEVEL: &str = "linux-antivirus/enforcement_level";

struct Story<'a> {
    deployment: &'a mut Deployment,
    agent: Agent,
    device: String,
}

impl Story<'_> {
    fn level(&self) -> Value {
        self.agent.managed_configuration()["antivirusEngine"]["enforcementLevel"].clone()
    }

    /// Waits until the enforcement level on the device is this; null for none.
    fn becomes(&self, what: &str, level: &Value) {
        eventually(what, || (self.level() == *level).then_some(()));
    }

    /// Waits until the device has reported this of the enforcement level.
    fn reported(&self, state: &str) -> Value {
        eventually(&format!("the level is reported as {state}"), || {
            let report = self.deployment.muster(&["report", "device", &self.device]);
            let settings = report["settings"].as_array()?;
            settings.iter().find(|setting| setting["id"] == LEVEL && setting["state"] == state).cloned()
        })
    }

    fn counts(&self, policy: &str, verdict: &str) {
        eventually(&format!("{policy} is counted as {verdict}"), || {
            let report = self.deployment.muster(&["report", "policy", policy]);
            (report["targeted"] == 1 && report["counts"][verdict] == 1).then_some(())
        });
    }
}

fn policy(deployment: &Deployment, name: &str, settings: &str) {
    let file = deployment.dir.path().join(format!("{name}.yaml"));
    let text = format!(
        "apiVersion: muster.io/v1\nkind: Policy\nmetadata:\n  name: {name}\nspec:\n  profile: linux-antivirus\n  settings:\n{settings}"
    );
    fs::write(&file, text).unwrap();
    let known = deployment.muster(&["policy", "list"]);
    let known = known["policies"].as_array().unwrap().iter().any(|policy| policy["display_name"] == name);
    let file = file.to_str().unwrap();
    if known {
        deployment.muster(&["policy", "update", name, "-f", file, "--reason", "told otherwise"]);
    } else {
        deployment.muster(&["policy", "create", "-f", file, "--reason", "to begin with"]);
    }
}

fn level(value: &str) -> String {
    format!("    {LEVEL}: {value}\n")
}

/// `at` is called while two policies disagree.
fn tell(deployment: &mut Deployment, at: impl FnOnce(&mut Deployment)) {
    policy(deployment, "strict", &level("real_time"));
    policy(deployment, "lax", &(level("passive") + "    linux-antivirus/scan_archives: true\n"));
    deployment.muster(&["group", "create", "All", "--rule", "device.objectId -ne null"]);
    for name in ["strict", "lax"] {
        deployment.muster(&["policy", "assign", name, "--group", "All"]);
    }
    let token = deployment.muster(&["token", "create", "--uses", "1"]);
    let agent = deployment.agent("device", token["secret"].as_str().unwrap());
    let device = eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        let device = devices["devices"].as_array()?.first()?.clone();
        (device["enrollment_status"] == "succeeded").then(|| device["id"].as_str().unwrap().to_owned())
    });
    let story = Story { deployment, agent, device };

    // Nobody guesses: the level is withheld, the rest is in force, and both sides are named.
    let conflict = story.reported("conflict");
    assert_eq!(conflict["reason"], "SETTING_CONFLICT");
    eventually("the rest is in force", || {
        (story.agent.managed_configuration()["antivirusEngine"]["scanArchives"] == true).then_some(())
    });
    assert_eq!(story.level(), Value::Null);
    story.counts("strict", "conflict");
    let why = story.deployment.muster(&["explain", "device", &story.device, LEVEL]);
    let why = &why["settings"][0];
    assert_eq!(why["withheld"], "conflict");
    let mut names: Vec<_> =
        why["losers"].as_array().unwrap().iter().map(|loser| loser["display_name"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, [json!("lax"), json!("strict")]);
    let collisions = story.deployment.muster(&["policy", "collisions", "strict"]);
    assert_eq!(
        (&collisions["collisions"][0]["settings"], &collisions["collisions"][0]["devices"]),
        (&json!([LEVEL]), &json!(1))
    );
    at(story.deployment);

    story.deployment.muster(&["policy", "assign", "lax", "--group", "All", "--priority", "10"]);
    story.becomes("a priority decides", &json!("passive"));
    story.reported("succeeded");
    story.counts("lax", "succeeded");

    let waiver = story.deployment.muster(&[
        "waiver",
        "grant",
        "--setting",
        LEVEL,
        "--device",
        &story.device,
        "--reason",
        "a scan stops the build",
        "--approver",
        "Ada",
        "--for",
        "7d",
    ]);
    story.becomes("the device is let off", &Value::Null);
    story.reported("waived");
    story.deployment.muster(&["waiver", "revoke", waiver["id"].as_str().unwrap(), "--reason", "mended"]);
    story.becomes("the waiver is over", &json!("passive"));

    policy(story.deployment, "lax", &level("on_demand"));
    story.becomes("a revision comes", &json!("on_demand"));
    let history = story.deployment.muster(&["policy", "history", "lax"]);
    let revisions = history["revisions"].as_array().unwrap();
    assert_eq!((revisions.len(), &revisions[0]["reason"]), (2, &json!("told otherwise")));
    story.deployment.muster(&["policy", "rollback", "lax", "--to", "1", "--reason", "it was better"]);
    story.becomes("the policy goes back", &json!("passive"));

    story.deployment.muster(&["policy", "delete", "lax", "--reason", "not needed"]);
    story.becomes("what the other says is in force", &json!("real_time"));
    story.deployment.muster(&["policy", "undelete", "lax"]);
    story.becomes("it is back with its assignment", &json!("passive"));
    story.counts("lax", "succeeded");
}

#[test]
fn policies_that_disagree_are_named_decided_waived_and_rolled_back_across_a_crash() {
    tell(&mut Deployment::start(Shape::OneProcess), |deployment| deployment.kill_and_restart("serve"));
}

#[test]
fn policies_that_disagree_are_named_decided_waived_and_rolled_back_across_four_processes() {
    tell(&mut Deployment::start(Shape::FourProcesses), |deployment| deployment.kill_and_restart("policy"));
}
