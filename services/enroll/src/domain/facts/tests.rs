//! Devices to test with, and the facts about facts.

use muster_types::HardwareKeyKind;

use super::*;

pub(crate) fn a_linux_device() -> DeviceFacts {
    DeviceFacts {
        hostname: "web-01".into(),
        os_id: "debian".into(),
        os_version: "12".into(),
        os_name: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel_release: "6.1.0-18-amd64".into(),
        architecture: "x86_64".into(),
        agent_version: "0.1.0".into(),
        product_name: Some("KVM".into()),
        security_products: vec![
            SecurityProduct { id: "mdatp".into(), version: "101.24092.0002".into() },
            SecurityProduct { id: "clamav".into(), version: String::new() },
        ],
        ..DeviceFacts::bare(Platform::Linux, [7; 32])
    }
}

/// The device as the first release knew it: samples of the log hold it.
pub(crate) fn the_first_linux_device() -> DeviceFacts {
    let mut facts = a_linux_device();
    facts.security_products[0].version = "101.24".into();
    facts
}

pub(crate) fn a_windows_client() -> DeviceFacts {
    DeviceFacts {
        hostname: "desk-01".into(),
        os_id: "windows".into(),
        os_version: "10".into(),
        os_name: "Windows 10 Enterprise".into(),
        architecture: "x86_64".into(),
        agent_version: "0.1.0".into(),
        edition: Some("Enterprise".into()),
        os_build: Some("10.0.19045.2846".into()),
        server_os: Some(false),
        domain_role: Some(DomainRole::Workgroup),
        language_mode: Some(LanguageMode::Full),
        mdm: Some(Mdm { provider: Some(MdmProvider::None), name: String::new() }),
        config_mgr: Some(ConfigMgr { present: false, manages_endpoint_protection: false }),
        ..DeviceFacts::bare(Platform::Windows, [8; 32])
    }
}

pub(crate) fn a_windows_server() -> DeviceFacts {
    DeviceFacts {
        hostname: "srv-01".into(),
        os_name: "Windows Server 2022 Datacenter".into(),
        edition: Some("ServerDatacenter".into()),
        os_build: Some("10.0.20348.1668".into()),
        server_os: Some(true),
        domain_role: Some(DomainRole::DomainJoined),
        server_core: Some(false),
        ..a_windows_client()
    }
}

pub(crate) fn a_mac() -> DeviceFacts {
    DeviceFacts {
        hostname: "mac-01".into(),
        os_id: "macos".into(),
        os_version: "13.6".into(),
        os_name: "macOS 13.6".into(),
        architecture: "aarch64".into(),
        agent_version: "0.1.0".into(),
        os_build: Some("22G120".into()),
        security_products: vec![SecurityProduct { id: "mdatp".into(), version: "101.23052.0004".into() }],
        ..DeviceFacts::bare(Platform::Macos, [9; 32])
    }
}

/// Every field set, to something no other field has.
pub(crate) fn everything() -> DeviceFacts {
    DeviceFacts {
        board_vendor: Some(String::new()),
        product_name: Some("Virtual Machine".into()),
        security_products: vec![SecurityProduct { id: "sense".into(), version: "10.8295".into() }],
        installed_updates: vec!["KB5023773".into(), "KB5025221".into()],
        app_compatibility: Some(true),
        non_persistent_vdi: Some(false),
        azure_virtual_desktop: Some(false),
        mdm: Some(Mdm { provider: Some(MdmProvider::Intune), name: "MS DM Server".into() }),
        config_mgr: Some(ConfigMgr { present: true, manages_endpoint_protection: false }),
        onboarded_through_cloud_defender: Some(true),
        device_tags: vec!["branch-7".into(), "MDE-Management".into()],
        unified_agent: Some(true),
        hardware_keys: vec![
            HardwareKey { kind: HardwareKeyKind::Serial, digest: [1; 32] },
            HardwareKey { kind: HardwareKeyKind::TpmEk, digest: [2; 32] },
        ],
        ..a_windows_server()
    }
}

/// Changes one thing.
type Change = fn(&mut DeviceFacts);

fn hex(digest: Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn problem_of(facts: &DeviceFacts) -> Option<String> {
    facts.check().err().map(|invalid| invalid.field)
}

#[test]
fn the_digest_does_not_depend_on_the_order_of_lists() {
    let mut turned = everything();
    turned.security_products.reverse();
    turned.installed_updates.reverse();
    turned.device_tags.reverse();
    turned.hardware_keys.reverse();
    assert_eq!(turned.digest(), everything().digest());
}

#[test]
fn not_collected_and_absent_have_different_digests() {
    let absent = DeviceFacts { board_vendor: Some(String::new()), ..a_linux_device() };
    assert_ne!(absent.digest(), a_linux_device().digest());
    let no_server = DeviceFacts { server_os: Some(false), ..a_linux_device() };
    assert_ne!(no_server.digest(), a_linux_device().digest());
}

#[test]
fn the_digest_stays_what_it_was() {
    let first = "2d2f6d867b7c774c88869674a1a7ddedcd6f0473944e3656c242546f854312cc";
    assert_eq!(hex(the_first_linux_device().digest()), first);
    let all = "596cae0d2b592b735825877545ed7e3e068c2c77947f8451a012b72f5b8834ff";
    assert_eq!(hex(everything().digest()), all);
}

#[test]
fn every_newer_field_counts_in_the_digest() {
    let changes: [Change; 17] = [
        |f| f.edition = None,
        |f| f.os_build = Some("10.0.20348.1669".into()),
        |f| f.installed_updates.clear(),
        |f| f.server_os = None,
        |f| f.domain_role = Some(DomainRole::DomainController),
        |f| f.server_core = Some(true),
        |f| f.app_compatibility = Some(false),
        |f| f.non_persistent_vdi = Some(true),
        |f| f.azure_virtual_desktop = Some(true),
        |f| f.language_mode = Some(LanguageMode::Constrained),
        |f| f.mdm = None,
        |f| f.config_mgr = Some(ConfigMgr { present: true, manages_endpoint_protection: true }),
        |f| f.onboarded_through_cloud_defender = None,
        |f| f.device_tags.truncate(1),
        |f| f.unified_agent = None,
        |f| f.hardware_keys.truncate(1),
        |f| f.tamper_protection = Some(TamperProtection::On),
    ];
    let mut digests = std::collections::BTreeSet::from([everything().digest()]);
    for change in changes {
        let mut facts = everything();
        change(&mut facts);
        digests.insert(facts.digest());
    }
    assert_eq!(digests.len(), changes.len() + 1);
}

#[test]
fn facts_within_bounds_pass() {
    for facts in [a_linux_device(), a_windows_client(), a_windows_server(), a_mac(), everything()] {
        assert_eq!(facts.check(), Ok(()));
    }
}

#[test]
fn facts_out_of_bounds_are_refused_with_the_field() {
    let changes: [(&str, Change); 14] = [
        ("hostname", |f| f.hostname = "a".repeat(1 << 20)),
        ("hostname", |f| f.hostname = "a".repeat(256)),
        ("product_name", |f| f.product_name = Some("\u{7}".into())),
        ("edition", |f| f.edition = Some("\u{1b}[31m".into())),
        ("os_build", |f| f.os_build = Some("1".repeat(256))),
        ("mdm.name", |f| f.mdm = Some(Mdm { provider: None, name: "\n".into() })),
        ("security_products", |f| f.security_products = vec![f.security_products[0].clone(); 65]),
        ("security_products[0].id", |f| f.security_products[0].id.clear()),
        ("installed_updates", |f| f.installed_updates = vec!["KB5023773".into(); 513]),
        ("installed_updates[0]", |f| f.installed_updates[0] = "kb5023773".into()),
        ("device_tags", |f| f.device_tags = vec!["t".into(); 33]),
        ("device_tags[1]", |f| f.device_tags[1].clear()),
        ("device_tags[0]", |f| f.device_tags[0] = "ä".repeat(201)),
        ("hardware_keys", |f| f.hardware_keys = vec![f.hardware_keys[0]; 9]),
    ];
    for (field, change) in changes {
        let mut facts = everything();
        change(&mut facts);
        assert_eq!(problem_of(&facts).as_deref(), Some(field));
    }
}

#[test]
fn a_knowledge_base_id_is_kb_and_six_to_eight_digits() {
    use super::check::knowledge_base_number;
    assert_eq!(knowledge_base_number("KB5023773"), Some(5_023_773));
    assert_eq!(knowledge_base_number("KB123456"), Some(123_456));
    for wrong in ["KB12345", "KB123456789", "5023773", "KB50237a3", "KB+5023773", "KB", ""] {
        assert_eq!(knowledge_base_number(wrong), None, "{wrong}");
    }
}
