//! `examples/shell`.

use std::env::join_paths;
use std::fs;
use std::process::Command;

use super::{file, logged};
use crate::deployment::{Deployment, Process, Shape, eventually, program, succeed};

fn script(deployment: &Deployment, name: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg(file("examples/shell").join(name));
    // As if it were installed, with the server's address in the environment as the README says.
    let programs = program("muster").parent().unwrap().to_owned();
    command.env("PATH", join_paths([programs, "/usr/bin".into(), "/bin".into()]).unwrap());
    command.env("MUSTER_ENDPOINT", deployment.endpoint());
    command.env("MUSTER_DATA_DIR", deployment.pki().parent().unwrap());
    command
}

#[test]
fn shell_scripts_read_the_event_stream() {
    let deployment = Deployment::start(Shape::OneProcess);
    let policies = file("examples/policies");
    deployment.muster(&["apply", "-f", policies.to_str().unwrap(), "--yes"]);

    let counted = succeed(&mut script(&deployment, "events-by-type.sh"));
    let counted = String::from_utf8(counted.stdout).unwrap();
    let sum: usize =
        counted.lines().map(|line| line.split('\t').next().unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(sum, logged(&deployment).len());
    assert!(counted.contains("PolicyCreated"), "{counted}");

    let told = deployment.dir.path().join("changes");
    let mut changes = script(&deployment, "policy-changes.sh");
    changes.args(["--from", "1"]);
    let mut changes = Process::start_group(changes, &told);
    eventually("what was changed before is told", || {
        changes.assert_running();
        fs::read_to_string(&told).unwrap().contains("PolicyAssigned").then_some(())
    });
    let policies = deployment.muster(&["policy", "list"]);
    let name = policies["policies"][0]["display_name"].as_str().unwrap();
    deployment.muster(&["policy", "delete", name, "--reason", "to see it told"]);
    eventually("a change is told as it happens", || {
        changes.assert_running();
        fs::read_to_string(&told).unwrap().contains("PolicyDeleted").then_some(())
    });
}
