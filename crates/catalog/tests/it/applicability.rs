//! Which device can be given what.

use muster_catalog::{Applicability, Catalogue, Channel, Platform, RulesAsOf, TamperLock};
use muster_types::{SettingId, WithheldReason};

fn id(text: &str) -> SettingId {
    text.parse().unwrap()
}

fn device(platform: Platform) -> Applicability {
    let agent_level = Catalogue::builtin().agent_level(platform, None);
    Applicability {
        platform,
        channel: Channel::Ssm,
        domain_controller: false,
        agent_level,
        tamper: TamperLock::Unknown,
        rules_as_of: RulesAsOf::Current,
    }
}

fn withheld(setting: &str, to: &Applicability) -> Option<WithheldReason> {
    Catalogue::builtin().support(&id(setting), to).err()
}

#[test]
fn a_setting_of_another_platform_is_withheld() {
    let to = device(Platform::Linux);
    assert_eq!(withheld("windows-antivirus/allow_archive_scanning", &to), Some(WithheldReason::Platform));
    let why =
        Catalogue::builtin().why_withheld(&id("windows-antivirus/allow_archive_scanning"), &to).unwrap();
    assert_eq!(why, "windows-antivirus/allow_archive_scanning is for Windows; the device runs Linux.");
}

#[test]
fn what_no_edition_applies_is_withheld_by_the_channel() {
    for rules_as_of in RulesAsOf::ALL {
        let to = Applicability { rules_as_of, ..device(Platform::Windows) };
        for setting in [
            "windows-edr/expedite_telemetry_reporting_frequency",
            "windows-antivirus/allow_intrusion_prevention_system",
        ] {
            assert_eq!(withheld(setting, &to), Some(WithheldReason::Channel), "{setting}");
            assert_eq!(withheld(setting, &Applicability { channel: Channel::Mdm, ..to }), None, "{setting}");
        }
    }
}

#[test]
fn the_rules_decide_what_they_name() {
    let withheld_under = |setting: &str, rules_as_of| {
        let platform = Catalogue::builtin().profile(id(setting).profile()).unwrap().platform;
        withheld(setting, &Applicability { rules_as_of, ..device(platform) })
    };
    let (old, new) = (RulesAsOf::September2023, RulesAsOf::Current);
    let security_experience = Catalogue::builtin().profile("windows-security-experience").unwrap();
    let update_controls = Catalogue::builtin().profile("windows-defender-update-controls").unwrap();
    for setting in security_experience.settings.iter().chain(&update_controls.settings) {
        assert_eq!(withheld_under(setting.id.as_str(), old), Some(WithheldReason::Rules), "{}", setting.id);
        assert_eq!(withheld_under(setting.id.as_str(), new), None, "{}", setting.id);
    }
    let global = "linux-global-exclusions/global_exclusions";
    assert_eq!(withheld_under(global, old), Some(WithheldReason::Rules));
    assert_eq!(withheld_under(global, new), None);
    for network in ["domain", "private", "public"] {
        let merge = format!("windows-firewall/fw_{network}_profile_allow_local_policy_merge");
        assert_eq!(withheld_under(&merge, old), None);
        assert_eq!(withheld_under(&merge, new), Some(WithheldReason::Rules));
    }
}

#[test]
fn the_rules_are_named_in_the_reason() {
    let to = Applicability { rules_as_of: RulesAsOf::September2023, ..device(Platform::Windows) };
    let why = Catalogue::builtin().why_withheld(&id("windows-security-experience/tamper_protection"), &to);
    assert_eq!(
        why.as_deref(),
        Some(
            "windows-security-experience/tamper_protection is not applied to devices without MDM under the 2023-09 rules; \
             the current rules apply it."
        )
    );
}

#[test]
fn a_domain_controller_gets_no_firewall_profile() {
    let to = Applicability { domain_controller: true, ..device(Platform::Windows) };
    for setting in Catalogue::builtin().settings().filter(|setting| setting.settable()) {
        let firewall = setting.id.profile().starts_with("windows-firewall");
        let usually = withheld(setting.id.as_str(), &device(Platform::Windows));
        let expected =
            if firewall && usually.is_none() { Some(WithheldReason::DomainController) } else { usually };
        assert_eq!(withheld(setting.id.as_str(), &to), expected, "{}", setting.id);
    }
}

#[test]
fn an_older_agent_gets_what_it_knows() {
    let catalogue = Catalogue::builtin();
    let setting = "linux-global-exclusions/global_exclusions";
    let at = |version: Option<&str>| {
        let agent_level = catalogue.agent_level(Platform::Linux, version);
        withheld(setting, &Applicability { agent_level, ..device(Platform::Linux) })
    };
    assert_eq!(at(Some("101.24092.0000")), Some(WithheldReason::AgentVersion));
    assert_eq!(at(Some("101.24092.0001")), None);
    assert_eq!(at(Some("101.24122.0007")), None);
    assert_eq!(at(Some("101.9.9999")), Some(WithheldReason::AgentVersion));
    for unknown in [None, Some(""), Some("unknown")] {
        assert_eq!(at(unknown), None);
    }
}

#[test]
fn versions_between_two_thresholds_are_one_level() {
    let level = |version| Catalogue::builtin().agent_level(Platform::Linux, Some(version));
    assert_eq!(level("101.24092.0001"), level("101.24112.0003"));
    assert!(level("101.24092.0001") < level("101.24122.0001"));
    assert!(level("100.0.0") < level("100.83.73"));
    assert_eq!(level("999"), Catalogue::builtin().agent_level(Platform::Linux, None));
    assert!(Catalogue::builtin().agent_thresholds(Platform::Windows).is_empty());
}

#[test]
fn locked_exclusions_are_withheld_and_only_they() {
    let locked = Applicability { tamper: TamperLock::OnWithExclusions, ..device(Platform::Windows) };
    let open = Applicability { tamper: TamperLock::On, ..locked };
    let managed = Applicability { channel: Channel::Mdm, ..locked };
    for setting in ["windows-antivirus-exclusions/excluded_paths", "windows-antivirus/excluded_processes"] {
        assert_eq!(withheld(setting, &locked), Some(WithheldReason::TamperProtected));
        assert_eq!(withheld(setting, &open), None);
        assert_eq!(withheld(setting, &managed), None);
    }
    assert_eq!(withheld("windows-antivirus/allow_realtime_monitoring", &locked), None);
    assert_eq!(withheld("windows-antivirus/threat_severity_default_action_low", &locked), None);
    assert_eq!(withheld("windows-security-experience/tamper_protection", &locked), None);
}

#[test]
fn a_locked_setting_is_delivered_and_guarded() {
    let on = Applicability { tamper: TamperLock::On, ..device(Platform::Windows) };
    let guarded = |setting: &str, to: Applicability| {
        to.tamper_guards(Catalogue::builtin().support(&id(setting), &to).unwrap())
    };
    assert!(guarded("windows-antivirus/allow_realtime_monitoring", on));
    assert!(!guarded("windows-antivirus/allow_email_scanning", on));
    assert!(!guarded("windows-security-experience/tamper_protection", on));
    assert!(!guarded("windows-antivirus-exclusions/excluded_paths", on));
    for tamper in [TamperLock::Unknown, TamperLock::Off] {
        assert!(!guarded("windows-antivirus/allow_realtime_monitoring", Applicability { tamper, ..on }));
    }
    let managed = Applicability { channel: Channel::Mdm, ..on };
    assert!(!guarded("windows-antivirus/allow_realtime_monitoring", managed));
}

#[test]
fn what_the_catalogue_lacks_or_cannot_set_is_withheld() {
    for setting in [
        "windows-antivirus/no_such_setting",
        "windows-no-such-profile/setting",
        "windows-firewall-rules/fwrule_status",
    ] {
        let to = device(Platform::Windows);
        assert_eq!(withheld(setting, &to), Some(WithheldReason::Channel));
        assert!(Catalogue::builtin().why_withheld(&id(setting), &to).is_some());
    }
}

#[test]
fn every_refusal_has_its_sentence() {
    let catalogue = Catalogue::builtin();
    for setting in catalogue.settings() {
        for channel in Channel::ALL {
            for rules_as_of in RulesAsOf::ALL {
                let to = Applicability {
                    channel,
                    rules_as_of,
                    domain_controller: true,
                    agent_level: catalogue.agent_level(Platform::Windows, Some("1")),
                    tamper: TamperLock::OnWithExclusions,
                    ..device(catalogue.profile(setting.id.profile()).unwrap().platform)
                };
                let why = catalogue.why_withheld(&setting.id, &to);
                assert_eq!(why.is_some(), catalogue.support(&setting.id, &to).is_err());
                assert!(why.is_none_or(|why| why.contains(setting.id.as_str()) && why.ends_with('.')));
            }
        }
    }
}
