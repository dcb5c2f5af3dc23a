//! The life of a device after it came in: out of scope and back, another authority, offboarding, deletion, revocation,
//! promotion, clones. Whole deployments, a real agent.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::deployment::{Agent, Deployment, Shape, eventually};

const POLICY: &str = "
apiVersion: muster.io/v1
kind: Policy
metadata:
  name: Baseline
spec:
  profile: linux-antivirus
  settings:
    linux-antivirus/enforcement_level: real_time
    linux-antivirus/scan_archives: true
";

/// A device under policy.
struct Managed {
    deployment: Deployment,
    agent: Agent,
    device: String,
    token: String,
}

impl Managed {
    fn start(shape: Shape) -> Self {
        let deployment = Deployment::start(shape);
        let token = deployment.muster(&["token", "create", "--uses", "3"]);
        let token = token["secret"].as_str().unwrap().to_owned();
        let agent = deployment.agent("device", &token);
        let device = eventually("the device is enrolled", || {
            let devices = deployment.muster(&["device", "list"]);
            let device = devices["devices"].as_array()?.first()?.clone();
            (device["enrollment_code"] == "ENROLLED").then(|| device["id"].as_str().unwrap().to_owned())
        });
        deployment.muster(&["group", "create", "--name", "g", "--static"]);
        deployment.muster(&["group", "add", "g", &device]);
        let file = deployment.dir.path().join("policy.yaml");
        fs::write(&file, POLICY).unwrap();
        deployment.muster(&["policy", "create", "-f", file.to_str().unwrap()]);
        deployment.muster(&["policy", "assign", "Baseline", "--group", "g"]);
        let managed = Self { deployment, agent, device, token };
        managed.enforces();
        managed
    }

    /// Awaits that the policy is in force on the device.
    fn enforces(&self) {
        eventually("the policy is in force", || {
            let engine = &self.agent.managed_configuration()["antivirusEngine"];
            (engine["scanArchives"] == true).then_some(())
        });
    }

    /// Awaits that nothing of the policy is in force on the device.
    fn enforces_nothing(&self) {
        eventually("nothing is enforced", || {
            let left = self.agent.managed_configuration();
            (left == json!({}) || left == Value::Null).then_some(())
        });
    }

    /// Awaits an enrollment code.
    fn shows(&self, code: &str) -> Value {
        eventually(&format!("the device shows {code}"), || {
            let device = self.deployment.muster(&["device", "get", &self.device]);
            (device["enrollment_code"] == code).then_some(device)
        })
    }

    /// Awaits an enrollment code while the device is asked to check in: it may be just opening its watch.
    fn shows_after_sync(&self, code: &str) -> Value {
        eventually(&format!("the device shows {code}"), || {
            // Refused once the device is managed elsewhere.
            self.deployment.tried(&["device", "sync", &self.device]);
            let device = self.deployment.muster(&["device", "get", &self.device]);
            (device["enrollment_code"] == code).then_some(device)
        })
    }

    /// Who managed the device, oldest first.
    fn authorities(&self) -> Vec<String> {
        let ledger = self.deployment.muster(&["device", "authority", &self.device]);
        let intervals = ledger["intervals"].as_array().unwrap();
        for pair in intervals.windows(2) {
            assert_eq!(pair[0]["end_time"], pair[1]["start_time"], "a gap or two authorities: {ledger}");
        }
        intervals.iter().map(|interval| interval["managed_by"].as_str().unwrap().to_owned()).collect()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.agent.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Out of scope and back, at a word.
fn leaves_scope_and_comes_back(shape: Shape) {
    let managed = Managed::start(shape);
    let tried = managed.deployment.muster(&["scope", "set", "--linux", "off", "--dry-run"]);
    assert_eq!((&tried["devices_lost"], &tried["devices_gained"]), (&json!(1), &json!(0)));
    managed.shows("ENROLLED");

    managed.deployment.muster(&["scope", "set", "--linux", "tagged", "--tag", "Pilot"]);
    let device = managed.shows("NOT_TAGGED");
    assert_eq!((&device["managed_by"], &device["management_type"]), (&json!("nobody"), &json!("")));
    managed.enforces_nothing();
    let refused = managed.deployment.muster(&["device", "list", "--filter", "enrollment_status = REFUSED"]);
    assert_eq!(refused["devices"].as_array().unwrap().len(), 1);

    managed.deployment.muster(&["device", "tag", &managed.device, "Pilot"]);
    let device = managed.shows("ENROLLED");
    assert_eq!(
        (&device["managed_by"], &device["management_type"]),
        (&json!("muster"), &json!("MicrosoftSense"))
    );
    managed.enforces();
    assert_eq!(managed.authorities(), ["nobody", "muster", "nobody", "muster"]);
}

#[test]
fn a_device_leaves_the_scope_and_comes_back_in_one_process() {
    leaves_scope_and_comes_back(Shape::OneProcess);
}

#[test]
fn a_device_leaves_the_scope_and_comes_back_across_four_processes() {
    leaves_scope_and_comes_back(Shape::FourProcesses);
}

#[test]
fn a_device_stands_down_while_an_mdm_manages_it() {
    let mut managed = Managed::start(Shape::OneProcess);
    managed.write("opt/microsoft/intune/bin/intune-portal", "");
    managed.write("opt/microsoft/identity-broker/bin/microsoft-identity-broker", "");
    managed.write("home/admin/.config/intune/registration.toml", "device_hint = \"8c7d2f10-6f5e\"\n");
    let device = managed.shows_after_sync("MANAGED_BY_MDM");
    assert_eq!((&device["managed_by"], &device["management_type"]), (&json!("mdm"), &json!("MDM")));
    managed.enforces_nothing();

    assert_eq!(managed.deployment.refused(&["device", "sync", &managed.device]), "DEVICE_NOT_MANAGED");
    let synced = managed.deployment.muster(&["device", "sync", "--filter", "platform = LINUX"]);
    assert_eq!(
        (&synced["connected"], &synced["refused"][0]["enrollment_code"]),
        (&json!(0), &json!("MANAGED_BY_MDM"))
    );

    fs::remove_dir_all(managed.agent.root.join("opt/microsoft/intune")).unwrap();
    // Nobody can ask a device that is managed elsewhere; the agent looks when it starts, and every some minutes.
    managed.agent.kill();
    managed.agent = managed.deployment.agent_on(&managed.agent.root, "device", &managed.token);
    managed.shows("ENROLLED");
    managed.enforces();
    assert_eq!(managed.authorities(), ["nobody", "muster", "mdm", "muster"]);
}

#[test]
fn an_offboarded_device_takes_everything_back_and_stays_away_until_an_admin_says_otherwise() {
    let mut managed = Managed::start(Shape::OneProcess);
    let asked = managed.deployment.muster(&["device", "offboard", &managed.device]);
    assert_eq!(asked["enrollment_status"], "offboarding");
    managed.enforces_nothing();
    let device = managed.shows("OFFBOARDED");
    assert_eq!(device["managed_by"], "nobody");
    eventually("identity has removed the registration", || {
        let registration = managed.deployment.muster(&["registration", "get", &managed.device]);
        (registration["state"] == "removed").then_some(())
    });
    assert_eq!(managed.deployment.muster(&["group", "get", "g"])["member_count"], 0);

    // A new installation of the agent with a good token is refused, until an admin allows it.
    managed.agent = managed.deployment.agent_on(&managed.agent.root, "again", &managed.token);
    eventually("the agent is told why", || managed.agent.said("DEVICE_DELETED"));
    managed.deployment.muster(&["device", "allow-reenroll", &managed.device]);
    managed.agent = managed.deployment.agent_on(&managed.agent.root, "once-more", &managed.token);
    managed.shows("ENROLLED");
}

#[test]
fn a_deleted_device_stays_deleted() {
    let mut managed = Managed::start(Shape::FourProcesses);
    managed.deployment.muster(&["device", "delete", &managed.device]);
    managed.shows("DELETED");
    eventually("identity has removed the registration", || {
        let registration = managed.deployment.muster(&["registration", "get", &managed.device]);
        (registration["state"] == "removed").then_some(())
    });
    let listed = managed.deployment.muster(&["device", "list"]);
    assert_eq!(listed["devices"], json!([]), "what is deleted is not listed");
    eventually("the running agent is refused with the reason", || managed.agent.said("DEVICE_DELETED"));
    managed.agent = managed.deployment.agent_on(&managed.agent.root, "again", &managed.token);
    eventually("so is one that comes back", || managed.agent.said("DEVICE_DELETED"));
    managed.shows("DELETED");
    managed.deployment.muster(&["device", "allow-reenroll", &managed.device]);
    managed.agent = managed.deployment.agent_on(&managed.agent.root, "once-more", &managed.token);
    managed.shows("ENROLLED");
}

#[test]
fn a_registration_deleted_in_identity_is_deleted_in_enroll() {
    let managed = Managed::start(Shape::FourProcesses);
    managed.deployment.muster(&["registration", "delete", &managed.device]);
    managed.shows("DELETED");
}

#[test]
fn a_revoked_device_is_cut_off_at_once() {
    let managed = Managed::start(Shape::FourProcesses);
    let revoked =
        managed.deployment.muster(&["registration", "revoke", &managed.device, "--reason", "stolen"]);
    assert_eq!(revoked["state"], "revoked");
    eventually("the agent is refused", || managed.agent.said("CERTIFICATE_REVOKED"));
}

#[test]
fn a_directory_feed_promotes_a_device_that_goes_on_as_before() {
    let managed = Managed::start(Shape::FourProcesses);
    let device = managed.deployment.muster(&["device", "get", &managed.device]);
    assert_eq!((&device["registration_kind"], &device["join_type"]), (&json!("synthetic"), &json!("")));
    let machine_id = fs::read_to_string(managed.agent.root.join("etc/machine-id")).unwrap();
    let feed = managed.deployment.dir.path().join("feed.ndjson");
    let line = json!({"id": "9f0e1d2c-aaaa-4bbb-8ccc-0123456789ab", "displayName": "somebody else's name",
                      "joinType": "AzureAD", "machineId": machine_id.trim()});
    fs::write(&feed, format!("{line}\n")).unwrap();
    let import = ["registration", "import", feed.to_str().unwrap()];
    let first = managed.deployment.muster(&import);
    assert_eq!((&first["changed"], &first["promoted"]), (&json!(1), &json!(1)));
    let again = managed.deployment.muster(&import);
    assert_eq!(
        (&again["changed"], &again["unchanged"], &again["promoted"]),
        (&json!(0), &json!(1), &json!(0))
    );
    let device = eventually("enroll shows the join type", || {
        let device = managed.deployment.muster(&["device", "get", &managed.device]);
        (device["join_type"] == "AzureAD").then_some(device)
    });
    assert_eq!(device["registration_kind"], "full");
    assert_eq!(device["enrollment_code"], "ENROLLED");
    assert_eq!(managed.deployment.muster(&["group", "get", "g"])["member_count"], 1);
    managed.enforces();
}

#[test]
fn a_clone_of_a_device_gets_no_policy_until_an_admin_resolves_it() {
    let managed = Managed::start(Shape::OneProcess);
    // The same state on another machine, which boots by itself.
    let clone = managed.deployment.dir.path().join("clone");
    copy(&managed.deployment.dir.path().join("device"), &clone);
    let boot_id = clone.join("root/proc/sys/kernel/random/boot_id");
    fs::create_dir_all(boot_id.parent().unwrap()).unwrap();
    fs::write(boot_id, "11111111-2222-4333-8444-555555555555\n").unwrap();
    let _clone = managed.deployment.agent("clone", &managed.token);
    eventually("the two are found out", || {
        // Refused once they are.
        managed.deployment.tried(&["device", "sync", &managed.device]);
        let registration = managed.deployment.muster(&["registration", "get", &managed.device]);
        (registration["state"] == "quarantined").then_some(())
    });
    let listed = managed.deployment.muster(&["registration", "list", "--state", "quarantined"]);
    assert_eq!(listed["registrations"].as_array().unwrap().len(), 1);
    managed.deployment.muster(&["registration", "resolve", &managed.device, "--reissue"]);
    eventually("both are cut off", || managed.agent.said("CERTIFICATE_REVOKED"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else if path.is_file() {
            fs::copy(path, to).unwrap();
        }
    }
}
