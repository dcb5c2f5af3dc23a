//! A plan finds what asking each device finds.

use muster_types::TenantId;
use proptest::prelude::*;

use super::{plan, typed};
use crate::projection::devices::tests::{a_device, fleet};

const TENANT: TenantId = TenantId::DEFAULT;

/// Hostnames of what matches among the first devices that tests make.
fn found(filter: &str) -> Vec<String> {
    let devices = fleet(12);
    let plan = plan(filter).unwrap_or_else(|wrong| panic!("{filter}: {wrong}"));
    let candidates = plan.candidates(&devices, TENANT);
    let matching = candidates.iter().filter(|number| plan.holds(&devices, *number));
    matching.map(|number| devices.hostname(number).to_owned()).collect()
}

fn wrong(filter: &str) -> String {
    plan(filter).map_or_else(|wrong| wrong.to_string(), |plan| format!("{plan:?}"))
}

#[test]
fn devices_are_found_by_what_they_are() {
    let names = |numbers: &[u32]| numbers.iter().map(|n| a_device(*n).facts.hostname).collect::<Vec<_>>();
    assert_eq!(found(""), names(&[0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]), "the fifth is deleted");
    assert_eq!(found("enrollment_status = DELETED"), names(&[4]));
    assert_eq!(found("enrollment_code = DELETED OR hostname = host-1"), names(&[1, 4]));
    assert_eq!(found("NOT enrollment_status = ENROLLMENT_STATUS_SUCCEEDED tags:pilot"), names(&[6]));
    assert_eq!(found("tags:*"), names(&[0, 3, 6, 9]));
    assert_eq!(found("tags:\"pilot\" AND platform = windows"), names(&[0, 6]));
    assert_eq!(found("hostname = \"HOST-1*\""), names(&[1, 10, 11]));
    assert_eq!(found("hostname = h*1*1"), names(&[11]));
    assert_eq!(found("hostname:st-1 platform != LINUX"), names(&[10]));
    assert_eq!(found("os_version >= 9 os_version < 11"), names(&[1, 3, 5, 7, 9, 11]));
    assert_eq!(found("onboard_time <= 2026-01-01T00:00:02Z"), names(&[0, 1, 2]));
    assert_eq!(found("last_seen_time = \"2026-01-01T00:00:03Z\""), names(&[3]));
    assert_eq!(found("device_type = LINUX AND registration_kind = FULL"), names(&[3, 9]));
    assert_eq!(found("managed_by = MUSTER AND -hostname:host-1"), names(&[0, 2, 3, 5, 6, 7, 8, 9]));
}

#[test]
fn what_cannot_be_compared_is_told_with_a_hint() {
    for (filter, told) in [
        (
            "enrolment_status = REFUSED",
            "at 0: \"enrolment_status\" is no field to filter by; did you mean enrollment_status?",
        ),
        (
            "enrollment_status = REFUSE",
            "at 20: \"REFUSE\" is no value of enrollment_status; did you mean REFUSED?",
        ),
        (
            "enrollment_code = OS_OLD",
            "at 18: \"OS_OLD\" is no value of enrollment_code; did you mean OS_TOO_OLD?",
        ),
        ("platform < LINUX", "at 9: platform cannot be compared so; it takes = or !="),
        (
            "tags = pilot",
            "at 5: tags cannot be compared so; it takes : (tags:\"pilot\"), and NOT before it for the contrary",
        ),
        (
            "onboard_time > yesterday",
            "at 15: \"yesterday\" is no time; write it as in RFC 3339, for example 2026-01-31T12:00:00Z",
        ),
        (
            "onboard_time:2026-01-31T12:00:00Z",
            "at 12: onboard_time cannot be compared so; it takes = != < <= > or >=",
        ),
    ] {
        assert_eq!(wrong(filter), told);
    }
    assert!(wrong("colour = red").contains("one of enrollment_status, enrollment_code"));
    assert!(
        wrong("platform = BEOS").contains("for example WINDOWS, LINUX, MACOS"),
        "{}",
        wrong("platform = BEOS")
    );
}

fn comparison() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "enrollment_status = SUCCEEDED",
            "enrollment_status = REFUSED",
            "enrollment_status = DELETED",
            "enrollment_code != ENROLLED",
            "managed_by = NOBODY",
            "device_type = WINDOWS_SERVER",
            "platform != WINDOWS",
            "registration_kind = SYNTHETIC",
            "tags:pilot",
            "tags:*",
            "hostname = host-1*",
            "hostname < host-3",
            "os_id = debian",
            "os_version > 9.5",
            "onboard_time >= 2026-01-01T00:00:05Z",
            "last_seen_time < 2026-01-01T00:00:20Z",
        ])
        .prop_map(str::to_owned),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|all| format!("({})", all.join(" AND "))),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|any| format!("({})", any.join(" OR "))),
            inner.prop_map(|one| format!("NOT ({one})")),
        ]
    })
}

proptest! {
    #[test]
    fn a_plan_finds_what_asking_each_device_finds(filter in filter()) {
        let devices = fleet(40);
        let (expr, plan) = (typed(&filter).expect("a filter"), plan(&filter).expect("a filter"));
        let gone = expr.mentions(&|test| test.asks_for_gone());
        let naive: Vec<u32> = (0..40)
            .filter(|number| gone || a_device(*number).code != muster_types::EnrollmentCode::Deleted)
            .filter(|number| expr.holds(&|test| test.holds(&devices, *number)))
            .collect();
        let candidates = plan.candidates(&devices, TENANT);
        let planned: Vec<u32> = candidates.iter().filter(|number| plan.holds(&devices, *number)).collect();
        prop_assert_eq!(&planned, &naive);
        prop_assert!(!plan.is_exact() || candidates.len() == naive.len() as u64);
    }
}
