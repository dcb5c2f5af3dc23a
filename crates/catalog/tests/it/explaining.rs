//! The catalogue for readers.

use muster_catalog::{Catalogue, docs};
use muster_types::SettingId;

#[test]
fn a_setting_explains_type_default_place_and_merge() {
    let id: SettingId = "linux-antivirus/maximum_on_demand_scan_threads".parse().unwrap();
    let text = Catalogue::builtin().setting(&id).unwrap().describe();
    for line in [
        "# Threads for on-demand scans",
        "| Type | integer: an integer from 1 to 64 (threads) |",
        "| Default | `2` |",
        "| Without MDM | supported |",
        "| JSON path | `antivirusEngine.maximumOnDemandScanThreads` |",
        "| Since agent | 101.45.00 |",
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
        }
        assert!(!page.contains("\n\n\n"), "{}: an empty paragraph", profile.id);
    }
}
