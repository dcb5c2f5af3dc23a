//! `examples/python-siem`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_types::Aggregate;
use serde_json::Value;

use super::{consumer_url, control_url, file, id, logged, make_events, python, with_consumer};
use crate::deployment::{Deployment, Process, eventually, succeed};

/// How often the consumer is killed while events are made.
const KILLS: usize = 6;
/// New lines that the file must have before the consumer is killed.
const LINES: usize = 4;

fn consumer(deployment: &Deployment, output: &Path) -> Process {
    let mut command = python();
    command.arg(file("examples/python-siem/consumer.py")).arg(consumer_url(deployment));
    command.arg(file("crates/proto/src/gen/descriptors.bin")).arg(output);
    Process::start(command, &deployment.dir.path().join("consumer.log"))
}

/// What stands in the file; a line that is being written does not.
fn written(output: &Path) -> Vec<Value> {
    let text = fs::read_to_string(output).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn chain(output: &Path) -> (bool, String) {
    let checked = python().arg(file("examples/python-siem/chain.py")).arg(output).output().unwrap();
    (checked.status.success(), String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap())
}

#[test]
fn a_siem_gets_each_event_once_though_its_consumer_is_killed_again_and_again() {
    let deployment = with_consumer("siem", "500");
    let output = deployment.dir.path().join("events.ndjson");
    let enough = AtomicBool::new(false);
    let mut running = consumer(&deployment, &output);
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| make_events(&deployment, &enough));
        for _ in 0..KILLS {
            let before = written(&output).len();
            eventually("more events are written", || {
                running.assert_running();
                (written(&output).len() >= before + LINES).then_some(())
            });
            running.kill();
            running = consumer(&deployment, &output);
        }
        enough.store(true, Ordering::Relaxed);
        maker.join().unwrap();
    });
    running.kill();
    // A crash in the middle of a write leaves half a line, of an event that nobody acknowledged.
    fs::File::options().append(true).open(&output).unwrap().write_all(b"{\"id\":\"half").unwrap();
    let mut running = consumer(&deployment, &output);
    deployment.muster(&["group", "create", "after the crash", "--static"]);

    let events = eventually("each event is there once", || {
        running.assert_running();
        let events = written(&output);
        let mut ids: Vec<_> = events.iter().map(id).collect();
        ids.sort();
        (ids == logged(&deployment)).then_some(events)
    });
    for service in ["enroll", "identity", "policy"] {
        let of_it = events.iter().filter(|event| event["source"] == format!("/muster/{service}"));
        let positions: Vec<_> = of_it.map(|event| event["position"].as_u64().unwrap()).collect();
        assert!(positions.len() > 1 && positions.is_sorted(), "{service}: {positions:?}");
    }
    assert!(events.iter().all(|event| event["specversion"] == "1.0" && event["data"].is_object()));
    let third = events.iter().find(|event| event["version"] == 3).unwrap();
    let second = events.iter().find(|event| event["hash"] == third["prevhash"]).unwrap();
    assert_eq!((&second["subject"], &second["version"]), (&third["subject"], &Value::from(2)));

    // No gap was told, and none is found. One that is made is.
    assert_eq!(fs::read_to_string(deployment.dir.path().join("consumer.log")).unwrap(), "");
    assert_eq!(chain(&output), (true, String::new()));
    running.kill();
    let text = fs::read_to_string(&output).unwrap();
    let id = format!("\"id\":{}", second["id"]);
    let rest = text.lines().filter(|line| !line.contains(&id)).map(|line| format!("{line}\n"));
    fs::write(&output, rest.collect::<String>()).unwrap();
    let (whole, gap) = chain(&output);
    assert!(!whole && gap.contains(third["id"].as_str().unwrap()), "{gap}");
    assert!(gap.contains("version 3 follows 1"), "{gap}");
}

/// Tries all ways to get something into the log that a consumer has, and prints how much the report service's part holds.
const FORGE: &str = r#"
import asyncio, sys, nats
SUBJECT = "muster.v1.report.default.00.device_status.00000000-0000-0000-0000-000000000000"
async def main(consumer, control):
    client = await nats.connect(consumer)
    await client.publish(SUBJECT, b"forged")
    for call in ["CONSUMER.MSG.NEXT.MUSTER_ENROLL.siem", "CONSUMER.INFO.MUSTER_ENROLL.siem"]:
        await client.publish(f"muster.API.{call}", b"", reply=SUBJECT)
        await client.publish(f"$JS.API.{call}", b"", reply=SUBJECT)
    await client.jetstream(prefix="muster.API").consumer_info("MUSTER_ENROLL", "siem")
    control = await nats.connect(control)
    print((await control.jetstream().stream_info("MUSTER_REPORT")).state.messages)
asyncio.run(main(*sys.argv[1:]))
"#;

#[test]
fn a_consumer_cannot_write_to_the_log() {
    let deployment = with_consumer("siem", "500");
    // Something to deliver.
    deployment.muster(&["token", "create", "--uses", "1"]);
    let mut forge = python();
    forge.args(["-c", FORGE]).arg(consumer_url(&deployment)).arg(control_url(&deployment));
    assert_eq!(succeed(&mut forge).stdout, b"0\n");
}

#[test]
fn the_hash_of_the_example_knows_every_kind_of_aggregate() {
    let source = fs::read_to_string(file("examples/python-siem/chain.py")).unwrap();
    for aggregate in Aggregate::ALL {
        let entry = format!("\"{aggregate}\": {}", aggregate as u8);
        assert!(source.contains(&entry), "examples/python-siem/chain.py lacks {entry}");
    }
}
