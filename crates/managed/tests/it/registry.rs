//! What lands in the registry.

use std::collections::BTreeMap;

use muster_managed::registry;
use muster_types::SettingValue;

use crate::{Settings, catalogue};

fn text(value: &str) -> SettingValue {
    SettingValue::Text(value.into())
}

fn strings(values: &[&str]) -> SettingValue {
    SettingValue::Strings(values.iter().map(ToString::to_string).collect())
}

fn settings(settings: &[(&str, SettingValue)]) -> Settings {
    settings.iter().map(|(id, value)| (id.parse().unwrap(), value.clone())).collect()
}

#[test]
fn settings_of_every_kind_land_as_the_catalogue_says() {
    let settings = settings(&[
        ("windows-antivirus/allow_archive_scanning", SettingValue::Boolean(true)),
        ("windows-antivirus/allow_cloud_protection", SettingValue::Boolean(true)),
        ("windows-antivirus/avg_cpu_load_factor", SettingValue::Integer(50)),
        ("windows-antivirus/cloud_block_level", text("high")),
        ("windows-antivirus/excluded_paths", strings(&["C:\\b", "C:\\a"])),
        ("windows-antivirus/signature_update_fallback_order", strings(&["mmpc", "wsus"])),
        ("windows-antivirus/threat_severity_default_action_severe", text("quarantine")),
        ("windows-antivirus-exclusions/excluded_paths", strings(&["C:\\a"])),
        ("windows-asr-rules/asr_block_abuse_of_exploited_vulnerable_signed_drivers", text("audit")),
        ("windows-firewall/fw_private_profile_enable_firewall", SettingValue::Boolean(true)),
        ("windows-firewall/fw_domain_profile_log_file_path", text("C:\\log\n.txt")),
    ]);
    let checked = settings.iter().map(|(id, value)| catalogue().setting(id).unwrap().check(value));
    assert!(checked.into_iter().all(|checked| checked.is_ok()));
    let rendered = registry::listing(catalogue(), &settings);
    let defender = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender";
    let firewall = r"HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall";
    let expected = [
        format!(r"{defender}\Exclusions\Paths :: C:\a = REG_SZ:0"),
        format!(r"{defender}\Exclusions\Paths :: C:\b = REG_SZ:0"),
        format!(r"{defender}\MpEngine :: MpCloudBlockLevel = REG_DWORD:2"),
        format!(r"{defender}\Scan :: AvgCPULoadFactor = REG_DWORD:50"),
        format!(r"{defender}\Scan :: DisableArchiveScanning = REG_DWORD:0"),
        format!(
            r"{defender}\Signature Updates :: FallbackOrder = REG_SZ:MMPC|InternalDefinitionUpdateServer"
        ),
        format!(r"{defender}\Spynet :: SpynetReporting = REG_DWORD:1"),
        format!(r"{defender}\Threats\ThreatSeverityDefaultAction :: 5 = REG_DWORD:2"),
        format!(
            r"{defender}\Windows Defender Exploit Guard\ASR\Rules :: 56a863a9-875e-4185-98a7-b882c64b5ce5 = REG_SZ:2"
        ),
        format!(r"{firewall}\DomainProfile\Logging :: LogFilePath = REG_SZ:C:\log\u{{a}}.txt"),
        format!(r"{firewall}\StandardProfile :: EnableFirewall = REG_DWORD:1"),
    ];
    assert_eq!(rendered.text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(rendered.left_out, BTreeMap::new());
}

#[test]
fn what_has_no_place_is_told_with_the_reason() {
    let settings = settings(&[
        ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
        ("windows-antivirus/disable_http_parsing", SettingValue::Boolean(true)),
        (
            "windows-asr-rules/asr_block_abuse_of_exploited_vulnerable_signed_drivers__exclusions",
            strings(&["C:\\a"]),
        ),
        ("windows-antivirus/signature_update_file_shares_sources", strings(&["\\\\a|b\\c"])),
        ("windows-security-experience/tamper_protection", text("on")),
        ("windows-security-experience/company_name", text("x")),
    ]);
    let rendered = registry::listing(catalogue(), &settings);
    assert_eq!(rendered.text, "");
    let reasons: Vec<_> = rendered.left_out.values().map(String::as_str).collect();
    let expected = [
        "is for Linux; the registry is of Windows",
        "lands by its configuration service provider alone",
        "separates the items",
        "is not documented",
        "lands by its configuration service provider alone",
        "shows its state",
    ];
    assert_eq!(reasons.len(), expected.len());
    for (reason, expected) in reasons.into_iter().zip(expected) {
        assert!(reason.contains(expected), "{reason}: {expected}");
    }
}

/// Whoever adds a setting learns here that it has a place, or a reason.
#[test]
fn every_place_in_the_registry_has_a_key_of_the_machine() {
    let known = catalogue().settings().filter_map(|setting| setting.lands.registry.as_deref());
    assert!(known.into_iter().all(|place| place.starts_with("HKLM\\")));
}
