//! What a device says of itself, up to the verdict.

use muster_enroll::domain::facts::DeviceFacts;
use muster_enroll::domain::scope::Scope;
use muster_enroll::domain::verdict::{Traits, assess};
use muster_proto::enroll::v1 as pb;
use prost::Message as _;

/// Longest message of a verdict about facts that passed their check, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(message) = pb::DeviceFacts::decode(bytes) else { return false };
    let Ok(facts) = DeviceFacts::try_from(message) else { return false };
    let sound = facts.check().is_ok();
    let verdict = assess(&Traits::of(&facts), &[], &Scope::default());
    assert!(!verdict.message.is_empty(), "a verdict without a reason: {verdict:?}");
    assert!(!sound || verdict.message.len() <= MESSAGE_BYTES_MAX, "a verdict without end: {verdict:?}");
    let digest = facts.digest();
    let again = DeviceFacts::try_from(pb::DeviceFacts::from(facts)).map(|facts| facts.digest());
    assert_eq!(again.ok(), Some(digest), "facts that change on their way");
    sound
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let linux = pb::DeviceFacts {
        platform: pb::Platform::Linux.into(),
        hostname: "web-17.example".to_owned(),
        os_id: "debian".to_owned(),
        os_version: "12.5".to_owned(),
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel_release: "6.1.0-18-amd64".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "101.24012.0001".to_owned(),
        hardware_digest: vec![7; 32],
        board_vendor: Some("Dell Inc.".to_owned()),
        product_name: Some("PowerEdge R650".to_owned()),
        device_tags: vec!["pilot".to_owned(), "MDE-Management".to_owned()],
        ..pb::DeviceFacts::default()
    };
    let windows = pb::DeviceFacts {
        platform: pb::Platform::Windows.into(),
        hostname: "PC-0042".to_owned(),
        os_version: "10.0.22631".to_owned(),
        os_build: Some("22631.3296".to_owned()),
        edition: Some("Enterprise".to_owned()),
        installed_updates: vec!["KB5023773".to_owned()],
        server_os: Some(false),
        domain_role: pb::DomainRole::DomainJoined.into(),
        powershell_language_mode: pb::PowershellLanguageMode::Full.into(),
        mdm: Some(pb::MdmFacts { provider: pb::MdmProvider::Intune.into(), name: "Intune".to_owned() }),
        config_mgr: Some(pb::ConfigMgrFacts { present: true, manages_endpoint_protection: true }),
        unified_agent: Some(true),
        ..linux.clone()
    };
    let server = pb::DeviceFacts {
        server_os: Some(true),
        server_core: Some(true),
        app_compatibility: Some(false),
        domain_role: pb::DomainRole::DomainController.into(),
        mdm: None,
        config_mgr: None,
        ..windows.clone()
    };
    let empty = pb::DeviceFacts::default();
    [linux, windows, server, empty].map(|facts| facts.encode_to_vec()).to_vec()
}
