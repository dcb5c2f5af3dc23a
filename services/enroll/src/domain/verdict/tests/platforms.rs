//! Every row of the platform rules: at the minimum, below it, and beyond it.

use super::*;
use crate::domain::facts::{Platform, SecurityProduct};

const SEED: RulesAsOf = RulesAsOf::September2023;
const NOW: RulesAsOf = RulesAsOf::Current;

fn under(rules_as_of: RulesAsOf) -> Scope {
    Scope { rules_as_of, domain_controllers: ScopeMode::All, ..Scope::default() }
}

fn client(build: &str) -> DeviceFacts {
    DeviceFacts { os_build: Some(build.into()), ..a_windows_client() }
}

fn server(build: &str) -> DeviceFacts {
    DeviceFacts { os_build: Some(build.into()), unified_agent: Some(true), ..a_windows_server() }
}

fn core(build: &str, app_compatibility: Option<bool>) -> DeviceFacts {
    DeviceFacts { server_core: Some(true), app_compatibility, ..server(build) }
}

fn linux(id: &str, version: &str, sensor: &str) -> DeviceFacts {
    DeviceFacts {
        os_id: id.into(),
        os_version: version.into(),
        security_products: sensors("mdatp", sensor),
        ..a_linux_device()
    }
}

fn mac(version: &str, sensor: &str) -> DeviceFacts {
    DeviceFacts { os_version: version.into(), security_products: sensors("mdatp", sensor), ..a_mac() }
}

fn sensors(id: &str, version: &str) -> Vec<SecurityProduct> {
    vec![SecurityProduct { id: id.into(), version: version.into() }]
}

/// Checks rows of (edition, device, code, words of the message).
fn holds(rows: &[(RulesAsOf, DeviceFacts, EnrollmentCode, &str)]) {
    for (rules, facts, expected, words) in rows {
        let found = assess_facts(facts, &[], &under(*rules));
        let row = format!("{rules:?} {:?} {} {}", facts.os_build, facts.os_id, facts.os_version);
        assert_eq!(found.code, *expected, "{row}: {}", found.message);
        assert!(found.message.contains(words), "{row}: {}", found.message);
    }
}

use EnrollmentCode::{
    AgentTooOld, Architecture32Bit, AzureVirtualDesktop, ConstrainedLanguage, DomainControllerExcluded,
    Enrolled, FactsIncomplete, NonPersistentVdi, OsTooOld, PlatformUnsupported, ServerCoreUnsupported,
    UnifiedAgentMissing,
};

#[test]
fn windows_clients_need_their_update() {
    holds(&[
        (SEED, client("10.0.19041.1320"), Enrolled, ""),
        (SEED, client("10.0.19043.1319"), OsTooOld, "Windows 10 19043.1319 is below 19043.1320 (KB5006738)"),
        (SEED, client("10.0.19044.1288"), OsTooOld, "below 19044.1320 (KB5006738)"),
        (SEED, client("10.0.19045.2130"), Enrolled, ""),
        (SEED, client("10.0.18363.2274"), OsTooOld, "Windows 10 18363.2274 is below 19041.1320 (KB5006738)"),
        (SEED, client("10.0.22000.194"), Enrolled, ""),
        (SEED, client("10.0.22621.1"), Enrolled, ""),
        (NOW, client("10.0.19042.2788"), Enrolled, ""),
        (NOW, client("10.0.19044.2787"), OsTooOld, "Windows 10 19044.2787 is below 19044.2788 (KB5023773)"),
        (NOW, client("10.0.19045.2788"), Enrolled, ""),
        (NOW, client("10.0.19045.2787"), OsTooOld, "Windows 10 19045.2787 is below 19045.2788 (KB5023773)"),
        (NOW, client("10.0.19045.6456"), Enrolled, ""),
        // Out of service when the update came: no revision of theirs has it.
        (NOW, client("10.0.19043.2364"), OsTooOld, "Windows 10 19043.2364 is below 19044.2788 (KB5023773)"),
        (NOW, client("10.0.17763.9999"), OsTooOld, "below 19042.2788 (KB5023773)"),
        (NOW, client("10.0.19046.1"), Enrolled, ""),
        (NOW, client("10.0.22000.1760"), OsTooOld, "Windows 11 22000.1760 is below 22000.1761 (KB5023774)"),
        (NOW, client("10.0.22000.1761"), Enrolled, ""),
        (NOW, client("10.0.22621.1484"), OsTooOld, "Windows 11 22621.1484 is below 22621.1485 (KB5023778)"),
        (NOW, client("10.0.22621.1485"), Enrolled, ""),
        (NOW, client("10.0.22631.2428"), Enrolled, ""),
        (NOW, client("10.0.26100.1"), Enrolled, ""),
        (NOW, client("6.3.9600.20000"), OsTooOld, "build 9600.20000 is older than Windows 10 (10240)"),
    ]);
}

#[test]
fn windows_servers_need_their_update() {
    holds(&[
        (SEED, server("6.3.9600.20000"), Enrolled, ""),
        (SEED, server("10.0.14393.1"), Enrolled, ""),
        (SEED, server("10.0.17763.2268"), Enrolled, ""),
        (SEED, server("10.0.17763.2267"), OsTooOld, "below 17763.2268 (KB5006744)"),
        (SEED, server("10.0.20348.320"), Enrolled, ""),
        (SEED, server("10.0.20348.319"), OsTooOld, "below 20348.320 (KB5006745)"),
        (SEED, server("10.0.26100.1"), Enrolled, ""),
        (NOW, server("6.3.9600.20000"), Enrolled, ""),
        (NOW, server("10.0.14393.1"), Enrolled, ""),
        (NOW, server("10.0.17763.4252"), Enrolled, ""),
        (
            NOW,
            server("10.0.17763.4251"),
            OsTooOld,
            "Windows Server 2019 17763.4251 is below 17763.4252 (KB5025229)",
        ),
        (NOW, server("10.0.20348.1668"), Enrolled, ""),
        (NOW, server("10.0.20348.1667"), OsTooOld, "below 20348.1668 (KB5025230)"),
        (NOW, server("10.0.25398.1"), Enrolled, ""),
        (NOW, server("10.0.26100.1"), Enrolled, ""),
        (NOW, server("6.2.9200.1"), OsTooOld, "older than Windows Server 2012 R2 (9600)"),
    ]);
}

#[test]
fn an_installed_update_counts_whatever_the_build_says() {
    let listed = |mut facts: DeviceFacts, update: &str| {
        facts.installed_updates = vec!["KB5000001".into(), update.into()];
        facts
    };
    holds(&[
        (NOW, listed(client("10.0.19045.1"), "KB5023773"), Enrolled, ""),
        (NOW, listed(client("10.0.19045"), "KB5023773"), Enrolled, ""),
        (NOW, listed(client("10.0.19045.1"), "KB5023778"), OsTooOld, "KB5023773"),
        (NOW, listed(server("10.0.17763.1"), "KB5025229"), Enrolled, ""),
        (SEED, listed(server("10.0.20348.1"), "KB5006745"), Enrolled, ""),
    ]);
}

#[test]
fn the_older_servers_need_the_unified_agent() {
    let agent = |build, unified_agent| DeviceFacts { unified_agent, ..server(build) };
    for rules in [SEED, NOW] {
        for build in ["6.3.9600.1", "10.0.14393.1"] {
            holds(&[
                (rules, agent(build, Some(true)), Enrolled, ""),
                (rules, agent(build, Some(false)), UnifiedAgentMissing, "needs the unified agent"),
                (rules, agent(build, None), FactsIncomplete, "unified_agent"),
            ]);
        }
        holds(&[(rules, agent("10.0.20348.9999", None), Enrolled, "")]);
    }
}

#[test]
fn server_core_depends_on_the_release() {
    holds(&[
        (
            SEED,
            core("10.0.20348.9999", Some(true)),
            ServerCoreUnsupported,
            "Server Core of Windows Server 2022",
        ),
        (SEED, core("10.0.17763.9999", Some(true)), ServerCoreUnsupported, ""),
        (NOW, core("6.3.9600.1", Some(true)), ServerCoreUnsupported, "Windows Server 2012 R2"),
        (NOW, core("10.0.14393.1", Some(true)), ServerCoreUnsupported, "Windows Server 2016"),
        (NOW, core("10.0.17763.9999", None), ServerCoreUnsupported, "App Compatibility"),
        (NOW, core("10.0.17763.9999", Some(true)), Enrolled, ""),
        (NOW, core("10.0.20348.9999", None), Enrolled, ""),
        (NOW, core("10.0.26100.1", None), Enrolled, ""),
    ]);
}

#[test]
fn a_windows_device_must_say_what_it_is() {
    let unknown = DeviceFacts {
        server_os: None,
        edition: None,
        os_name: "Windows".into(),
        ..client("10.0.19045.2846")
    };
    let told = |change: fn(&mut DeviceFacts)| {
        let mut facts = unknown.clone();
        change(&mut facts);
        facts
    };
    holds(&[
        (NOW, unknown.clone(), FactsIncomplete, "server_os"),
        (NOW, told(|f| f.server_os = Some(false)), Enrolled, ""),
        (NOW, told(|f| f.edition = Some("Professional".into())), Enrolled, ""),
        (NOW, told(|f| f.os_name = "Windows 10 Pro".into()), Enrolled, ""),
        (NOW, told(|f| f.os_build = None), FactsIncomplete, "server_os"),
        (NOW, client(""), FactsIncomplete, "os_build"),
        (NOW, client("Windows 10"), FactsIncomplete, "os_build"),
        (NOW, client("10.0.19045"), FactsIncomplete, "revision of build 19045"),
        (NOW, client("10.0.26100"), Enrolled, ""),
    ]);
    let class = |facts: &DeviceFacts| Traits::of(facts).class;
    assert_eq!(class(&told(|f| f.edition = Some("ServerStandard".into()))), DeviceClass::WindowsServer);
    assert_eq!(class(&told(|f| f.os_name = "Windows Server 2016".into())), DeviceClass::WindowsServer);
    let controller = |f: &mut DeviceFacts| f.domain_role = Some(DomainRole::DomainController);
    assert_eq!(class(&told(controller)), DeviceClass::DomainController);
}

#[test]
fn domain_controllers_are_supported_by_the_current_rules() {
    let controller =
        DeviceFacts { domain_role: Some(DomainRole::DomainController), ..server("10.0.20348.9999") };
    holds(&[
        (SEED, controller.clone(), DomainControllerExcluded, "2023-09"),
        (NOW, controller, Enrolled, ""),
    ]);
}

#[test]
fn some_devices_are_never_managed() {
    let base = || client("10.0.19045.9999");
    let vdi = DeviceFacts { non_persistent_vdi: Some(true), ..base() };
    let avd = DeviceFacts { azure_virtual_desktop: Some(true), ..base() };
    let multi_session = DeviceFacts { edition: Some("ServerRdsh".into()), ..base() };
    let narrow = DeviceFacts { architecture: "x86".into(), ..base() };
    let constrained = DeviceFacts { language_mode: Some(LanguageMode::Constrained), ..base() };
    holds(&[
        (SEED, vdi.clone(), NonPersistentVdi, ""),
        (NOW, vdi, NonPersistentVdi, ""),
        (SEED, avd.clone(), AzureVirtualDesktop, ""),
        (NOW, avd, AzureVirtualDesktop, ""),
        (NOW, multi_session, AzureVirtualDesktop, ""),
        (SEED, narrow.clone(), Enrolled, ""),
        (NOW, narrow, Architecture32Bit, "32-bit"),
        (SEED, constrained.clone(), ConstrainedLanguage, ""),
        (NOW, constrained, ConstrainedLanguage, "ConstrainedLanguage"),
        // PowerShell is no part of this channel on Linux, and 32-bit processors are no matter there.
        (
            NOW,
            DeviceFacts {
                architecture: "arm".into(),
                language_mode: Some(LanguageMode::Constrained),
                ..a_linux_device()
            },
            Enrolled,
            "",
        ),
    ]);
}

#[test]
fn linux_needs_its_sensor_and_once_a_distribution() {
    const OK: &str = "101.23052.0009";
    let mut rows = vec![
        (
            NOW,
            linux("debian", "12", "101.23052.0008"),
            AgentTooOld,
            "the sensor 101.23052.0008 is below 101.23052.0009",
        ),
        (SEED, linux("debian", "12", "101.23051.9999"), AgentTooOld, "101.23052.0009"),
        (NOW, linux("debian", "12", "101.23062.0001"), Enrolled, ""),
        (NOW, linux("arch", "", OK), Enrolled, ""),
        (NOW, linux("", "", OK), Enrolled, ""),
        (SEED, linux("arch", "", OK), PlatformUnsupported, "the distribution arch"),
        (SEED, linux("", "12", OK), FactsIncomplete, "os_id"),
        (SEED, linux("debian", "", OK), FactsIncomplete, "os_version"),
        (SEED, linux("centos", "7", OK), Enrolled, ""),
        (SEED, linux("Ubuntu", "22.04", OK), Enrolled, ""),
        (SEED, linux("amzn", "2018.03", OK), OsTooOld, "Amazon Linux"),
        (SEED, linux("amzn", "2023", OK), Enrolled, ""),
    ];
    let minimums = [
        ("rhel", "7.2", "7.1"),
        ("centos", "7.2", "6.10"),
        ("ubuntu", "16.04", "14.04"),
        ("debian", "9", "8"),
        ("sles", "12", "11.4"),
        ("ol", "7.2", "7.1"),
        ("amzn", "2", "1"),
        ("fedora", "33", "32"),
    ];
    for (id, minimum, below) in minimums {
        rows.push((SEED, linux(id, minimum, OK), Enrolled, ""));
        rows.push((SEED, linux(id, below, OK), OsTooOld, below));
        rows.push((NOW, linux(id, below, OK), Enrolled, ""));
    }
    holds(&rows);
}

#[test]
fn a_device_without_a_sensor_has_no_sensor_minimum() {
    for security_products in
        [vec![], sensors("clamav", "0.1"), sensors("mdatp", ""), sensors("mdatp", "unknown")]
    {
        for rules in [SEED, NOW] {
            let linux = DeviceFacts { security_products: security_products.clone(), ..a_linux_device() };
            let mac = DeviceFacts { security_products: security_products.clone(), ..a_mac() };
            holds(&[(rules, linux, Enrolled, ""), (rules, mac, Enrolled, "")]);
        }
    }
    let both = [sensors("mdatp", "101.1.1"), sensors("sense", "101.23052.0009")].concat();
    holds(&[(NOW, DeviceFacts { security_products: both, ..a_linux_device() }, Enrolled, "")]);
}

#[test]
fn linux_without_a_board_vendor_enrols() {
    for board_vendor in [None, Some(String::new())] {
        let facts = DeviceFacts { board_vendor, product_name: None, ..a_linux_device() };
        holds(&[(SEED, facts.clone(), Enrolled, ""), (NOW, facts, Enrolled, "")]);
    }
}

#[test]
fn macs_need_their_sensor_and_once_a_release() {
    const OK: &str = "101.23052.0004";
    holds(&[
        (NOW, mac("13.4", OK), Enrolled, ""),
        (NOW, mac("13.4", "101.23052.0003"), AgentTooOld, "101.23052.0004"),
        (NOW, mac("10.15.7", OK), Enrolled, ""),
        (NOW, mac("", OK), Enrolled, ""),
        (SEED, mac("11", OK), Enrolled, ""),
        (SEED, mac("12.6", OK), Enrolled, ""),
        (SEED, mac("13.0", OK), Enrolled, ""),
        (SEED, mac("14.1", OK), Enrolled, ""),
        (SEED, mac("10.15.7", OK), OsTooOld, "macOS 10.15.7 is below macOS 11"),
        (SEED, mac("", OK), FactsIncomplete, "os_version"),
        (SEED, mac("13.0", "101.1.1"), AgentTooOld, ""),
    ]);
}

#[test]
fn bare_facts_are_decided_too() {
    let bare = |platform| DeviceFacts::bare(platform, [0; 32]);
    holds(&[
        (NOW, bare(Platform::Windows), FactsIncomplete, "server_os"),
        (NOW, bare(Platform::Linux), Enrolled, ""),
        (NOW, bare(Platform::Macos), Enrolled, ""),
        (SEED, bare(Platform::Linux), FactsIncomplete, "os_id"),
        (SEED, bare(Platform::Macos), FactsIncomplete, "os_version"),
    ]);
}
