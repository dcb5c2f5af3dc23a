//! What of a device's facts matters for the decision about it.

use std::fmt;

use muster_catalog::platforms::VersionNumbers;

use crate::domain::facts::{ConfigMgr, DeviceFacts, DomainRole, LanguageMode, MdmProvider, Platform};
use crate::domain::tags;

/// What of a device's facts matters for the decision about it, and nothing else: few and small, so that a fleet of a
/// million devices has some thousand different ones. A scope change is decided once for each of them.
///
/// What was not collected counts as absent, but for what a minimum is measured by: the class and the build of Windows,
/// the release of a distribution where rules name releases, the unified agent where they ask for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Traits {
    /// What kind of device it is.
    pub class: DeviceClass,
    /// The build of Windows; `None` when it is not known, and on other platforms.
    pub build: Option<Build>,
    /// The numbers of those installed updates that platform rules name, sorted.
    pub updates: Box<[u32]>,
    /// Id of the distribution on Linux, in lower case; empty when it is not known, and on other platforms.
    pub distribution: Box<str>,
    /// Version of the distribution or of macOS; `None` when it is not known, and on Windows.
    pub release: Option<VersionNumbers>,
    /// The security product's sensor; its version counts on Linux and macOS only.
    pub sensor: Sensor,
    /// 32-bit Windows.
    pub thirty_two_bit: bool,
    /// Windows Server without the desktop.
    pub server_core: bool,
    /// Server Core with the App Compatibility feature on demand.
    pub app_compatibility: bool,
    /// Whether Windows Server 2012 R2 or 2016 runs the unified agent.
    pub unified_agent: Option<bool>,
    /// Virtual desktop that is thrown away after use.
    pub non_persistent_vdi: bool,
    /// Session host of Azure Virtual Desktop.
    pub azure_virtual_desktop: bool,
    /// PowerShell in ConstrainedLanguage mode.
    pub constrained_language: bool,
    /// Onboarded through a cloud defender.
    pub cloud_defender: bool,
    /// The MDM in charge.
    pub mdm: Option<Mdm>,
    /// Whether Configuration Manager manages endpoint protection.
    pub config_mgr_manages: bool,
    /// Tags that the device set on itself, sorted.
    pub device_tags: Box<[Box<str>]>,
}

/// What kind of device it is, as the enforcement scope tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    /// Windows, and whether it is a client or a server is not known.
    UnknownWindows,
    /// Windows client.
    WindowsClient,
    /// Windows Server that is no domain controller.
    WindowsServer,
    /// Windows Server that is a domain controller.
    DomainController,
    /// Linux.
    Linux,
    /// macOS.
    Macos,
}

impl DeviceClass {
    /// The class of a device. Windows says whether it is a server; where that was not collected, the role of a domain
    /// controller, the edition or the name for people tell it.
    #[must_use]
    pub fn of(facts: &DeviceFacts) -> Self {
        match facts.platform {
            Platform::Linux => Self::Linux,
            Platform::Macos => Self::Macos,
            Platform::Windows => Self::of_windows(facts),
        }
    }

    fn of_windows(facts: &DeviceFacts) -> Self {
        let controller = facts.domain_role == Some(DomainRole::DomainController);
        match facts.server_os.or_else(|| controller.then_some(true)).or_else(|| server_by_name(facts)) {
            None => Self::UnknownWindows,
            Some(false) => Self::WindowsClient,
            Some(true) if controller => Self::DomainController,
            Some(true) => Self::WindowsServer,
        }
    }
}

fn server_by_name(facts: &DeviceFacts) -> Option<bool> {
    if let Some(edition) = facts.edition.as_deref().filter(|edition| !edition.is_empty()) {
        return Some(edition.starts_with("Server"));
    }
    let name = facts.os_name.as_str();
    if name.contains("Windows Server") {
        Some(true)
    } else if name.contains("Windows 1") {
        Some(false)
    } else {
        None
    }
}

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownWindows => "Windows devices of unknown kind",
            Self::WindowsClient => "Windows clients",
            Self::WindowsServer => "Windows Server",
            Self::DomainController => "domain controllers",
            Self::Linux => "Linux",
            Self::Macos => "macOS",
        })
    }
}

/// A build of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Build {
    /// The branch, for example 19045.
    pub branch: u32,
    /// The revision, which rises with every cumulative update, for example 2846; `None` when it is not known.
    pub revision: Option<u32>,
}

impl Build {
    /// Reads `10.0.19045.2846`, `10.0.19045` or `19045.2846`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.trim().split('.').map(number).collect::<Option<Vec<u32>>>()?;
        match parts[..] {
            [_, _, branch, revision] => Some(Self { branch, revision: Some(revision) }),
            [major, _, branch] if major < 100 => Some(Self { branch, revision: None }),
            [branch, revision] if branch >= 1000 => Some(Self { branch, revision: Some(revision) }),
            _ => None,
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{}.{revision}", self.branch),
            None => write!(f, "{}", self.branch),
        }
    }
}

/// The security product's sensor on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensor {
    /// None: the device is managed by this product's own engines, and no minimum is asked of it.
    None,
    /// There is one, and its version could not be read.
    Unreadable,
    /// There is one; the version is kept where rules ask for it.
    Version(VersionNumbers),
}

/// The ids under which the sensor is found among security products.
const SENSORS: [&str; 2] = ["mdatp", "sense"];

impl Sensor {
    /// The sensor of a device; the latest where there are several.
    #[must_use]
    pub fn of(facts: &DeviceFacts) -> Self {
        let products = facts.security_products.iter();
        let versions = products
            .filter(|product| SENSORS.contains(&product.id.as_str()))
            .map(|product| VersionNumbers::parse(&product.version).map_or(Self::Unreadable, Self::Version));
        versions.max().unwrap_or(Self::None)
    }
}

/// An MDM in charge of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mdm {
    /// Microsoft Intune.
    Intune,
    /// Another.
    Other,
}

impl fmt::Display for Mdm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intune => "Microsoft Intune",
            Self::Other => "a mobile device management service",
        })
    }
}

impl Traits {
    /// The traits of a device. Never fails, whatever the facts hold.
    #[must_use]
    pub fn of(facts: &DeviceFacts) -> Self {
        let windows = facts.platform == Platform::Windows;
        let yes = |fact: Option<bool>| fact == Some(true);
        let release = if windows { None } else { VersionNumbers::parse(&facts.os_version) };
        let distribution = facts.os_id.trim().to_ascii_lowercase();
        Self {
            class: DeviceClass::of(facts),
            build: facts.os_build.as_deref().filter(|_| windows).and_then(Build::parse),
            updates: if windows {
                super::platform::named_updates(&facts.installed_updates)
            } else {
                [].into()
            },
            distribution: if facts.platform == Platform::Linux { distribution.into() } else { "".into() },
            release,
            sensor: if windows { Sensor::None } else { Sensor::of(facts) },
            thirty_two_bit: windows && is_32_bit(&facts.architecture),
            server_core: yes(facts.server_core),
            app_compatibility: yes(facts.app_compatibility),
            unified_agent: facts.unified_agent,
            non_persistent_vdi: yes(facts.non_persistent_vdi),
            azure_virtual_desktop: facts.azure_virtual_desktop.unwrap_or_else(|| multi_session(facts)),
            constrained_language: facts.language_mode == Some(LanguageMode::Constrained),
            cloud_defender: yes(facts.onboarded_through_cloud_defender),
            mdm: facts.mdm.as_ref().and_then(|mdm| match mdm.provider? {
                MdmProvider::None => None,
                MdmProvider::Intune => Some(Mdm::Intune),
                MdmProvider::Other => Some(Mdm::Other),
            }),
            config_mgr_manages: matches!(
                facts.config_mgr,
                Some(ConfigMgr { present: true, manages_endpoint_protection: true })
            ),
            device_tags: tags::sorted(facts.device_tags.iter().map(String::as_str)).into(),
        }
    }
}

/// Windows Enterprise multi-session, which runs nowhere else.
fn multi_session(facts: &DeviceFacts) -> bool {
    facts.edition.as_deref() == Some("ServerRdsh")
}

fn is_32_bit(architecture: &str) -> bool {
    ["x86", "i386", "i486", "i586", "i686", "arm", "armv7"]
        .contains(&architecture.to_ascii_lowercase().as_str())
}

/// Digits and nothing else: no sign, no blank.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
