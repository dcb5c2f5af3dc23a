//! `examples/node-webhook`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

use super::{consumer_url, file, id, logged, make_events, with_consumer};
use crate::deployment::{Deployment, Process, eventually};

/// 32 bytes, as Standard Webhooks recommends.
const SECRET: [u8; 32] = *b"a secret of the receiver and us.";
/// What the receiver never takes.
const POISON: &str = "poison";
const ATTEMPTS: u32 = 4;
/// How often the forwarder is killed while events are made.
const KILLS: usize = 3;
/// Events that must have arrived before the forwarder is killed.
const ARRIVALS: usize = 5;

/// What came in.
#[derive(Default)]
struct Received {
    /// Tries by event id.
    tries: BTreeMap<String, u32>,
    /// Events that were taken, in order, repeats too.
    taken: Vec<Value>,
    /// What was wrong with requests.
    wrong: Vec<String>,
}

impl Received {
    /// Looks at a request and says with which status to answer.
    fn judge(&mut self, headers: &BTreeMap<String, String>, body: &[u8]) -> u16 {
        let header = |name: &str| headers.get(name).map_or("", String::as_str);
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        let signature =
            header("webhook-signature").strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
        if hmac::verify(&key, &signed, &signature.unwrap_or_default()).is_err() {
            self.wrong.push(format!("bad signature: {headers:?}"));
        }
        let event: Value = serde_json::from_slice(body).unwrap();
        // A request is signed when it is sent, which is long after the event for one that is forwarded late.
        let fresh = timestamp.parse::<u64>().is_ok_and(|seconds| seconds >= 1_700_000_000);
        if !fresh || event["id"] != id || header("content-type") != "application/cloudevents+json" {
            self.wrong.push(format!("{headers:?}"));
        }
        let tries = self.tries.entry(id.to_owned()).or_default();
        *tries += 1;
        if event["data"]["displayName"] == POISON {
            return 500;
        }
        // Every third is busy at first.
        if *tries == 1 && event["position"].as_u64().unwrap().is_multiple_of(3) {
            return 503;
        }
        self.taken.push(event);
        200
    }
}

fn answer(received: &Mutex<Received>, stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        line.clear();
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let status = received.lock().unwrap().judge(&headers, &body);
    write!(reader.into_inner(), "HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .ok()
}

/// A receiver of webhooks; gives its URL.
fn receiver(received: &Arc<Mutex<Received>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/muster", listener.local_addr().unwrap());
    let received = Arc::clone(received);
    // One after the other, so that the order of arrival is what is recorded.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(&received, stream);
        }
    });
    url
}

/// Node.js: of the machine, or what set-up installed instead.
fn node() -> PathBuf {
    let installed = file(".tools/venv/bin/node");
    if installed.exists() { installed } else { "node".into() }
}

fn forwarder(deployment: &Deployment, webhook: &str) -> Process {
    let mut command = Command::new(node());
    command.arg(file("examples/node-webhook/forwarder.js"));
    command.env("MUSTER_NATS", consumer_url(deployment));
    command.env("MUSTER_DESCRIPTORS", file("crates/proto/src/gen/descriptors.bin"));
    command.env("WEBHOOK_URL", webhook).env("WEBHOOK_SECRET", format!("whsec_{}", STANDARD.encode(SECRET)));
    command.env("DEAD_LETTERS", dead_letters(deployment));
    command.env("WEBHOOK_ATTEMPTS", ATTEMPTS.to_string()).env("WEBHOOK_PAUSE_MS", "20");
    Process::start(command, &deployment.dir.path().join("forwarder.log"))
}

fn dead_letters(deployment: &Deployment) -> PathBuf {
    deployment.dir.path().join("dead-letters.ndjson")
}

#[test]
fn a_webhook_gets_every_event_in_order_signed_and_again_until_it_takes_it() {
    let deployment = with_consumer("webhook", "1");
    let received = Arc::new(Mutex::new(Received::default()));
    let webhook = receiver(&received);
    let enough = AtomicBool::new(false);
    let mut running = forwarder(&deployment, &webhook);
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| make_events(&deployment, &enough));
        for _ in 0..KILLS {
            let before = received.lock().unwrap().taken.len();
            eventually("more events arrive", || {
                running.assert_running();
                (received.lock().unwrap().taken.len() >= before + ARRIVALS).then_some(())
            });
            running.kill();
            running = forwarder(&deployment, &webhook);
        }
        deployment.muster(&["group", "create", POISON, "--static"]);
        enough.store(true, Ordering::Relaxed);
        maker.join().unwrap();
    });
    deployment.muster(&["group", "create", "after the poison", "--static"]);

    eventually("each event is taken or given up", || {
        running.assert_running();
        let dead = fs::read_to_string(dead_letters(&deployment)).unwrap_or_default();
        let dead: Vec<Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let received = received.lock().unwrap();
        let given_up = dead.iter().map(|letter| &letter["event"]);
        let all: BTreeSet<_> = received.taken.iter().chain(given_up).map(id).collect();
        drop(received);
        all.iter().eq(&logged(&deployment)).then_some(())
    });
    let received = received.lock().unwrap();
    assert_eq!(received.wrong, Vec::<String>::new());

    let dead = fs::read_to_string(dead_letters(&deployment)).unwrap();
    let dead: Value = serde_json::from_str(dead.trim_end()).unwrap();
    assert_eq!(
        (&dead["event"]["data"]["displayName"], &dead["reason"]),
        (&POISON.into(), &"status 500".into())
    );
    assert_eq!(received.tries[&id(&dead["event"])], ATTEMPTS);
    for service in ["enroll", "identity", "policy"] {
        let of_it = received.taken.iter().filter(|event| event["source"] == format!("/muster/{service}"));
        let positions: Vec<_> = of_it.map(|event| event["position"].as_u64().unwrap()).collect();
        assert!(positions.len() > 1 && positions.is_sorted(), "{service}: {positions:?}");
    }
    let repeats = received.taken.len() - received.taken.iter().map(id).collect::<BTreeSet<_>>().len();
    // A killed forwarder may have had one event of each service under way.
    assert!(repeats <= KILLS * 4, "{repeats} repeats");
}
