//! `kind: EnforcementScope`.

use muster_proto::enroll::v1::{EnforcementScope, Entitlement, EntitlementKind, RulesAsOf, ScopeMode};

use super::fields::{Fields, Reader};
use super::node::Node;

/// Longest tag, in characters.
pub const TAG_CHARS_MAX: usize = 200;

/// Which devices this channel may manage. What is left out stays as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeSpec {
    /// Windows clients.
    pub windows_client: Option<ScopeMode>,
    /// Windows Server.
    pub windows_server: Option<ScopeMode>,
    /// Domain controllers.
    pub domain_controllers: Option<ScopeMode>,
    /// Linux.
    pub linux: Option<ScopeMode>,
    /// macOS.
    pub macos: Option<ScopeMode>,
    /// The tag of tagged devices.
    pub tag: Option<String>,
    /// Whether tags count that a device set itself.
    pub trust_device_tags: Option<bool>,
    /// Whether this channel may manage at all.
    pub allow_channel: Option<bool>,
    /// Whether Configuration Manager keeps authority.
    pub config_mgr_authority: Option<bool>,
    /// Whether devices of a cloud defender may be managed.
    pub include_cloud_defender: Option<bool>,
    /// Which product the tenant is entitled to.
    pub entitlement: Option<EntitlementKind>,
    /// How many devices may be managed; 0 means no limit.
    pub seats: Option<u32>,
    /// Which edition of the platform rules counts.
    pub rules_as_of: Option<RulesAsOf>,
    /// Whether devices show the labels of the behaviour up to 2023-09-25.
    pub legacy_labels: Option<bool>,
}

pub(super) const MODE: &[(&str, ScopeMode)] =
    &[("off", ScopeMode::Off), ("tagged", ScopeMode::Tagged), ("all", ScopeMode::All)];
pub(super) const PRODUCT: &[(&str, EntitlementKind)] = &[
    ("endpoint", EntitlementKind::Endpoint),
    ("servers_only", EntitlementKind::ServersOnly),
    ("none", EntitlementKind::None),
];
pub(super) const EDITION: &[(&str, RulesAsOf)] =
    &[("2023-09", RulesAsOf::RulesAsOf202309), ("current", RulesAsOf::Current)];

const FIELDS: &[&str] = &[
    "windowsClient",
    "windowsServer",
    "domainControllers",
    "linux",
    "macos",
    "tag",
    "trustDeviceTags",
    "allowChannel",
    "configMgrAuthority",
    "includeCloudDefender",
    "entitlement",
    "rulesAsOf",
    "legacyLabels",
];

impl ScopeSpec {
    /// Reads `spec`.
    pub(super) fn read(reader: &mut Reader<'_>, spec: Node) -> Option<Self> {
        let before = reader.mistake_count();
        let mut fields = Fields::of(reader, "spec", spec, FIELDS)?;
        let mut scope = Self {
            windows_client: fields.word(reader, "windowsClient", MODE),
            windows_server: fields.word(reader, "windowsServer", MODE),
            domain_controllers: fields.word(reader, "domainControllers", MODE),
            linux: fields.word(reader, "linux", MODE),
            macos: fields.word(reader, "macos", MODE),
            tag: fields.some_text(reader, "tag", TAG_CHARS_MAX),
            trust_device_tags: fields.boolean(reader, "trustDeviceTags"),
            allow_channel: fields.boolean(reader, "allowChannel"),
            config_mgr_authority: fields.boolean(reader, "configMgrAuthority"),
            include_cloud_defender: fields.boolean(reader, "includeCloudDefender"),
            rules_as_of: fields.word(reader, "rulesAsOf", EDITION),
            legacy_labels: fields.boolean(reader, "legacyLabels"),
            ..Self::default()
        };
        if let Some(entitlement) = fields.take("entitlement") {
            let mut fields = Fields::of(reader, "entitlement", entitlement, &["kind", "seats"])?;
            scope.entitlement = fields.word(reader, "kind", PRODUCT);
            scope.seats = fields.number(reader, "seats", 0..=u32::MAX);
        }
        (reader.mistake_count() == before).then_some(scope)
    }

    /// What the server has: every field.
    #[must_use]
    pub fn of(scope: &EnforcementScope) -> Self {
        let entitlement = scope.entitlement.unwrap_or_default();
        Self {
            windows_client: Some(scope.windows_client()),
            windows_server: Some(scope.windows_server()),
            domain_controllers: Some(scope.domain_controllers()),
            linux: Some(scope.linux()),
            macos: Some(scope.macos()),
            tag: Some(scope.tag.clone()),
            trust_device_tags: Some(scope.trust_device_tags()),
            allow_channel: Some(scope.allow_channel()),
            config_mgr_authority: Some(scope.config_mgr_authority()),
            include_cloud_defender: Some(scope.include_cloud_defender()),
            entitlement: Some(entitlement.kind()),
            seats: Some(entitlement.seats),
            rules_as_of: Some(scope.rules_as_of()),
            legacy_labels: Some(scope.legacy_labels()),
        }
    }

    /// As a change of what the server has: a limit of seats of 0 means none, so one that is left out is that of the server.
    #[must_use]
    pub fn change(&self, live: &EnforcementScope) -> EnforcementScope {
        let mode = |mode: Option<ScopeMode>| mode.unwrap_or(ScopeMode::Unspecified).into();
        let entitled = live.entitlement.unwrap_or_default();
        let entitlement = (self.entitlement.is_some() || self.seats.is_some()).then(|| Entitlement {
            kind: self.entitlement.unwrap_or(EntitlementKind::Unspecified).into(),
            seats: self.seats.unwrap_or(entitled.seats),
            seats_used: 0,
        });
        EnforcementScope {
            name: live.name.clone(),
            windows_client: mode(self.windows_client),
            windows_server: mode(self.windows_server),
            domain_controllers: mode(self.domain_controllers),
            linux: mode(self.linux),
            macos: mode(self.macos),
            tag: self.tag.clone().unwrap_or_default(),
            trust_device_tags: self.trust_device_tags,
            allow_channel: self.allow_channel,
            config_mgr_authority: self.config_mgr_authority,
            include_cloud_defender: self.include_cloud_defender,
            entitlement,
            rules_as_of: self.rules_as_of.unwrap_or(RulesAsOf::Unspecified).into(),
            legacy_labels: self.legacy_labels,
            update_time: None,
            etag: String::new(),
        }
    }
}
