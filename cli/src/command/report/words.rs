//! What verdicts mean, in words.

use muster_errors::ErrorCode;
use muster_types::enrollment::EnrollmentCode;
use serde_json::Value;

use crate::output::{share, table};

/// The verdicts, each with the finer states under it.
const VERDICTS: &[(&str, &str, &[&str])] = &[
    ("succeeded", "succeeded", &["confirmed"]),
    ("error", "error", &["failed", "refused", "tamper_protected"]),
    ("conflict", "conflict", &["conflict"]),
    ("pending", "pending", &["never_delivered", "delivered", "applying", "unknown"]),
    ("not_applicable", "not applicable", &["unsupported", "waived"]),
];

/// Words of a contract's enum for people: `never_delivered` as `never delivered`.
pub(super) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// Why the finer state of a device is what it is.
pub(super) fn of_state(state: &str) -> &'static str {
    match state {
        "confirmed" => "it read every desired value back",
        "failed" => "a setting could not be applied, or another value was read back",
        "refused" => "it does not obey the policy: signature, device, version or expiry was wrong",
        "tamper_protected" => "tamper protection on the device keeps another value",
        "conflict" => "policies disagree over a setting, which is withheld until an admin decides",
        "never_delivered" => "the policy was never sent to it: it did not check in since it should have it",
        "delivered" => "the policy was sent, and the device said nothing of it yet",
        "applying" => "it has the policy and works on it",
        "unknown" => "what it should have is not known yet, because its facts or memberships are not",
        "unsupported" => "its platform, version or channel cannot take it, or it is managed elsewhere",
        "waived" => "a waiver exempts it",
        _ => "nothing is known of it",
    }
}

/// Why a setting is not simply well; nothing when it is.
pub(super) fn of_setting(setting: &Value, device: &str) -> Option<String> {
    let word = |key: &str| setting[key].as_str().unwrap_or_default();
    let id = word("id");
    let why = match (word("state"), word("stage")) {
        ("succeeded", _) if setting["drift_suspected"] == true => {
            format!(
                "succeeded, but something on the device works against it: put back {} times",
                count(setting)
            )
        }
        ("succeeded", _) => return None,
        _ if setting["unasked"] == true => {
            "the device speaks of it though no policy that reaches it asks for it".to_owned()
        }
        ("conflict", _) => {
            let names: Vec<_> = sources(setting).collect();
            let who = if names.is_empty() { "policies".to_owned() } else { names.join(" and ") };
            format!(
                "{who} want different values, so it is withheld; see `muster report device {device} --setting {id}`"
            )
        }
        ("waived", _) => "a waiver exempts the device; see `muster waiver list`".to_owned(),
        ("tamper_protected", _) => of_state("tamper_protected").to_owned(),
        ("not_applicable", _) => "the device cannot take it".to_owned(),
        ("pending", "never_delivered") => of_state("never_delivered").to_owned(),
        ("pending", "delivered") => of_state("delivered").to_owned(),
        ("pending", _) => "not applied yet".to_owned(),
        ("error", _) if setting["observed"].is_null() => "it could not be applied".to_owned(),
        ("error", _) => "another value was read back".to_owned(),
        (state, _) => format!("its state is {state}"),
    };
    let message = match word("message") {
        "" => String::new(),
        message => format!(" (\"{message}\")"),
    };
    Some(format!("{id}: {why}{message}{}", hint(word("reason"))))
}

fn count(setting: &Value) -> u64 {
    setting["corrections"].as_u64().unwrap_or_default()
}

fn sources(setting: &Value) -> impl Iterator<Item = String> {
    let sources = setting["sources"].as_array().into_iter().flatten();
    sources.filter_map(|source| source["display_name"].as_str()).map(|name| format!("\"{name}\""))
}

/// A code, and how to read what it means; nothing without one.
pub(super) fn hint(code: &str) -> String {
    if code.is_empty() {
        return String::new();
    }
    let is_known = code.parse::<ErrorCode>().is_ok() || code.parse::<EnrollmentCode>().is_ok();
    let explain = if is_known { format!("; `muster error explain {code}`") } else { String::new() };
    format!(" [{code}]{explain}")
}

/// A table of counts: a line for each verdict, and under it its finer states that have devices.
pub(super) fn counted(report: &Value, of: u64) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mut rows = Vec::new();
    for (verdict, shown, states) in VERDICTS {
        let devices = number(&report["counts"][verdict]);
        let (bar, percent) = share(devices, of);
        rows.push(vec![(*shown).to_owned(), grouped(devices), percent, bar]);
        let finer = states.iter().map(|state| (*state, number(&report["states"][state])));
        for (state, devices) in finer.filter(|(state, devices)| *devices > 0 && state != verdict) {
            rows.push(vec![
                format!("  {}", spaced(state)),
                grouped(devices),
                String::new(),
                of_state(state).to_owned(),
            ]);
        }
    }
    table(&["verdict", "devices", "share", ""], rows)
}

/// A number with its thousands apart: `1,204`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use muster_proto::report::v1 as pb;
    use serde_json::json;

    use super::*;
    use crate::view;

    #[test]
    fn every_finer_state_stands_under_one_verdict_and_has_words() {
        let listed: Vec<_> = VERDICTS.iter().flat_map(|(_, _, states)| *states).copied().collect();
        let states: Vec<_> = (1..).map_while(|number| pb::DeviceState::try_from(number).ok()).collect();
        assert_eq!(listed, states.iter().map(|state| view::report::state(*state)).collect::<Vec<_>>());
        assert!(listed.iter().all(|state| of_state(state) != of_state("")));
        let verdicts = (1..).map_while(|number| pb::CheckInStatus::try_from(number).ok());
        let verdicts: Vec<_> = verdicts.map(view::report::verdict).collect();
        assert_eq!(VERDICTS.iter().map(|(verdict, ..)| *verdict).collect::<Vec<_>>(), verdicts);
    }

    #[test]
    fn what_is_not_well_says_why_with_its_code() {
        let conflict = json!({
            "id": "a/b", "state": "conflict", "reason": "SETTING_CONFLICT",
            "sources": [{"display_name": "lax"}, {"display_name": "strict"}],
        });
        let why = of_setting(&conflict, "web-1").unwrap();
        for part in ["\"lax\" and \"strict\"", "--setting a/b", "`muster error explain SETTING_CONFLICT`"] {
            assert!(why.contains(part), "{part} is missing in {why}");
        }
        assert_eq!(of_setting(&json!({"id": "a/b", "state": "succeeded"}), "web-1"), None);
        let drifting = json!({"id": "a/b", "state": "succeeded", "drift_suspected": true, "corrections": 4});
        assert!(of_setting(&drifting, "web-1").unwrap().contains("put back 4 times"));
        assert_eq!(hint("E1234"), " [E1234]");
    }

    #[test]
    fn counts_show_each_verdict_and_what_is_under_it() {
        let report = json!({
            "counts": {"succeeded": 1_200, "pending": 4},
            "states": {"confirmed": 1_200, "delivered": 1, "never_delivered": 3},
        });
        let text = counted(&report, 1_204);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for part in ["1,200", "99.6 %", "  never delivered", "not applicable", "▇"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert_eq!(
            ["0", "999", "1,000", "1,000,000"],
            [0, 999, 1_000, 1_000_000].map(grouped).each_ref().map(String::as_str)
        );
    }
}
