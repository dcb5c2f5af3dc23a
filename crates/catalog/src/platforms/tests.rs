use super::*;

fn mistakes(change: impl Fn(String) -> String) -> String {
    Platforms::load(&change(TEXT.to_owned())).map_or_else(|invalid| invalid.to_string(), |_| String::new())
}

#[test]
fn the_embedded_rules_are_sound() {
    assert!(Platforms::load(TEXT).is_ok(), "{}", mistakes(|text| text));
}

#[test]
fn every_documented_release_has_a_rule() {
    let rules = Platforms::builtin();
    let name = |edition, class, branch| rules.windows(edition, class, branch).map(|rule| rule.name.as_str());
    for edition in Edition::ALL {
        for (branch, expected) in [(19045, "Windows 10"), (22000, "Windows 11"), (26200, "Windows 11")] {
            assert_eq!(name(edition, WindowsClass::Client, branch), Some(expected));
        }
        for (branch, year) in [(9600, "2012 R2"), (14393, "2016"), (17763, "2019"), (20348, "2022")] {
            let expected = format!("Windows Server {year}");
            assert_eq!(name(edition, WindowsClass::Server, branch), Some(expected.as_str()));
        }
        assert_eq!(name(edition, WindowsClass::Client, 9600), None);
        assert_eq!(name(edition, WindowsClass::Server, 7601), None);
    }
    assert_eq!(name(Edition::Current, WindowsClass::Server, 26100), Some("Windows Server 2025"));
    assert_eq!(name(Edition::September2023, WindowsClass::Server, 26100), Some("Windows Server 2022"));
}

#[test]
fn updates_and_builds_are_as_documented() {
    let minimum = |edition, class, branch| {
        let rule = Platforms::builtin().windows(edition, class, branch)?;
        rule.minimums.iter().find(|m| m.branch == branch).map(|m| (m.update, m.revision))
    };
    let table = [
        (Edition::September2023, WindowsClass::Client, 19043, (5_006_738, 1320)),
        (Edition::September2023, WindowsClass::Server, 17763, (5_006_744, 2268)),
        (Edition::September2023, WindowsClass::Server, 20348, (5_006_745, 320)),
        (Edition::Current, WindowsClass::Client, 19045, (5_023_773, 2788)),
        (Edition::Current, WindowsClass::Client, 22621, (5_023_778, 1485)),
        (Edition::Current, WindowsClass::Server, 17763, (5_025_229, 4252)),
        (Edition::Current, WindowsClass::Server, 20348, (5_025_230, 1668)),
    ];
    for (edition, class, branch, expected) in table {
        assert_eq!(minimum(edition, class, branch), Some(expected), "{edition} {branch}");
        assert!(Platforms::builtin().names_update(expected.0));
    }
}

#[test]
fn a_file_out_of_order_is_refused_with_row_and_field() {
    let table: [(&str, &str, &str); 10] = [
        ("schema: platforms/1", "schema: platforms/2", "schema"),
        ("below_branch: 22000", "below_branch: 21000", "windows-10-2023-09: below_branch"),
        ("update: KB5025229", "update: 5025229", "windows-server-2019: minimums"),
        ("{ branch: 22000, update", "{ branch: 22700, update", "windows-11: minimums: must rise"),
        ("server_core: app_compatibility", "", "windows-server-2019: server_core"),
        ("source: seed", "source: hearsay", "source"),
        ("minimum_sensor: 101.23052.0004", "minimum_sensor: latest", "macos-2023-09: minimum_sensor"),
        ("- id: macos\n", "- id: linux\n", "linux occurs twice"),
        ("what: azure_virtual_desktop", "what: non_persistent_vdi", "excluded: names something twice"),
        ("ids: [fedora]", "ids: [debian]", "linux-2023-09: distributions: name an id twice"),
    ];
    for (from, to, expected) in table {
        let found = mistakes(|text| text.replacen(from, to, 1));
        assert!(found.contains(expected), "{from} -> {to}: {found}");
    }
    assert!(mistakes(|text| text.replacen("as_of: [\"2023-09\"]", "as_of: [2024]", 1)).contains("platforms"));
}

#[test]
fn versions_compare_number_by_number() {
    let reaches = |version: &str, minimum: &str| {
        let parse = |text| VersionNumbers::parse(text).expect("a version");
        parse(version).reaches(&parse(minimum))
    };
    for (version, minimum) in [
        ("101.23052.0009", "101.23052.0009"),
        ("101.24092.1", "101.23052.0009"),
        ("102.1", "101.23052.0009"),
        ("7", "7.2"),
        ("7.10", "7.2"),
    ] {
        assert!(reaches(version, minimum), "{version} {minimum}");
    }
    for (version, minimum) in
        [("101.23052.0008", "101.23052.0009"), ("101.24", "101.23052.0009"), ("7.1", "7.2"), ("6", "7.2")]
    {
        assert!(!reaches(version, minimum), "{version} {minimum}");
    }
    for junk in ["", "latest", ".1", "99999999999", "-1"] {
        assert_eq!(VersionNumbers::parse(junk), None, "{junk}");
    }
    assert_eq!(VersionNumbers::parse("11.4-rc1.9").map(|v| v.to_string()).as_deref(), Some("11.4"));
    assert_eq!(VersionNumbers::parse("16.04").map(|v| v.to_string()).as_deref(), Some("16.04"));
}

#[test]
fn the_page_shows_both_editions_with_source_and_date() {
    let page = page(Platforms::builtin());
    for text in
        ["## Current rules", "## Rules of 2023-09", "19045.2788 (KB5023773)", "2025-08-27", "101.23052.0009"]
    {
        assert!(page.contains(text), "{text}");
    }
}
