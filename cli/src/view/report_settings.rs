//! How settings of reports are shown.

use muster_proto::report::v1 as pb;
use serde_json::{Value, json};

use super::check_in::length;
use super::time;

/// Columns of the settings.
pub const SETTINGS: &[(&str, &str)] = &[
    ("stale after", "/stale_after"),
    ("drift after", "/drift_after"),
    ("changed", "/update_time"),
    ("etag", "/etag"),
];

/// Settings of reports.
#[must_use]
pub fn settings(settings: &pb::ReportSettings) -> Value {
    let pb::ReportSettings { name, stale_after, drift_after, etag, update_time } = settings;
    json!({
        "name": name,
        "stale_after": length(*stale_after),
        "drift_after": drift_after,
        "update_time": time(*update_time),
        "etag": etag,
    })
}
