//! What a policy may set, and what it is told when it may not.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Kind, RulesAsOf, Setting, Violation};
use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};
use proptest::prelude::*;

use crate::values::setting_and_value;

pub(crate) fn set(id: &str, value: &str) -> (SettingId, SettingValue) {
    (id.parse().unwrap(), serde_json::from_str(value).unwrap())
}

pub(crate) fn check(
    profile: &str,
    settings: &[(&str, &str)],
) -> Result<BTreeMap<SettingId, SettingValue>, Vec<Violation>> {
    Catalogue::builtin().check(profile, settings.iter().map(|(id, value)| set(id, value)))
}

pub(crate) fn refusals(profile: &str, settings: &[(&str, &str)]) -> Vec<(ErrorCode, String)> {
    check(profile, settings).unwrap_err().iter().map(|v| (v.code, v.to_string())).collect()
}

#[test]
fn all_mistakes_are_told_at_once() {
    let told = refusals(
        "linux-antivirus",
        &[
            ("linux-antivirus/enforcement_levle", r#""passive""#),
            ("linux-antivirus/enforcement_level", r#""paranoid""#),
            ("linux-antivirus/maximum_on_demand_scan_threads", "65"),
            ("linux-antivirus/scan_archives", r#""yes""#),
            ("linux-antivirus/scan_archives", "true"),
            ("linux-antivirus/cloud_proxy", r#""http://proxy:3128""#),
        ],
    );
    let expected = [
        (
            ErrorCode::SettingUnknown,
            "linux-antivirus/enforcement_levle: no such setting; did you mean linux-antivirus/enforcement_level?",
        ),
        (
            ErrorCode::SettingOutOfRange,
            "linux-antivirus/enforcement_level: \"paranoid\" is not allowed: expected one of real_time, on_demand, passive",
        ),
        (
            ErrorCode::SettingOutOfRange,
            "linux-antivirus/maximum_on_demand_scan_threads: 65 is not allowed: expected an integer from 1 to 64 (threads)",
        ),
        (
            ErrorCode::SettingTypeMismatch,
            "linux-antivirus/scan_archives: string yes is not allowed: expected true or false",
        ),
        (ErrorCode::SettingDuplicate, "linux-antivirus/scan_archives: is set twice; set it once"),
        (
            ErrorCode::SettingNotOnChannel,
            "linux-antivirus/cloud_proxy: cannot be delivered to devices without MDM: it is a key of the managed JSON file only",
        ),
    ];
    assert_eq!(told, expected.map(|(code, text)| (code, text.to_owned())));
}

#[test]
fn an_unknown_profile_is_told_with_the_nearest() {
    let told = refusals("linux-antivirsu", &[]);
    let text = "linux-antivirsu: no such profile; did you mean linux-antivirus?";
    assert_eq!(told, [(ErrorCode::ProfileUnknown, text.to_owned())]);
}

#[test]
fn a_profile_that_only_an_mdm_carries_is_refused_with_that_reason() {
    let told = refusals("windows-device-control", &[]);
    let text =
        "windows-device-control: profiles of this kind are for MDM only: no other channel carries them";
    assert_eq!(told, [(ErrorCode::ProfileUnknown, text.to_owned())]);
}

#[test]
fn a_setting_of_another_profile_is_told_apart_from_an_unknown_one() {
    let told = refusals("linux-antivirus", &[("linux-edr/edr_tags", "[]")]);
    let text = "linux-edr/edr_tags: belongs to profile linux-edr, this policy is of linux-antivirus";
    assert_eq!(told, [(ErrorCode::SettingUnknown, text.to_owned())]);
}

#[test]
fn a_mistake_inside_an_object_names_its_place() {
    let told = refusals(
        "linux-antivirus-exclusions",
        &[(
            "linux-antivirus-exclusions/exclusions",
            r#"[{"type":"excluded_path","path":"/run"},
                {"type":"excluded_path","extension":".log"},
                {"type":"excluded_file_name","name":"x","colour":"red"},
                {"type":"excluded_path","path":7}]"#,
        )],
    );
    let texts: Vec<_> = told.iter().map(|(_, text)| text.as_str()).collect();
    let id = "linux-antivirus-exclusions/exclusions";
    assert_eq!(texts.len(), 4, "{texts:#?}");
    assert!(texts[0].starts_with(&format!("{id}[1]: an object without it")), "{}", texts[0]);
    assert!(texts[1].starts_with(&format!("{id}[1]: field \"extension\" is not allowed")), "{}", texts[1]);
    assert!(texts[2].starts_with(&format!("{id}[2].colour: field \"colour\"")), "{}", texts[2]);
    assert!(texts[3].starts_with(&format!("{id}[3].path: integer 7 is not allowed")), "{}", texts[3]);
}

#[test]
fn a_key_that_may_occur_once_is_refused_twice() {
    let told = refusals(
        "linux-antivirus",
        &[(
            "linux-antivirus/threat_type_settings",
            r#"[{"key":"archive_bomb","value":"audit"},{"key":"archive_bomb","value":"block"}]"#,
        )],
    );
    assert_eq!(told.len(), 1);
    assert!(told[0].1.contains("[1].key: archive_bomb is not allowed"), "{}", told[0].1);
}

#[test]
fn a_comma_joined_list_of_file_systems_is_refused() {
    let id = "linux-antivirus/unmonitored_filesystems";
    assert!(check("linux-antivirus", &[(id, r#"["nfs","fuse"]"#)]).is_ok());
    assert!(check("linux-antivirus", &[(id, "[]")]).is_ok());
    assert_eq!(refusals("linux-antivirus", &[(id, r#"["nfs,fuse"]"#)])[0].0, ErrorCode::SettingOutOfRange);
}

#[test]
fn fields_of_items_cannot_be_set_alone() {
    let told = refusals(
        "linux-antivirus-exclusions",
        &[("linux-antivirus-exclusions/exclusions_item_path", r#""/x""#)],
    );
    assert_eq!(told[0].0, ErrorCode::SettingUnknown);
    for field in ["fwrule_status", "fwrule_name"] {
        let id = format!("windows-firewall-rules/{field}");
        assert_eq!(refusals("windows-firewall-rules", &[(&id, r#""x""#)])[0].0, ErrorCode::SettingUnknown);
    }
}

#[test]
fn a_secret_is_not_repeated() {
    let long = format!("{:?}", "s3cret".repeat(5_000));
    let told = refusals("windows-edr", &[("windows-edr/offboarding_blob", &long)]);
    assert!(!told[0].1.contains("s3cret"), "{}", told[0].1);
}

/// A value that the setting's type cannot take.
fn of_another_type(setting: &Setting) -> SettingValue {
    match setting.kind {
        Kind::Bool { .. } | Kind::Flags { .. } | Kind::Integer { .. } => SettingValue::Text("x".to_owned()),
        Kind::Enum { .. } | Kind::Text(_) => SettingValue::Boolean(true),
        Kind::TextList { .. } | Kind::ObjectList { .. } => SettingValue::Integer(1),
    }
}

fn any_value() -> impl Strategy<Value = SettingValue> {
    let text = prop_oneof![
        any::<String>(),
        proptest::sample::select(vec![
            "*",
            "any",
            "LOCALSUBNET",
            "80-90",
            "epp",
            "in",
            "excluded_path",
            "/x"
        ])
        .prop_map(str::to_owned),
    ];
    let scalar = prop_oneof![
        any::<bool>().prop_map(SettingValue::Boolean),
        prop_oneof![any::<i64>(), -2..300_i64].prop_map(SettingValue::Integer),
        text.clone().prop_map(SettingValue::Text),
        proptest::collection::vec(text, 0..4).prop_map(SettingValue::Strings),
    ];
    let name = prop_oneof![
        proptest::sample::select(vec![
            "name",
            "type",
            "path",
            "protocol",
            "scopes",
            "direction",
            "edge_traversal"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let object = proptest::collection::btree_map(name, scalar.clone(), 0..4);
    prop_oneof![scalar, proptest::collection::vec(object, 0..3).prop_map(SettingValue::Objects)]
}

proptest! {
    #[test]
    fn what_was_accepted_is_accepted_again_as_it_is(
        (setting, _) in setting_and_value(Setting::settable),
        value in any_value(),
    ) {
        let check = |value| Catalogue::builtin().check(setting.id.profile(), [(setting.id.clone(), value)]);
        if let Ok(accepted) = check(value) {
            let again = check(accepted[&setting.id].clone());
            prop_assert_eq!(again, Ok(accepted));
        }
    }

    #[test]
    fn whole_policies_are_judged_and_what_passes_passes_again(
        picked in proptest::collection::vec(setting_and_value(Setting::settable), 1..8),
    ) {
        let profile = picked[0].0.id.profile();
        let policy: BTreeMap<_, _> = picked
            .iter()
            .filter(|(setting, _)| setting.id.profile() == profile)
            .map(|(setting, value)| (setting.id.clone(), value.clone()))
            .collect();
        match Catalogue::builtin().check(profile, policy) {
            Ok(accepted) => {
                let warnings = Catalogue::builtin().warnings(profile, &accepted, RulesAsOf::Current);
                prop_assert!(warnings.is_sorted());
                prop_assert_eq!(Catalogue::builtin().check(profile, accepted.clone()), Ok(accepted));
            }
            Err(violations) => {
                prop_assert!(violations.iter().all(|v| v.code == ErrorCode::SettingsInconsistent), "{violations:?}");
            }
        }
    }

    #[test]
    fn a_value_of_the_settings_type_passes_as_it_is((setting, value) in setting_and_value(Setting::settable)) {
        let checked = Catalogue::builtin().check(setting.id.profile(), [(setting.id.clone(), value.clone())]);
        prop_assert_eq!(checked, Ok(BTreeMap::from([(setting.id.clone(), value)])));
    }

    #[test]
    fn a_value_of_another_type_does_not_pass((setting, _) in setting_and_value(Setting::settable)) {
        let value = of_another_type(setting);
        let violations = Catalogue::builtin().check(setting.id.profile(), [(setting.id.clone(), value)]).unwrap_err();
        prop_assert_eq!(violations.len(), 1);
        prop_assert_eq!(violations[0].code, ErrorCode::SettingTypeMismatch);
        prop_assert_eq!(violations[0].subject.as_str(), setting.id.as_str());
    }

    #[test]
    fn a_number_beyond_its_bounds_does_not_pass(
        (setting, _) in setting_and_value(|setting| matches!(setting.kind, Kind::Integer { .. })),
        beyond in 1..1_000_i64,
    ) {
        let Kind::Integer { min, max, .. } = setting.kind else { unreachable!() };
        for value in [min - beyond, max + beyond] {
            let violations = setting.check(&SettingValue::Integer(value)).unwrap_err();
            prop_assert_eq!(violations[0].code, ErrorCode::SettingOutOfRange);
        }
    }
}
