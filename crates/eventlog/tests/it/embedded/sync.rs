//! What the kernel was asked to do, and when: no acknowledgement without a sync before it.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use super::load::{self, Load, acknowledged};

/// A system call as the trace tells it: lines in which it began and ended.
#[derive(Debug)]
struct Call {
    began: usize,
    ended: usize,
    text: String,
}

/// Reads a trace, joining calls that another thread's interrupted.
fn calls(trace: &str) -> Vec<Call> {
    let mut open: std::collections::HashMap<&str, (usize, &str)> = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, text)) = text.split_once(char::is_whitespace) else { continue };
        let text = text.trim_start();
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            open.insert(thread, (line, begun));
        } else if text.starts_with("<... ") {
            let Some((began, head)) = open.remove(thread) else { continue };
            let tail = text.split_once("resumed>").map_or("", |(_, tail)| tail);
            calls.push(Call { began, ended: line, text: format!("{head}{tail}") });
        } else {
            calls.push(Call { began: line, ended: line, text: text.to_owned() });
        }
    }
    calls
}

/// The bytes of the first string in a call, which the trace shows as `\x61\x62`.
fn bytes(call: &str) -> Vec<u8> {
    let Some(string) = call.split('"').nth(1) else { return Vec::new() };
    let digits = string.split("\\x").skip(1);
    digits.map(|digits| u8::from_str_radix(digits, 16).expect("two hex digits")).collect()
}

fn trace(dir: &Path) -> String {
    let output = dir.join("trace");
    let under =
        ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", "trace=write,pwrite64,fsync,fdatasync", "-o"];
    let mut under: Vec<_> = under.to_vec();
    under.push(output.to_str().expect("a plain path"));
    let mut child =
        load::child(dir, Load { writers: 12, appends: 10 }, &under).spawn().expect("strace starts");
    let mut said = String::new();
    child.stdout.take().expect("its output").read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("its end").success(), "the traced writer failed: {said}");
    assert!(said.lines().filter_map(acknowledged).count() > 100, "the traced writer wrote: {said}");
    std::fs::read_to_string(output).expect("the trace")
}

#[test]
fn a_sync_of_the_journal_precedes_every_acknowledgement() {
    let there = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    assert!(there, "strace is missing: `cargo xtask setup` installs what the tests need");
    let temp = tempfile::tempdir().expect("a temporary directory");
    let calls = calls(&trace(temp.path()));

    // Everything written to the journal, and for each call where in it its bytes end.
    let mut journal = Vec::new();
    let mut writes = Vec::new();
    let mut syncs = Vec::new();
    let mut acknowledgements = Vec::new();
    for call in &calls {
        let name = call.text.split('(').next().unwrap_or_default();
        // The trace shows paths in hex too.
        let of_journal = call.text.contains(".jnl>") || call.text.contains(r"\x2e\x6a\x6e\x6c>");
        if name.contains("sync") && of_journal && call.text.trim_end().ends_with("= 0") {
            syncs.push((call.began, call.ended));
        } else if name == "write" && of_journal {
            journal.extend(bytes(&call.text));
            writes.push((journal.len(), call.ended));
        } else if name == "write" && call.text.starts_with("write(1<") {
            let said = String::from_utf8_lossy(&bytes(&call.text)).into_owned();
            acknowledgements.extend(said.lines().filter_map(acknowledged).map(|(id, _)| (id, call.began)));
        }
    }
    assert!(acknowledgements.len() > 100 && !syncs.is_empty(), "the trace shows what happened");
    for (id, said) in acknowledgements {
        let place = journal.windows(16).position(|window| window == id.as_bytes());
        let end = place.unwrap_or_else(|| panic!("event {id} is not in the journal")) + 16;
        let written = writes.iter().find(|(until, _)| *until >= end).expect("the write that holds it").1;
        let synced = syncs.iter().any(|(began, ended)| *began > written && *ended < said);
        assert!(
            synced,
            "event {id}: written in line {written}, acknowledged in line {said}, not synced between"
        );
    }
}
