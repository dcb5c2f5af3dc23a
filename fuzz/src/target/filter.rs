//! Filters of lists of devices, up to the devices.

use muster_enroll::filter;
use muster_enroll::projection::Devices;
use muster_types::TenantId;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match filter::plan(text) {
        Ok(plan) => {
            assert!(text.len() <= filter::FILTER_BYTES_MAX);
            assert!(plan.candidates(&Devices::default(), TenantId::DEFAULT).is_empty());
            !text.is_empty()
        }
        Err(refused) => {
            assert!(refused.offset <= text.chars().count(), "{refused} in {text:?}");
            assert!(!refused.problem.is_empty());
            false
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "platform = LINUX",
        "hostname = \"web-*\" AND enrollment_code = OUT_OF_SCOPE",
        "tags:\"pilot\" OR tags:* NOT managed_by = MDM",
        "(os_version >= \"10.0.1\" AND -(hostname:\"a\\\"b\")) platform != WINDOWS",
        "last_seen_time < \"2026-01-02T03:04:05Z\"",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
