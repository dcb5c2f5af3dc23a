//! How settings of check-ins are shown.

use std::time::Duration;

use muster_proto::convert;
use muster_proto::policy::v1 as pb;
use serde_json::{Value, json};

use super::time;

/// Columns of the settings.
pub const SETTINGS: &[(&str, &str)] = &[
    ("interval", "/interval"),
    ("watched interval", "/watched_interval"),
    ("first count", "/first_count"),
    ("first interval", "/first_interval"),
    ("second count", "/second_count"),
    ("second interval", "/second_interval"),
    ("hints a second", "/hints_per_second"),
    ("policy life", "/policy_life"),
    ("changed", "/update_time"),
    ("etag", "/etag"),
];

/// Settings of check-ins.
#[must_use]
pub fn settings(settings: &pb::CheckInSettings) -> Value {
    json!({
        "name": settings.name,
        "interval": length(settings.interval),
        "watched_interval": length(settings.watched_interval),
        "first_count": settings.first_count,
        "first_interval": length(settings.first_interval),
        "second_count": settings.second_count,
        "second_interval": length(settings.second_interval),
        "hints_per_second": settings.hints_per_second,
        "policy_life": length(settings.policy_life),
        "update_time": time(settings.update_time),
        "etag": settings.etag,
    })
}

pub(super) fn length(length: Option<prost_types::Duration>) -> Value {
    length.map_or(Value::Null, |length| json!(length_text(convert::span(length))))
}

/// A length of time as it can be typed: in the largest unit that leaves nothing over.
fn length_text(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, letter) = unit.unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn lengths_of_time_read_back_as_they_are_shown() {
        for (seconds, text) in [(7 * 86_400, "7d"), (21_600, "6h"), (5_400, "90m"), (61, "61s"), (0, "0s")] {
            let length = Duration::from_secs(seconds);
            assert_eq!(length_text(length), text);
            assert_eq!(parse::duration(text), Ok(length));
        }
    }
}
