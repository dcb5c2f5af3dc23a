//! The catalogue for readers.

use muster_catalog::{Catalogue, docs};
use muster_types::SettingId;

#[test]
fn a_setting_explains_type_default_place_and_merge() {
    let id: SettingId = "linux-antivirus/maximum_on_demand_scan_threads".parse().unwrap();
    let profile = Catalogue::builtin().profile(id.profile()).unwrap();
    let text = docs::describe(profile, Catalogue::builtin().setting(&id).unwrap());
    for line in [
        "# Threads for on-demand scans",
        "| Type | integer: an integer from 1 to 64 (threads) |",
        "| Default | `2` |",
        "| Without MDM | supported |",
        "| JSON path | `antivirusEngine.maximumOnDemandScanThreads` |",
        "| Since agent | 101.45.00 |",
        "| Status | current |",
        "| Known | read in a source |",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_page_explains_every_setting_of_its_profile() {
    for profile in Catalogue::builtin().profiles() {
        let page = docs::page(profile);
        for setting in &profile.settings {
            assert!(page.contains(&format!("\n`{}`\n", setting.id)), "{}", setting.id);
            let anchor = format!("<a id=\"{}\"></a>", setting.id.setting());
            assert_eq!(page.matches(&anchor).count(), 1, "{}", setting.id);
        }
        assert!(!page.contains("\n\n\n"), "{}: an empty paragraph", profile.id);
    }
}

#[test]
fn the_pages_that_are_checked_in_are_fresh() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/catalogue"));
    let pages = docs::pages(Catalogue::builtin());
    for (name, page) in &pages {
        let found = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(found == *page, "{name} is stale; run `cargo xtask codegen`");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), pages.len());
}

#[test]
fn support_is_told_by_channel_and_rules() {
    let id: SettingId = "windows-firewall/fw_public_profile_allow_local_policy_merge".parse().unwrap();
    let profile = Catalogue::builtin().profile(id.profile()).unwrap();
    let text = docs::describe(profile, Catalogue::builtin().setting(&id).unwrap());
    for line in [
        "| Without MDM | documented as not applied |",
        "| Without MDM, rules of 2023-09 | supported |",
        "| In an MDM | supported |",
        "| On domain controllers | not applied to those without MDM |",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let json = docs::json(profile, Catalogue::builtin().setting(&id).unwrap());
    assert_eq!(json["support"]["ssm"]["current"], "unsupported");
    assert_eq!(json["support"]["ssm"]["2023-09"], "supported");
    assert_eq!(json["confidence"], "verified");
}

#[test]
fn the_table_counts_what_is_delivered() {
    let rows = docs::support(Catalogue::builtin(), None);
    assert_eq!(rows.len(), 15 * 2 * 2);
    let words = |profile: &str, channel, as_of| {
        let row = rows
            .iter()
            .find(|row| row.profile.id == profile && row.channel == channel && row.rules_as_of == as_of);
        row.unwrap().words()
    };
    use muster_catalog::Channel::{Mdm, Ssm};
    use muster_catalog::RulesAsOf::{Current, September2023};
    assert_eq!(words("windows-antivirus", Ssm, Current), "50 of 61 settings");
    assert_eq!(words("windows-firewall", Ssm, Current), "73 of 76 settings");
    assert_eq!(words("windows-firewall", Ssm, September2023), "76 of 76 settings");
    assert_eq!(words("windows-security-experience", Ssm, Current), "20 of 20 settings");
    assert_eq!(
        words("windows-security-experience", Ssm, September2023),
        "none, the profile is not supported"
    );
    assert_eq!(words("windows-security-experience", Mdm, September2023), "20 of 20 settings");
    assert_eq!(words("linux-edr", Mdm, Current), "none, the profile is not supported");
    assert_eq!(
        rows.iter()
            .filter(|row| !row.domain_controllers && row.channel == Ssm && row.rules_as_of == Current)
            .count(),
        2
    );
}
