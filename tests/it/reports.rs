//! What an admin reads of two devices, from a policy that was never delivered to one that is in force, and everything in
//! between: one story, two deployments.

use std::collections::BTreeSet;
use std::fs;

use muster_types::Timestamp;
use serde_json::{Value, json};

use crate::deployment::{Agent, Deployment, Shape, eventually};

const LEVEL: &str = "linux-antivirus/enforcement_level";
const ARCHIVES: &str = "linux-antivirus/scan_archives";
const MANAGED: &str = "etc/opt/microsoft/mdatp/managed/mdatp_managed.json";

struct Story {
    deployment: Deployment,
    token: String,
    one: String,
    two: String,
    _first: Agent,
    second: Agent,
}

fn policy(deployment: &Deployment, name: &str, profile: &str, settings: &[(&str, &str)]) {
    let file = deployment.dir.path().join(format!("{name}.yaml"));
    let mut text = format!(
        "apiVersion: muster.io/v1\nkind: Policy\nmetadata:\n  name: {name}\nspec:\n  profile: {profile}\n  settings:\n"
    );
    for (id, value) in settings {
        text.push_str(&format!("    {id}: {value}\n"));
    }
    fs::write(&file, text).unwrap();
    deployment.muster(&["policy", "create", "-f", file.to_str().unwrap(), "--reason", "to begin with"]);
    deployment.muster(&["policy", "assign", name, "--group", "All"]);
}

fn device(deployment: &Deployment, but: &str) -> String {
    eventually("a device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        let other = devices["devices"].as_array()?.iter().find(|device| device["id"] != but)?.clone();
        (other["enrollment_status"] == "succeeded").then(|| other["id"].as_str().unwrap().to_owned())
    })
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

impl Story {
    /// Two devices that are enrolled and in the group of all; the second is gone again.
    fn begin(shape: Shape) -> Self {
        let deployment = Deployment::start(shape);
        let token = deployment.muster(&["token", "create", "--uses", "2"]);
        let token = token["secret"].as_str().unwrap().to_owned();
        deployment.muster(&["group", "create", "All", "--rule", "device.objectId -ne null"]);
        let first = deployment.agent("first", &token);
        let one = device(&deployment, "");
        let mut second = deployment.agent("second", &token);
        let two = device(&deployment, &one);
        second.kill();
        Self { deployment, token, one, two, _first: first, second }
    }

    fn report(&self, policy: &str) -> Value {
        let report = self.deployment.muster(&["report", "policy", policy]);
        assert_eq!(report["targeted"], sum(&report["counts"]), "{report}");
        assert_eq!(report["targeted"], sum(&report["states"]), "{report}");
        report
    }

    /// Waits until the devices of a policy are in these finer states.
    fn counts(&self, policy: &str, states: &[(&str, u64)]) -> Value {
        eventually(&format!("{policy} is counted as {states:?}"), || {
            let report = self.report(policy);
            let fits = states.iter().all(|(state, devices)| report["states"][state] == *devices);
            let all = states.iter().map(|(_, devices)| devices).sum::<u64>();
            (fits && report["targeted"] == all).then_some(report)
        })
    }

    fn setting(&self, device: &str, id: &str, more: &[&str]) -> (Value, Value) {
        let args: Vec<_> =
            ["report", "device", device, "--setting", id].iter().chain(more).copied().collect();
        let report = self.deployment.muster(&args);
        let setting = report["settings"][0].clone();
        assert_eq!(setting["id"], id, "{report}");
        (report, setting)
    }

    /// What has no room stands in the way of the file that the agent writes.
    fn blocked(&self, is_blocked: bool) {
        let path = self.second.root.join(MANAGED);
        if is_blocked {
            fs::create_dir_all(path.join("in-the-way")).unwrap();
        } else {
            fs::remove_dir_all(path).unwrap();
        }
    }

    fn second_comes_back(&mut self) {
        self.second = self.deployment.agent("second", &self.token);
    }

    /// Rows of an export are those of the list, whichever way they are asked for.
    fn exports_what_it_lists(&self, policy: &str) {
        let list = self.deployment.muster(&["report", "policy", policy, "--devices"]);
        let listed: BTreeSet<_> = list["devices"].as_array().unwrap().iter().map(row).collect();
        let file = self.deployment.dir.path().join("devices.ndjson");
        let args = ["report", "export", "policy", policy, "--format", "ndjson", "-f", file.to_str().unwrap()];
        self.deployment.printed(&args);
        let text = fs::read_to_string(&file).unwrap();
        let exported: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let rows =
            exported.iter().map(|row| format!("{} {} {}", row["device_id"], row["status"], row["state"]));
        assert_eq!(rows.collect::<BTreeSet<_>>(), listed);
        assert_eq!(list["total_size"], exported.len());
        let csv = self.deployment.printed(&["report", "export", "policy", policy, "--columns", "intune"]);
        assert!(csv.starts_with("AssignmentFilterIds,DeviceName,"), "{csv}");
        assert_eq!(csv.lines().count(), exported.len() + 1);
    }

    fn pages_are_the_list(&self, policy: &str) {
        let page = |token: &str| {
            let args = ["report", "policy", policy, "--devices", "--page-size", "1", "--page-token", token];
            self.deployment.muster(&args)
        };
        let first = page("");
        let second = page(first["next_page_token"].as_str().unwrap());
        assert_eq!(
            (&first["devices"][0]["id"], &second["devices"][0]["id"]),
            (&json!(self.one), &json!(self.two))
        );
        assert_eq!(second["next_page_token"], "");
        let refused = ["report", "policy", policy, "--setting", "linux-antivirus/offline_definition_update"];
        assert_eq!(self.deployment.refused(&refused), "FILTER_INVALID");
    }
}

fn row(device: &Value) -> String {
    format!("{} {} {}", device["id"], device["status"], device["state"])
}

fn tell(shape: Shape) {
    let mut story = Story::begin(shape);
    policy(&story.deployment, "strict", "linux-antivirus", &[(LEVEL, "real_time"), (ARCHIVES, "true")]);

    // One read it back; to the other it was never sent.
    let before = story.counts("strict", &[("confirmed", 1), ("never_delivered", 1)]);
    let (_, setting) = story.setting(&story.two, LEVEL, &[]);
    assert_eq!((&setting["state"], &setting["stage"]), (&json!("pending"), &json!("never_delivered")));
    let (report, setting) = story.setting(&story.one, LEVEL, &[]);
    assert_eq!((&setting["stage"], &setting["observed"]), (&json!("confirmed"), &json!("real_time")));
    assert!(report["confirmed_time"].is_string(), "{report}");
    let report = eventually("the delivery is told, which takes about a second", || {
        let (report, _) = story.setting(&story.one, LEVEL, &[]);
        report["delivered_time"].is_string().then_some(report)
    });
    let ages = ["desired_time", "delivered_time", "confirmed_time"];
    let ages = ages.map(|age| report[age].as_str().unwrap().parse::<Timestamp>().unwrap());
    assert!(ages.is_sorted(), "{report}");

    // It comes back, and cannot write.
    story.blocked(true);
    story.second_comes_back();
    story.counts("strict", &[("confirmed", 1), ("failed", 1)]);
    let args = ["report", "policy", "strict", "--devices", "--status", "error"];
    let failed = story.deployment.muster(&args);
    assert_eq!((&failed["devices"][0]["id"], &failed["total_size"]), (&json!(story.two), &json!(1)));
    assert!(failed["devices"][0]["reason"].is_string(), "{failed}");
    story.exports_what_it_lists("strict");
    story.pages_are_the_list("strict");

    // Its way is clear, and a second policy disagrees: both sides are named, with what they want.
    story.blocked(false);
    policy(&story.deployment, "lax", "linux-antivirus", &[(LEVEL, "passive")]);
    story.counts("strict", &[("conflict", 2)]);
    story.counts("lax", &[("conflict", 2)]);
    let (report, setting) = story.setting(&story.one, LEVEL, &[]);
    assert_eq!((&setting["state"], &setting["reason"]), (&json!("conflict"), &json!("SETTING_CONFLICT")));
    assert_eq!(setting["merge_mode"], "conflict");
    let names = |of: &Value| {
        let names = of.as_array().unwrap().iter().map(|it| it["display_name"].as_str().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let both = BTreeSet::from(["lax".to_owned(), "strict".to_owned()]);
    assert_eq!((names(&setting["sources"]), names(&report["candidates"])), (both.clone(), both));
    let text = story.deployment.printed(&["report", "device", &story.one, "--setting", LEVEL]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["\"lax\" revision 1", "wants \"passive\"", "muster error explain SETTING_CONFLICT"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }

    // What did not change is as old as it was.
    let since = |id| {
        let (_, setting) = story.setting(&story.one, id, &[]);
        setting["desired_time"].as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    assert_eq!(since(ARCHIVES), ages[0]);
    assert!(since(LEVEL) > ages[0]);

    // One is let off; for Macs it is not at all.
    let waiver = ["--device", &story.one, "--reason", "a build", "--approver", "Ada", "--for", "7d"];
    let grant: Vec<_> = ["waiver", "grant", "--setting", LEVEL].iter().chain(&waiver).copied().collect();
    story.deployment.muster(&grant);
    story.counts("lax", &[("waived", 1), ("conflict", 1)]);
    policy(
        &story.deployment,
        "macs",
        "macos-antivirus",
        &[("macos-antivirus/enforcement_level", "real_time")],
    );
    story.counts("macs", &[("unsupported", 2)]);

    // Each setting adds up, and so does the fleet.
    let settings = story.deployment.muster(&["report", "policy", "strict", "--per-setting"]);
    let settings = settings["settings"].as_array().unwrap();
    assert_eq!(settings.iter().map(|it| &it["id"]).collect::<Vec<_>>(), [LEVEL, ARCHIVES]);
    assert!(settings.iter().all(|it| sum(&it["counts"]) == 2), "{settings:?}");
    assert_eq!(
        (&settings[0]["counts"]["waived"], &settings[0]["counts"]["conflict"]),
        (&json!(1), &json!(1))
    );
    let fleet = story.deployment.muster(&["report", "fleet"]);
    assert_eq!((&fleet["devices"], sum(&fleet["counts"]), sum(&fleet["states"])), (&json!(2), 2, 2));
    assert_eq!(names(&fleet["policies"]), BTreeSet::from(["lax", "macs", "strict"].map(str::to_owned)));
    let convergence = story.deployment.muster(&["report", "policy", "strict", "--convergence"]);
    assert_eq!(convergence["revisions"][0]["devices"], 2, "{convergence}");

    // When a device counts as stale is for an admin to say, and is not said twice.
    let set = |more: &[&str]| {
        let args: Vec<_> =
            ["report", "settings", "set", "--stale-after", "3d"].iter().chain(more).copied().collect();
        story.deployment.muster(&args)
    };
    let etag = set(&[])["etag"].as_str().unwrap().to_owned();
    let now = story.deployment.muster(&["report", "settings", "get"]);
    assert_eq!((&now["etag"], &now["stale_after"]), (&json!(etag), &set(&["--etag", &etag])["stale_after"]));
    let stale = ["report", "settings", "set", "--drift-after", "5", "--etag", "gone"];
    assert_eq!(story.deployment.refused(&stale), "ETAG_MISMATCH");
    assert_eq!(story.deployment.muster(&["report", "settings", "get"])["etag"], etag.as_str());

    // What was, stays what was.
    let then = before["position"].as_str().unwrap();
    let (_, setting) = story.setting(&story.two, LEVEL, &["--as-of", then]);
    assert_eq!((&setting["state"], &setting["stage"]), (&json!("pending"), &json!("never_delivered")));
    let future = ["report", "device", &story.one, "--as-of", "2999-01-01T00:00:00Z"];
    assert_eq!(story.deployment.refused(&future), "AS_OF_INVALID");
}

#[test]
fn reports_say_what_was_read_back_and_why_not_in_one_process() {
    tell(Shape::OneProcess);
}

#[test]
fn reports_say_what_was_read_back_and_why_not_across_four_processes() {
    tell(Shape::FourProcesses);
}
