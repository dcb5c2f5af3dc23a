//! Settings by words.

use muster_catalog::Catalogue;

fn found(words: &str) -> Vec<&'static str> {
    Catalogue::builtin().search(words).iter().map(|hit| hit.setting.id.as_str()).collect()
}

#[test]
fn the_setting_of_that_name_comes_first() {
    for (words, first) in [
        ("enforcement level", "linux-antivirus/enforcement_level"),
        ("expedite telemetry", "windows-edr/expedite_telemetry_reporting_frequency"),
        ("global exclusions", "linux-global-exclusions/global_exclusions"),
        ("ScheduleScanDay", "windows-antivirus/schedule_scan_day"),
        ("realtime monitoring", "windows-antivirus/allow_realtime_monitoring"),
        ("edge traversal", "windows-firewall-rules/fwrule_edge_traversal"),
    ] {
        let found = found(words);
        assert_eq!(found.first(), Some(&first), "{words}: {found:?}");
    }
}

#[test]
fn every_word_must_occur() {
    assert!(!found("archive").is_empty());
    assert!(found("archive zeppelin").is_empty());
    assert!(found("archive linux").iter().all(|id| id.starts_with("linux-")));
    for nothing in ["", "  ", "--", "/"] {
        assert!(found(nothing).is_empty());
    }
}

#[test]
fn notes_are_searched_and_rank_below_names() {
    let found = found("tamper");
    let place = |id| found.iter().position(|found| *found == id);
    assert!(place("windows-security-experience/tamper_protection").unwrap() < 5, "{found:?}");
}

#[test]
fn an_id_that_does_not_exist_brings_up_what_was_meant() {
    let meant = |text| Catalogue::builtin().meant_by(text).iter().map(|id| id.as_str()).collect::<Vec<_>>();
    assert_eq!(meant("linux-antivirus/enforcment_level")[0], "linux-antivirus/enforcement_level");
    let by_name = meant("enforcement_level");
    assert!(by_name.contains(&"linux-antivirus/enforcement_level"), "{by_name:?}");
    assert!(meant("zeppelin").is_empty());
    assert!(meant("").is_empty());
    assert_eq!(Catalogue::builtin().profile_meant_by("windows-antivirsu"), Some("windows-antivirus"));
    assert_eq!(Catalogue::builtin().profile_meant_by("x"), None);
}
