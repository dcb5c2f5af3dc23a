//! What a device says of itself, and the digest by which both sides tell whether it changed.

mod check;
mod digest;
#[cfg(test)]
pub(crate) mod tests;

use muster_types::{Digest, HardwareKey};

pub(crate) use check::knowledge_base_number;
pub use check::{
    DEVICE_TAGS_MAX, INSTALLED_UPDATES_MAX, InvalidFacts, SECURITY_PRODUCTS_MAX, TEXT_BYTES_MAX,
};

/// Operating system family of a device that can be managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Windows client or server.
    Windows,
    /// Linux.
    Linux,
    /// macOS.
    Macos,
}

/// Place of a device in a directory domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DomainRole {
    /// In no domain.
    Workgroup = 1,
    /// Member of a domain.
    DomainJoined = 2,
    /// Domain controller.
    DomainController = 3,
}

/// Tamper protection of the security product, as it reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TamperProtection {
    /// Off, or audit only.
    Off = 1,
    /// On, but not for exclusions.
    On = 2,
    /// On, for exclusions too.
    OnWithExclusions = 3,
    /// The product has none, or is not onboarded.
    NotApplicable = 4,
}

/// Language mode of PowerShell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LanguageMode {
    /// Everything is allowed.
    Full = 1,
    /// This channel does not work.
    Constrained = 2,
}

/// Which MDM manages a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MdmProvider {
    /// None. A stub enrollment of the light channel alone is none.
    None = 1,
    /// Microsoft Intune.
    Intune = 2,
    /// Another.
    Other = 3,
}

/// A device's MDM enrollment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mdm {
    /// Which service manages it; `None` when that could not be told.
    pub provider: Option<MdmProvider>,
    /// The service's name as the device states it; empty when there is none.
    pub name: String,
}

/// The Configuration Manager client of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigMgr {
    /// Whether it is installed and assigned to a site.
    pub present: bool,
    /// Whether it manages endpoint protection on the device.
    pub manages_endpoint_protection: bool,
}

/// A security product found on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecurityProduct {
    /// Short id, for example `mdatp`.
    pub id: String,
    /// Version as the product states it; empty when it could not be read.
    pub version: String,
}

/// What the survey of a device found. An empty text or list and `None` were not collected; `Some("")` is absent on the
/// device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Operating system family.
    pub platform: Platform,
    /// Host name.
    pub hostname: String,
    /// Distribution or edition id.
    pub os_id: String,
    /// Version of the distribution or operating system.
    pub os_version: String,
    /// Its name for people.
    pub os_name: String,
    /// Kernel release.
    pub kernel_release: String,
    /// Processor architecture.
    pub architecture: String,
    /// Version of the agent that did the survey.
    pub agent_version: String,
    /// SHA-256 over the stable hardware identity: one device is recognised again by it.
    pub hardware_digest: Digest,
    /// DMI board vendor.
    pub board_vendor: Option<String>,
    /// DMI product name.
    pub product_name: Option<String>,
    /// Security products found installed, in any order.
    pub security_products: Vec<SecurityProduct>,
    /// Windows edition, for example `ServerDatacenter`.
    pub edition: Option<String>,
    /// Full build, for example `10.0.19045.2846`.
    pub os_build: Option<String>,
    /// Knowledge base ids of installed updates, in any order.
    pub installed_updates: Vec<String>,
    /// Windows Server rather than Windows client.
    pub server_os: Option<bool>,
    /// Place in a directory domain.
    pub domain_role: Option<DomainRole>,
    /// Tamper protection of the security product.
    pub tamper_protection: Option<TamperProtection>,
    /// Windows Server without the desktop.
    pub server_core: Option<bool>,
    /// Server Core with the App Compatibility feature on demand.
    pub app_compatibility: Option<bool>,
    /// Virtual desktop that is thrown away after use.
    pub non_persistent_vdi: Option<bool>,
    /// Session host of Azure Virtual Desktop.
    pub azure_virtual_desktop: Option<bool>,
    /// Language mode of PowerShell.
    pub language_mode: Option<LanguageMode>,
    /// The MDM enrollment; `None` when it was not looked for.
    pub mdm: Option<Mdm>,
    /// The Configuration Manager client; `None` when it was not looked for.
    pub config_mgr: Option<ConfigMgr>,
    /// Whether the sensor was onboarded through a cloud defender.
    pub onboarded_through_cloud_defender: Option<bool>,
    /// Tags set on the device itself, in any order.
    pub device_tags: Vec<String>,
    /// Whether Windows Server 2012 R2 or 2016 runs the unified agent.
    pub unified_agent: Option<bool>,
    /// Digests by which the same hardware is recognised, in any order.
    pub hardware_keys: Vec<HardwareKey>,
}

impl DeviceFacts {
    /// Facts of which nothing but the platform and the hardware is known.
    #[must_use]
    pub const fn bare(platform: Platform, hardware_digest: Digest) -> Self {
        Self {
            platform,
            hostname: String::new(),
            os_id: String::new(),
            os_version: String::new(),
            os_name: String::new(),
            kernel_release: String::new(),
            architecture: String::new(),
            agent_version: String::new(),
            hardware_digest,
            board_vendor: None,
            product_name: None,
            security_products: Vec::new(),
            edition: None,
            os_build: None,
            installed_updates: Vec::new(),
            server_os: None,
            domain_role: None,
            tamper_protection: None,
            server_core: None,
            app_compatibility: None,
            non_persistent_vdi: None,
            azure_virtual_desktop: None,
            language_mode: None,
            mdm: None,
            config_mgr: None,
            onboarded_through_cloud_defender: None,
            device_tags: Vec::new(),
            unified_agent: None,
            hardware_keys: Vec::new(),
        }
    }
}
