//! The survey: what this machine is, read from its files below a root (`/`, or a folder in tests).
//!
//! Nothing is executed and nothing leaves the machine but what the contract names: the machine id, the product UUID and
//! the serial number only as digests. Whatever the files hold, the facts keep the contract's bounds: no text longer than
//! [`machine::TEXT_BYTES_MAX`] bytes, no control characters, lists no longer than they may be.

mod hardware;
mod homes;
mod machine;
mod management;
mod products;
mod rpm;
#[cfg(test)]
mod tests;

use std::path::Path;

use muster_proto::enroll::v1 as pb;

use self::machine::Machine;

/// Version of this agent, as the platform rules read it: the crate's, three numbers with dots.
pub const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was found, and what was missed.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The facts as they are sent.
    pub facts: pb::DeviceFacts,
    /// What could not be found and matters, for people.
    pub gaps: Vec<String>,
}

/// Surveys the machine whose file system begins at `root`.
#[must_use]
pub fn survey(root: &Path) -> Survey {
    let machine = Machine::at(root);
    let os = machine.os_release();
    let os_value = |key: &str| {
        let value = os.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        value.filter(|value| !value.is_empty())
    };
    let mut gaps = Vec::new();
    let hostname = machine
        .text("proc/sys/kernel/hostname")
        .or_else(|| machine.text("etc/hostname"))
        .unwrap_or_else(|| "localhost".to_owned());
    let hardware_digest = hardware::digest(&machine, &hostname, &mut gaps).to_vec();
    if os.is_empty() {
        gaps.push("no os-release: the distribution is not known".to_owned());
    }
    let facts = pb::DeviceFacts {
        platform: pb::Platform::Linux.into(),
        hostname,
        os_id: os_value("ID").unwrap_or_else(|| "linux".to_owned()),
        os_version: os_value("VERSION_ID").unwrap_or_default(),
        os_name: os_value("PRETTY_NAME").or_else(|| os_value("NAME")).unwrap_or_default(),
        kernel_release: machine.text("proc/sys/kernel/osrelease").unwrap_or_default(),
        architecture: std::env::consts::ARCH.to_owned(),
        agent_version: AGENT_VERSION.to_owned(),
        hardware_digest,
        // Present and empty: looked for, and absent.
        board_vendor: Some(machine.dmi("board_vendor").unwrap_or_default()),
        product_name: Some(machine.dmi("product_name").unwrap_or_default()),
        security_products: products::installed(&machine, &mut gaps),
        domain_role: management::domain_role(&machine, &mut gaps).into(),
        mdm: Some(management::mdm(&machine, &mut gaps)),
        // There is no client for Linux any more.
        config_mgr: Some(pb::ConfigMgrFacts { present: false, manages_endpoint_protection: false }),
        onboarded_through_cloud_defender: Some(management::through_cloud_defender(&machine)),
        device_tags: management::device_tags(&machine),
        hardware_keys: hardware::keys(&machine),
        // What only Windows and macOS have.
        edition: None,
        os_build: None,
        installed_updates: Vec::new(),
        server_os: None,
        server_core: None,
        app_compatibility: None,
        non_persistent_vdi: None,
        azure_virtual_desktop: None,
        powershell_language_mode: pb::PowershellLanguageMode::Unspecified.into(),
        unified_agent: None,
        tamper_protection: pb::TamperProtection::NotApplicable.into(),
    };
    Survey { facts, gaps }
}

/// Random id of the machine's boot; `None` where the kernel shows none.
#[must_use]
pub fn boot_id(root: &Path) -> Option<[u8; 16]> {
    let text = Machine::at(root).text("proc/sys/kernel/random/boot_id")?;
    uuid::Uuid::parse_str(&text).ok().map(uuid::Uuid::into_bytes)
}
