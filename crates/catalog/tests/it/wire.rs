//! Rendered and read back.

use muster_catalog::{Catalogue, MergeMode, Platform, Setting};
use muster_types::{SettingId, SettingValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::values::setting_and_value;

fn setting(id: &str) -> &'static Setting {
    Catalogue::builtin().setting(&id.parse::<SettingId>().unwrap()).unwrap()
}

fn value(text: &str) -> SettingValue {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_exclusion_stands_on_the_device_under_the_vendors_names() {
    let setting = setting("linux-antivirus-exclusions/exclusions");
    let exclusions = value(
        r#"[{"type":"excluded_path","path":"/var/log","is_directory":true},
            {"type":"excluded_file_extension","extension":".iso"},
            {"type":"excluded_file_name","name":"cat"}]"#,
    );
    let wire = json!([
        {"$type": "excludedPath", "path": "/var/log", "isDirectory": true},
        {"$type": "excludedFileExtension", "extension": ".iso"},
        {"$type": "excludedFileName", "name": "cat"},
    ]);
    assert_eq!(setting.to_wire_json(&exclusions), wire);
    assert_eq!(setting.from_wire_json(&wire), Ok(exclusions));
    assert_eq!(setting.lands.json_keys(), Some(vec!["antivirusEngine", "exclusions"]));
}

#[test]
fn an_empty_list_stands_as_an_empty_list() {
    for id in ["linux-antivirus-exclusions/exclusions", "linux-antivirus/unmonitored_filesystems"] {
        let setting = setting(id);
        assert_eq!(setting.to_wire_json(&SettingValue::Strings(vec![])), json!([]));
        assert_eq!(setting.to_wire_json(&SettingValue::Objects(vec![])), json!([]));
        assert_eq!(setting.from_wire_json(&json!([])), Ok(SettingValue::Strings(vec![])));
    }
}

#[test]
fn booleans_take_the_form_of_where_they_land() {
    let on = SettingValue::Boolean(true);
    assert_eq!(setting("linux-antivirus/scan_archives").to_wire_json(&on), json!(true));
    assert_eq!(setting("windows-antivirus/allow_archive_scanning").to_wire_json(&on), json!(1));
    assert_eq!(setting("windows-firewall-rules/fwrule_enabled").to_wire_json(&on), json!("true"));
}

#[test]
fn saturday_is_seven() {
    let day = SettingValue::Text("saturday".to_owned());
    assert_eq!(setting("windows-antivirus/schedule_scan_day").to_wire_json(&day), json!(7));
}

#[test]
fn what_is_no_value_is_told() {
    let setting = setting("linux-antivirus/enforcement_level");
    for foreign in [json!("RealTime"), json!(1), json!(null), json!([])] {
        assert!(setting.from_wire_json(&foreign).is_err(), "{foreign} passed");
    }
    let told = setting.from_wire_json(&json!("fast")).unwrap_err().to_string();
    assert_eq!(told, "linux-antivirus/enforcement_level: \"fast\" on the device is no value of the setting");
}

#[test]
fn every_settable_linux_setting_has_its_place_in_the_file() {
    let linux = Catalogue::builtin().profiles().filter(|profile| profile.platform == Platform::Linux);
    for setting in linux.flat_map(|profile| &profile.settings) {
        assert_eq!(
            setting.lands.json_keys().is_some(),
            setting.merge != MergeMode::PartOfItem,
            "{}",
            setting.id
        );
    }
}

proptest! {
    #[test]
    fn what_was_rendered_reads_back_equal((setting, value) in setting_and_value(|_| true)) {
        let text = setting.to_wire_json(&value).to_string();
        let wire: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(setting.from_wire_json(&wire), Ok(value));
    }
}
