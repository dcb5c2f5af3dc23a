//! Rules across settings of a policy and across fields of an object.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, RulesAsOf};
use muster_errors::ErrorCode;

use crate::checking::{check, refusals, set};

const RULES: &str = "windows-firewall-rules/rules";
const GLOBAL: &str = "linux-global-exclusions/global_exclusions";

/// What is told of one firewall rule with some fields beside its name.
fn rule(fields: &str) -> Vec<String> {
    let rules = format!(r#"[{{"name":"r"{}{fields}}}]"#, if fields.is_empty() { "" } else { "," });
    match check("windows-firewall-rules", &[(RULES, &rules)]) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(|v| format!("{} {v}", v.code)).collect(),
    }
}

fn warnings(profile: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let settings: BTreeMap<_, _> = settings.iter().map(|(id, value)| set(id, value)).collect();
    let warnings = Catalogue::builtin().warnings(profile, &settings, RulesAsOf::Current);
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_policy_holds_several_firewall_rules_of_different_names() {
    let two = r#"[{"name":"web","direction":"in","action_type":"allow","protocol":6,"local_port_ranges":["80","443"]},
                  {"name":"ping","protocol":1,"icmp_types_and_codes":["8:*"],"edge_traversal":true,"direction":"in"}]"#;
    assert!(check("windows-firewall-rules", &[(RULES, two)]).is_ok());
    let told = refusals("windows-firewall-rules", &[(RULES, r#"[{"name":"a"},{"name":"a"}]"#)]);
    assert!(told[0].1.contains("[1].name: a is not allowed: expected each value once"), "{told:?}");
    let told = refusals("windows-firewall-rules", &[(RULES, r#"[{"direction":"in"}]"#)]);
    assert!(told[0].1.contains("field name"), "{told:?}");
    let too_many: Vec<_> = (0..151).map(|n| format!(r#"{{"name":"r{n}"}}"#)).collect();
    let told = refusals("windows-firewall-rules", &[(RULES, &format!("[{}]", too_many.join(",")))]);
    assert_eq!(told[0].0, ErrorCode::SettingOutOfRange);
}

#[test]
fn ports_need_a_protocol_that_has_them() {
    assert_eq!(rule(r#""protocol":17,"remote_port_ranges":["53"]"#), [""; 0]);
    assert_eq!(rule(r#""local_port_ranges":[]"#), [""; 0]);
    assert_eq!(
        rule(r#""protocol":1,"local_port_ranges":["80"]"#),
        [
            "SETTINGS_INCONSISTENT windows-firewall-rules/rules[0].local_port_ranges: [80] is not allowed: means something only \
             where protocol is 6 or 17; here it is 1"
        ]
    );
    assert_eq!(
        rule(r#""local_port_ranges":["80"]"#),
        [
            "SETTINGS_INCONSISTENT windows-firewall-rules/rules[0].local_port_ranges: [80] is not allowed: means something only \
             where protocol is 6 or 17, which is not said"
        ]
    );
    for range in ["90-80", "65536", "80-", "http", "-1"] {
        let told = rule(&format!(r#""protocol":6,"local_port_ranges":["{range}"]"#));
        assert!(told[0].starts_with("SETTING_OUT_OF_RANGE"), "{range}: {told:?}");
    }
}

#[test]
fn icmp_codes_need_a_type_and_the_protocol() {
    assert_eq!(rule(r#""protocol":1,"icmp_types_and_codes":["3:4","1:*"]"#), [""; 0]);
    assert_eq!(rule(r#""protocol":58,"icmp_types_and_codes":["*"]"#), [""; 0]);
    for types in [r#"["*:4"]"#, r#"["256"]"#, r#"["3:256"]"#, r#"["3:"]"#] {
        let told = rule(&format!(r#""protocol":1,"icmp_types_and_codes":{types}"#));
        assert!(told[0].starts_with("SETTING_OUT_OF_RANGE"), "{types}: {told:?}");
    }
    assert!(rule(r#""protocol":6,"icmp_types_and_codes":["3"]"#)[0].starts_with("SETTINGS_INCONSISTENT"));
}

#[test]
fn a_service_and_a_list_of_users_exclude_each_other() {
    let told =
        rule(r#""app_service_name":"dnscache","local_user_authorization_list":"O:LSD:(A;;CC;;;S-1-5-84)""#);
    assert_eq!(told.len(), 2);
    assert!(
        told[0].contains("[0].app_service_name") && told[0].contains("local_user_authorization_list"),
        "{told:?}"
    );
    assert!(told.iter().all(|told| told.starts_with("SETTINGS_INCONSISTENT")), "{told:?}");
}

#[test]
fn edge_traversal_is_for_inbound_rules() {
    assert_eq!(rule(r#""direction":"in","edge_traversal":true"#), [""; 0]);
    assert_eq!(rule(r#""direction":"out","edge_traversal":false"#), [""; 0]);
    for direction in [r#""direction":"out","#, ""] {
        let told = rule(&format!(r#"{direction}"edge_traversal":true"#));
        assert!(
            told[0].starts_with("SETTINGS_INCONSISTENT") && told[0].contains("direction is in"),
            "{told:?}"
        );
    }
}

#[test]
fn addresses_are_addresses_or_known_words() {
    let canonical = |list: &str| {
        let rules = format!(r#"[{{"name":"r","remote_address_ranges":{list}}}]"#);
        check("windows-firewall-rules", &[(RULES, &rules)])
            .map(|settings| serde_json::to_string(settings.values().next().unwrap()).unwrap())
    };
    let accepted = canonical(r#"["LOCALSUBNET","dns","10.0.0.0/255.0.0.0","fe80::1"]"#).unwrap();
    assert_eq!(
        accepted,
        r#"[{"name":"r","remote_address_ranges":["local_subnet","dns","10.0.0.0/255.0.0.0","fe80::1"]}]"#
    );
    assert!(canonical(r#"["*"]"#).is_ok());
    assert!(canonical(r#"["any"]"#).is_ok());
    for wrong in
        [r#"["*","10.0.0.1"]"#, r#"["10.0.0.300"]"#, r#"["local subnet"]"#, r#"["10.0.0.9-10.0.0.1"]"#]
    {
        assert!(canonical(wrong).is_err(), "{wrong}");
    }
    assert!(rule(r#""local_address_ranges":["LocalSubnet"]"#)[0].contains("an IPv4 or IPv6 address"));
}

#[test]
fn all_interfaces_stand_alone() {
    assert_eq!(rule(r#""interface_types":["lan","wireless"]"#), [""; 0]);
    assert_eq!(rule(r#""interface_types":["all"]"#), [""; 0]);
    assert!(rule(r#""interface_types":["all","lan"]"#)[0].contains("all alone"));
}

#[test]
fn a_name_has_no_slash() {
    let told = refusals("windows-firewall-rules", &[(RULES, r#"[{"name":"a/b"}]"#)]);
    assert_eq!(told[0].0, ErrorCode::SettingOutOfRange);
}

#[test]
fn global_exclusions_should_be_literal_and_full_unless_for_the_antivirus_alone() {
    let global = |item: &str| check("linux-global-exclusions", &[(GLOBAL, &format!("[{item}]"))]);
    for valid in [
        r#"{"type":"excluded_path","path":"/opt/app","is_directory":true}"#,
        r#"{"type":"excluded_path","path":"/opt/app","scopes":["epp","global"]}"#,
        r#"{"type":"excluded_path","path":"/home/*/git","scopes":["epp"]}"#,
        r#"{"type":"excluded_file_name","name":"/bin/cat"}"#,
        r#"{"type":"excluded_file_name","name":"cat","scopes":["epp"]}"#,
        r#"{"type":"excluded_file_extension","extension":".pdf","scopes":["epp"]}"#,
    ] {
        assert!(global(valid).is_ok(), "{valid}: {:?}", global(valid));
    }
    for unhonoured in [
        r#"{"type":"excluded_path","path":"/home/*/git","is_directory":true}"#,
        r#"{"type":"excluded_path","path":"/home/*/git","is_directory":true,"scopes":["global"]}"#,
        r#"{"type":"excluded_file_name","name":"cat"}"#,
    ] {
        assert!(global(unhonoured).is_ok(), "{unhonoured}");
        let told = warnings("linux-global-exclusions", &[(GLOBAL, &format!("[{unhonoured}]"))]);
        assert!(told.len() == 1 && told[0].contains("a full path from / without wildcards"), "{told:?}");
    }
    for (invalid, code) in [
        (r#"{"type":"excluded_file_extension","extension":".pdf"}"#, ErrorCode::SettingsInconsistent),
        (
            r#"{"type":"excluded_file_extension","extension":".pdf","scopes":["epp","global"]}"#,
            ErrorCode::SettingsInconsistent,
        ),
    ] {
        assert_eq!(global(invalid).unwrap_err()[0].code, code, "{invalid}");
    }
}

#[test]
fn exclusions_of_a_rule_that_is_off_are_inconsistent() {
    let rule = "windows-asr-rules/asr_block_adobe_reader_from_creating_child_processes";
    let exclusions = format!("{rule}__exclusions");
    let paths = r#"["C:\\Tools"]"#;
    for mode in ["block", "audit", "warn"] {
        assert!(check("windows-asr-rules", &[(rule, &format!("{mode:?}")), (&exclusions, paths)]).is_ok());
    }
    let told = refusals("windows-asr-rules", &[(rule, r#""off""#), (&exclusions, paths)]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, ErrorCode::SettingsInconsistent);
    assert!(told[0].1.starts_with(&exclusions) && told[0].1.contains("here it is off"), "{told:?}");
    assert!(check("windows-asr-rules", &[(rule, r#""off""#), (&exclusions, "[]")]).is_ok());
    assert!(check("windows-asr-rules", &[(&exclusions, paths)]).is_ok());
    let told = warnings("windows-asr-rules", &[(&exclusions, paths)]);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("which this policy does not set"), "{told:?}");
}

#[test]
fn onboarding_and_offboarding_exclude_each_other() {
    let told = refusals(
        "windows-edr",
        &[("windows-edr/onboarding_blob", r#""in""#), ("windows-edr/offboarding_blob", r#""out""#)],
    );
    assert_eq!(
        told,
        [(
            ErrorCode::SettingsInconsistent,
            "windows-edr/offboarding_blob: cannot be set together with onboarding_blob".to_owned()
        )]
    );
}

#[test]
fn the_bound_of_a_profile_holds_for_its_lists_together() {
    let items: Vec<_> =
        (0..601).map(|n| format!(r#"{{"type":"excluded_file_name","name":"p{n}"}}"#)).collect();
    let list = |count: usize| format!("[{}]", items[..count].join(","));
    let id = "linux-antivirus-exclusions/exclusions";
    assert!(check("linux-antivirus-exclusions", &[(id, &list(600))]).is_ok());
    let told = refusals("linux-antivirus-exclusions", &[(id, &list(601))]);
    assert!(told[0].1.contains("601 items is not allowed: expected at most 600"), "{told:?}");
}

#[test]
fn what_may_surprise_is_a_warning() {
    let toasts = "windows-security-experience/enable_customized_toasts";
    let company = "windows-security-experience/company_name";
    let told = warnings("windows-security-experience", &[(toasts, "true"), (company, r#""Muster""#)]);
    assert_eq!(
        told,
        [format!(
            "{toasts}: means something only where email or phone or url is set, which this policy does not set"
        )]
    );
    assert!(warnings("windows-security-experience", &[(toasts, "false")]).is_empty());
    let told = warnings("windows-edr", &[("windows-edr/onboarding_blob", r#""x""#)]);
    assert_eq!(
        told,
        ["windows-edr/onboarding_blob: not applied to devices without MDM: it is without meaning here"]
    );
    let merge = "windows-firewall/fw_public_profile_allow_local_policy_merge";
    let told = warnings("windows-firewall", &[(merge, "true")]);
    assert_eq!(
        told,
        [format!(
            "{merge}: not applied to devices without MDM under the current rules: it is documented as not applied"
        )]
    );
    assert!(warnings("linux-antivirus", &[("linux-antivirus/scan_archives", "true")]).is_empty());
    assert!(warnings("no-such-profile", &[]).is_empty());
}

#[test]
fn a_profile_that_the_rules_do_not_carry_is_one_warning() {
    let settings: BTreeMap<_, _> =
        [set("linux-global-exclusions/global_exclusions", "[]")].into_iter().collect();
    let warnings =
        Catalogue::builtin().warnings("linux-global-exclusions", &settings, RulesAsOf::September2023);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].subject, "linux-global-exclusions");
}
