//! The enforcement scope: which devices this channel may manage, and on what terms.

use super::tags::check_tag;

/// The tag of tagged devices where an admin names no other.
pub const TAG_DEFAULT: &str = "MDE-Management";

/// Which devices of a kind are in scope. A later mode takes every device that an earlier one takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeMode {
    /// None.
    Off,
    /// Those with the tag.
    Tagged,
    /// All.
    All,
}

/// Which product a tenant is entitled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntitlementKind {
    /// Endpoint licences.
    Endpoint,
    /// Server licences only: does not qualify.
    ServersOnly,
    /// None.
    None,
}

/// What a tenant may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entitlement {
    /// Which product.
    pub kind: EntitlementKind,
    /// How many devices may be managed at a time, synthetic registrations included; `None` is without limit.
    pub seats: Option<u32>,
}

/// Which edition of the platform rules counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RulesAsOf {
    /// Those of 2023-09.
    September2023,
    /// The current ones.
    Current,
}

/// Which devices this channel may manage, and on what terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Windows clients.
    pub windows_client: ScopeMode,
    /// Windows Server.
    pub windows_server: ScopeMode,
    /// Domain controllers; never wider than Windows Server, see [`Scope::domain_controllers`].
    pub domain_controllers: ScopeMode,
    /// Linux.
    pub linux: ScopeMode,
    /// macOS.
    pub macos: ScopeMode,
    /// The tag of tagged devices.
    pub tag: Box<str>,
    /// Whether tags that a device set itself count.
    pub trust_device_tags: bool,
    /// Whether this channel may manage at all.
    pub allow_channel: bool,
    /// Whether Configuration Manager keeps authority over the devices that it manages.
    pub config_mgr_authority: bool,
    /// Whether devices onboarded through a cloud defender may be managed.
    pub include_cloud_defender: bool,
    /// What the tenant is entitled to.
    pub entitlement: Entitlement,
    /// Which platform rules count.
    pub rules_as_of: RulesAsOf,
    /// Whether devices show the labels of the behaviour up to 2023-09-25.
    pub legacy_labels: bool,
}

/// What holds for a tenant that never said anything.
impl Default for Scope {
    fn default() -> Self {
        Self {
            windows_client: ScopeMode::All,
            windows_server: ScopeMode::All,
            domain_controllers: ScopeMode::Off,
            linux: ScopeMode::All,
            macos: ScopeMode::All,
            tag: TAG_DEFAULT.into(),
            trust_device_tags: false,
            allow_channel: true,
            config_mgr_authority: true,
            include_cloud_defender: true,
            entitlement: Entitlement { kind: EntitlementKind::Endpoint, seats: None },
            rules_as_of: RulesAsOf::Current,
            legacy_labels: false,
        }
    }
}

/// A scope that contradicts itself or is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidScope {
    /// Which field, as the contract names it.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Scope {
    /// Checks the tag, and that domain controllers are not on without Windows Server.
    ///
    /// # Errors
    /// [`InvalidScope`] naming the first field that is wrong.
    pub fn check(&self) -> Result<(), InvalidScope> {
        check_tag(&self.tag)
            .map_err(|invalid| InvalidScope { field: "tag", problem: invalid.to_string() })?;
        if self.domain_controllers > ScopeMode::Off && self.windows_server == ScopeMode::Off {
            let problem = "domain controllers need Windows Server on; turn both on or both off".into();
            return Err(InvalidScope { field: "domain_controllers", problem });
        }
        Ok(())
    }

    /// Which domain controllers are in scope: as their own switch says, and no more than Windows Server takes.
    #[must_use]
    pub fn domain_controllers(&self) -> ScopeMode {
        self.domain_controllers.min(self.windows_server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_takes_all_but_domain_controllers() {
        let scope = Scope::default();
        assert_eq!(scope.check(), Ok(()));
        let modes = [scope.windows_client, scope.windows_server, scope.linux, scope.macos];
        assert_eq!(modes, [ScopeMode::All; 4]);
        assert_eq!(scope.domain_controllers(), ScopeMode::Off);
    }

    #[test]
    fn domain_controllers_are_never_wider_than_servers() {
        let scope =
            |windows_server| Scope { windows_server, domain_controllers: ScopeMode::All, ..Scope::default() };
        assert_eq!(scope(ScopeMode::All).domain_controllers(), ScopeMode::All);
        assert_eq!(scope(ScopeMode::Tagged).domain_controllers(), ScopeMode::Tagged);
        let off = scope(ScopeMode::Off);
        assert_eq!(off.domain_controllers(), ScopeMode::Off);
        assert_eq!(off.check().map_err(|invalid| invalid.field), Err("domain_controllers"));
    }

    #[test]
    fn a_tag_that_nobody_could_set_is_refused() {
        for tag in ["", "a\tb", &"x".repeat(201)] {
            let scope = Scope { tag: tag.into(), ..Scope::default() };
            assert_eq!(scope.check().map_err(|invalid| invalid.field), Err("tag"));
        }
    }
}
