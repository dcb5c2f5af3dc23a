//! The platform rules: which devices this channel can manage, as of 2023-09 and now.
//!
//! The data are `catalog/platforms.yaml`, embedded and read once ([`Platforms::builtin`]). The enroll service applies
//! them; [`page`] shows them to readers.

mod docs;
mod file;
mod load;
#[cfg(test)]
mod tests;
mod version;

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::Confidence;

pub use docs::page;
pub use version::VersionNumbers;

/// The file's stem.
pub(crate) const STEM: &str = "platforms";
const TEXT: &str = include_str!("../../../catalog/platforms.yaml");

/// Which edition of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Edition {
    /// Those of 2023-09.
    #[serde(rename = "2023-09")]
    September2023,
    /// The current ones.
    #[serde(rename = "current")]
    Current,
}

impl Edition {
    /// Both, older first.
    pub const ALL: [Self; 2] = [Self::September2023, Self::Current];

    /// The one that this is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::September2023 => Self::Current,
            Self::Current => Self::September2023,
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::September2023 => "2023-09",
            Self::Current => "current",
        })
    }
}

/// Client or server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowsClass {
    /// Windows client.
    Client,
    /// Windows Server, domain controllers too.
    Server,
}

/// Whether Server Core of a release can be managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerCore {
    /// Yes.
    Supported,
    /// With the App Compatibility feature on demand.
    AppCompatibility,
    /// No.
    Unsupported,
}

/// What is never managed, whatever its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Excluded {
    /// Virtual desktops that are thrown away after use.
    NonPersistentVdi,
    /// Session hosts of Azure Virtual Desktop.
    AzureVirtualDesktop,
    /// 32-bit Windows.
    #[serde(rename = "architecture_32_bit")]
    Architecture32Bit,
    /// PowerShell in ConstrainedLanguage mode.
    ConstrainedLanguage,
    /// Domain controllers.
    DomainController,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The editions that it holds for.
    pub as_of: Vec<Edition>,
    /// Title of the source.
    pub source: String,
    /// Date of the source, `2023-09-25`.
    pub source_date: String,
    /// How it is known.
    pub confidence: Confidence,
    /// Remarks for people.
    pub notes: Option<String>,
}

/// The update that a branch of Windows needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minimum {
    /// The build branch, for example 19045.
    pub branch: u32,
    /// The build revision that the update brought, for example 2788.
    pub revision: u32,
    /// The number of the update, for example 5023773 of KB5023773.
    pub update: u32,
    /// How the three are known to belong together.
    pub confidence: Confidence,
}

/// A release of Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsRule {
    /// Unique id of the row.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Client or server.
    pub class: WindowsClass,
    /// The first build branch of the release.
    pub from_branch: u32,
    /// The first build branch that is of a later release; `None` when there is none.
    pub below_branch: Option<u32>,
    /// The update that each branch needs, by branch; empty when no update is asked for.
    pub minimums: Vec<Minimum>,
    /// Whether the unified agent is needed.
    pub unified_agent: bool,
    /// Whether Server Core can be managed.
    pub server_core: ServerCore,
    /// Where the rule stands.
    pub basis: Basis,
}

/// A Linux distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Name for people.
    pub name: String,
    /// Its ids in os-release.
    pub ids: Vec<String>,
    /// The oldest version that can be managed.
    pub minimum: VersionNumbers,
    /// Versions from the first to below the second that cannot, though their numbers are higher.
    pub except: Option<(VersionNumbers, VersionNumbers)>,
}

/// What Linux needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinuxRule {
    /// Unique id of the row.
    pub id: String,
    /// The oldest sensor, where the device has one.
    pub minimum_sensor: VersionNumbers,
    /// The distributions that can be managed; `None` means any.
    pub distributions: Option<Vec<Distribution>>,
    /// Where the rule stands.
    pub basis: Basis,
}

/// What macOS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacosRule {
    /// Unique id of the row.
    pub id: String,
    /// The oldest sensor, where the device has one.
    pub minimum_sensor: VersionNumbers,
    /// The oldest release; `None` means any.
    pub minimum_release: Option<VersionNumbers>,
    /// Where the rule stands.
    pub basis: Basis,
}

/// Something that is never managed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// What.
    pub what: Excluded,
    /// Where the rule stands.
    pub basis: Basis,
}

/// The platform rules, checked: for each edition there is one rule for Linux and one for macOS, and no branch of Windows
/// falls under two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platforms {
    windows: Vec<WindowsRule>,
    linux: Vec<LinuxRule>,
    macos: Vec<MacosRule>,
    excluded: Vec<Exclusion>,
}

#[expect(clippy::expect_used, reason = "a test loads the very bytes that are embedded")]
static BUILTIN: LazyLock<Platforms> = LazyLock::new(|| {
    Platforms::load(TEXT).expect("the embedded platform rules are sound: a test loads them")
});

impl Platforms {
    /// The rules of this version, read at their first use.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The rule for a build branch of Windows; `None` when it is older than every release that an edition names.
    #[must_use]
    pub fn windows(&self, edition: Edition, class: WindowsClass, branch: u32) -> Option<&WindowsRule> {
        self.releases(edition, class)
            .find(|rule| rule.from_branch <= branch && rule.below_branch.is_none_or(|below| branch < below))
    }

    /// The releases of Windows that an edition names, oldest first.
    pub fn releases(&self, edition: Edition, class: WindowsClass) -> impl Iterator<Item = &WindowsRule> {
        self.windows.iter().filter(move |rule| rule.class == class && rule.basis.as_of.contains(&edition))
    }

    /// The rule for Linux.
    #[must_use]
    pub fn linux(&self, edition: Edition) -> Option<&LinuxRule> {
        self.linux.iter().find(|rule| rule.basis.as_of.contains(&edition))
    }

    /// The rule for macOS.
    #[must_use]
    pub fn macos(&self, edition: Edition) -> Option<&MacosRule> {
        self.macos.iter().find(|rule| rule.basis.as_of.contains(&edition))
    }

    /// Whether an edition never manages something.
    #[must_use]
    pub fn excludes(&self, edition: Edition, what: Excluded) -> bool {
        self.excluded
            .iter()
            .any(|exclusion| exclusion.what == what && exclusion.basis.as_of.contains(&edition))
    }

    /// Whether any rule names an update, by its number.
    #[must_use]
    pub fn names_update(&self, update: u32) -> bool {
        self.windows.iter().flat_map(|rule| &rule.minimums).any(|minimum| minimum.update == update)
    }
}
