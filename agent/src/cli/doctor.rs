//! What the doctor found, printed.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::doctor::{Finding, Verdict};

/// A finding per line, and below it what to do.
pub(super) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, verdict, code, seen, action } in findings {
        let mark = match verdict {
            Verdict::Ok => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        let code = code.map(|code| format!("{code}: ")).unwrap_or_default();
        text.push_str(&format!("{check:<13} {mark:<8} {code}{seen}\n"));
        if !action.is_empty() {
            text.push_str(&format!("{:<22} what to do: {action}\n", ""));
        }
    }
    text
}

pub(super) fn json(findings: &[Finding]) -> Value {
    let checks: Vec<_> = findings.iter().map(Finding::json).collect();
    json!({ "ok": is_well(findings), "checks": checks })
}

pub(super) fn exit_code(findings: &[Finding]) -> ExitCode {
    if is_well(findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Failed)
}
