//! Where the sources contradict each other or mislead, and what the catalogue makes of it.

use std::collections::BTreeMap;

use muster_catalog::{BoolWire, Catalogue, Kind, RulesAsOf, Setting, docs};
use muster_types::{SettingId, SettingValue};
use serde_json::json;

use crate::checking::{check, set};

fn setting(id: &str) -> &'static Setting {
    Catalogue::builtin().setting(&id.parse::<SettingId>().unwrap()).unwrap()
}

fn text(value: &str) -> SettingValue {
    SettingValue::Text(value.to_owned())
}

fn warned(profile: &str, id: &str, value: &str) -> Vec<String> {
    let settings: BTreeMap<_, _> = [set(id, value)].into_iter().collect();
    let warnings = Catalogue::builtin().warnings(profile, &settings, RulesAsOf::Current);
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_week_of_scheduled_scans_begins_with_sunday_as_one() {
    let day = setting("windows-antivirus/schedule_scan_day");
    let days = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    for (number, name) in (1..).zip(days) {
        assert_eq!(day.to_wire_json(&text(name)), json!(number), "{name}");
    }
    assert_eq!(day.from_wire_json(&json!(0)), Ok(text("every_day")));
}

#[test]
fn one_in_disable_local_admin_merge_means_managed_lists_only() {
    let merge = setting("windows-antivirus/disable_local_admin_merge");
    assert!(matches!(merge.kind, Kind::Bool { wire: BoolWire::Number }));
    assert_eq!(merge.from_wire_json(&json!(1)), Ok(SettingValue::Boolean(true)));
    assert_eq!(merge.default, Some(SettingValue::Boolean(false)));
    assert!(!merge.lands.registry_inverted && !merge.lands.mp_preference_inverted);
    assert!(merge.notes.as_deref().unwrap().starts_with("1 = managed lists only"));
}

#[test]
fn no_unmonitored_file_systems_and_an_empty_list_are_different() {
    let id = "linux-antivirus/unmonitored_filesystems";
    let empty = check("linux-antivirus", &[(id, "[]")]).unwrap();
    let some = check("linux-antivirus", &[(id, r#"["nfs","fuse"]"#)]).unwrap();
    let none = check("linux-antivirus", &[]).unwrap();
    assert_eq!(empty.values().next(), Some(&SettingValue::Strings(vec![])));
    assert_eq!(setting(id).to_wire_json(empty.values().next().unwrap()), json!([]));
    assert!(none.is_empty() && empty != some);
    // One text of several names, as the published samples write it, is none of the three.
    assert!(check("linux-antivirus", &[(id, r#"["nfs,fuse"]"#)]).is_err());
    assert!(setting(id).from_wire_json(&json!(["nfs,fuse"])).is_err());
}

#[test]
fn the_disputed_default_of_the_diagnostic_level_says_so() {
    let level = setting("linux-antivirus/diagnostic_level");
    assert_eq!(level.default, Some(text("optional")));
    assert!(level.notes.as_deref().unwrap().contains("disagree"));
}

#[test]
fn an_exclusion_that_does_not_say_whether_it_is_a_folder_is_warned_of() {
    let silent = r#"[{"type":"excluded_path","path":"/opt"},{"type":"excluded_path","path":"/srv","is_directory":true},
                     {"type":"excluded_file_name","name":"/bin/cat"}]"#;
    for (profile, setting) in [
        ("linux-antivirus-exclusions", "exclusions"),
        ("linux-global-exclusions", "global_exclusions"),
        ("macos-antivirus-exclusions", "exclusions"),
    ] {
        let id = format!("{profile}/{setting}");
        let told = warned(profile, &id, silent);
        assert!(told.iter().any(|told| told.contains("1 of 3 items do not say is_directory")), "{told:?}");
        // What was not said is not made up.
        let checked = check(profile, &[(&id, silent)]).unwrap();
        let SettingValue::Objects(items) = checked.values().next().unwrap() else { panic!() };
        assert!(!items[0].contains_key("is_directory"));
        assert!(
            check(profile, &[(&id, r#"[{"type":"excluded_path","path":"/x","is_directory":"true"}]"#)])
                .is_err()
        );
    }
}

#[test]
fn scan_history_is_counted_in_numbers() {
    for name in ["scan_results_retention_days", "scan_history_maximum_items"] {
        for profile in ["linux-antivirus", "macos-antivirus"] {
            let setting = setting(&format!("{profile}/{name}"));
            assert!(matches!(setting.kind, Kind::Integer { .. }), "{}", setting.id);
            assert!(setting.to_wire_json(setting.default.as_ref().unwrap()).is_number());
            assert!(setting.check(&text("90")).is_err());
        }
    }
}

#[test]
fn behaviour_monitoring_on_macos_lands_where_the_documentation_says() {
    let monitoring = setting("macos-antivirus/behavior_monitoring");
    assert_eq!(monitoring.lands.plist_key.as_deref(), Some("antivirusEngine.behaviorMonitoring"));
    assert_eq!(monitoring.default, Some(text("enabled")));
    assert!(monitoring.notes.as_deref().unwrap().contains("features"), "{:?}", monitoring.notes);
    let linux = setting("linux-antivirus/behavior_monitoring");
    assert_eq!(linux.lands.json_path.as_deref(), Some("antivirusEngine.behaviorMonitoring"));
}

#[test]
fn a_missing_scope_is_global() {
    let id = "linux-global-exclusions/global_exclusions";
    // What holds of global exclusions alone is told of those without a scope: none is read as epp.
    let wild = |scopes: &str| {
        let item = format!(r#"[{{"type":"excluded_path","path":"/a*","is_directory":true{scopes}}}]"#);
        warned("linux-global-exclusions", id, &item)
    };
    assert_eq!(wild("").len(), 1);
    assert_eq!(wild(r#","scopes":["epp"]"#).len(), 0);
    let global = SettingValue::Strings(vec!["global".to_owned()]);
    assert_eq!(setting("linux-global-exclusions/global_exclusions_item_scopes").default, Some(global));
}

#[test]
fn threat_severities_skip_three() {
    let severities = ["low", "moderate", "high", "severe"];
    for (number, severity) in [1, 2, 4, 5].into_iter().zip(severities) {
        let setting = setting(&format!("windows-antivirus/threat_severity_default_action_{severity}"));
        let registry = setting.lands.registry.as_deref().unwrap();
        assert!(registry.ends_with(&format!(":: {number}")), "{severity}: {registry}");
    }
}

#[test]
fn warn_mode_says_that_it_blocks_on_older_systems() {
    for rule in Catalogue::builtin().profile("windows-asr-rules").unwrap().settings.iter() {
        if rule.rule_guid.is_none() || !matches!(rule.kind, Kind::Enum { .. }) {
            continue;
        }
        let told = warned("windows-asr-rules", rule.id.as_str(), r#""warn""#);
        assert!(told[0].contains("acts as block before Windows 10 1809"), "{}: {told:?}", rule.id);
        assert_eq!(rule.to_wire_json(&text("warn")), json!(6));
        let profile = Catalogue::builtin().profile("windows-asr-rules").unwrap();
        assert!(
            docs::describe(profile, rule).contains("| warn | 6 | acts as block before Windows 10 1809 |")
        );
    }
}

#[test]
fn the_private_profile_of_the_firewall_is_called_standard_in_the_registry() {
    let profile = Catalogue::builtin().profile("windows-firewall").unwrap();
    let mut seen = 0;
    for setting in &profile.settings {
        let Some(registry) = &setting.lands.registry else { continue };
        let name = setting.id.setting();
        assert!(!registry.contains("PrivateProfile"), "{registry}");
        if name.starts_with("fw_private_profile_") {
            assert!(registry.contains("StandardProfile"), "{registry}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}
