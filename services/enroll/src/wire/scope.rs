//! The enforcement scope ↔ the contract's message.

use muster_proto::enroll::v1 as pb;

use crate::domain::scope::{Entitlement, EntitlementKind, RulesAsOf, Scope, ScopeMode};

/// A choice in a scope that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {found} is none of its choices")]
pub struct UnreadableScope {
    /// Which field, as the contract names it.
    pub field: &'static str,
    /// What stood there.
    pub found: i32,
}

/// The whole scope; `name`, `update_time`, `etag` and `seats_used` are left to the caller.
impl From<&Scope> for pb::EnforcementScope {
    fn from(scope: &Scope) -> Self {
        let Scope {
            windows_client,
            windows_server,
            domain_controllers,
            linux,
            macos,
            tag,
            trust_device_tags,
            allow_channel,
            config_mgr_authority,
            include_cloud_defender,
            entitlement: Entitlement { kind, seats },
            rules_as_of,
            legacy_labels,
        } = scope;
        Self {
            name: String::new(),
            windows_client: pb::ScopeMode::from(*windows_client).into(),
            windows_server: pb::ScopeMode::from(*windows_server).into(),
            domain_controllers: pb::ScopeMode::from(*domain_controllers).into(),
            linux: pb::ScopeMode::from(*linux).into(),
            macos: pb::ScopeMode::from(*macos).into(),
            tag: tag.to_string(),
            trust_device_tags: Some(*trust_device_tags),
            allow_channel: Some(*allow_channel),
            config_mgr_authority: Some(*config_mgr_authority),
            include_cloud_defender: Some(*include_cloud_defender),
            entitlement: Some(pb::Entitlement {
                kind: pb::EntitlementKind::from(*kind).into(),
                seats: seats.unwrap_or_default(),
                seats_used: 0,
            }),
            rules_as_of: pb::RulesAsOf::from(*rules_as_of).into(),
            legacy_labels: Some(*legacy_labels),
            update_time: None,
            etag: String::new(),
        }
    }
}

/// Reads a scope; what it leaves unspecified, empty or absent is as in `before`. An entitlement that is present says its
/// seats whole: 0 is without limit. An event holds the whole scope, over [`Scope::default`].
///
/// # Errors
/// [`UnreadableScope`] naming the first choice that this version does not know.
pub fn scope_over(before: &Scope, message: pb::EnforcementScope) -> Result<Scope, UnreadableScope> {
    let pb::EnforcementScope {
        name: _,
        windows_client,
        windows_server,
        domain_controllers,
        linux,
        macos,
        tag,
        trust_device_tags,
        allow_channel,
        config_mgr_authority,
        include_cloud_defender,
        entitlement,
        rules_as_of,
        legacy_labels,
        update_time: _,
        etag: _,
    } = message;
    Ok(Scope {
        windows_client: mode("windows_client", windows_client)?.unwrap_or(before.windows_client),
        windows_server: mode("windows_server", windows_server)?.unwrap_or(before.windows_server),
        domain_controllers: mode("domain_controllers", domain_controllers)?
            .unwrap_or(before.domain_controllers),
        linux: mode("linux", linux)?.unwrap_or(before.linux),
        macos: mode("macos", macos)?.unwrap_or(before.macos),
        tag: if tag.is_empty() { before.tag.clone() } else { tag.into() },
        trust_device_tags: trust_device_tags.unwrap_or(before.trust_device_tags),
        allow_channel: allow_channel.unwrap_or(before.allow_channel),
        config_mgr_authority: config_mgr_authority.unwrap_or(before.config_mgr_authority),
        include_cloud_defender: include_cloud_defender.unwrap_or(before.include_cloud_defender),
        entitlement: entitlement
            .map_or(Ok(before.entitlement), |message| entitlement_over(before.entitlement, message))?,
        rules_as_of: rules(rules_as_of)?.unwrap_or(before.rules_as_of),
        legacy_labels: legacy_labels.unwrap_or(before.legacy_labels),
    })
}

fn entitlement_over(before: Entitlement, message: pb::Entitlement) -> Result<Entitlement, UnreadableScope> {
    let pb::Entitlement { kind, seats, seats_used: _ } = message;
    let unknown = |_| UnreadableScope { field: "entitlement.kind", found: kind };
    let kind = match pb::EntitlementKind::try_from(kind).map_err(unknown)? {
        pb::EntitlementKind::Unspecified => before.kind,
        pb::EntitlementKind::Endpoint => EntitlementKind::Endpoint,
        pb::EntitlementKind::ServersOnly => EntitlementKind::ServersOnly,
        pb::EntitlementKind::None => EntitlementKind::None,
    };
    Ok(Entitlement { kind, seats: (seats > 0).then_some(seats) })
}

fn mode(field: &'static str, found: i32) -> Result<Option<ScopeMode>, UnreadableScope> {
    Ok(match pb::ScopeMode::try_from(found).map_err(|_| UnreadableScope { field, found })? {
        pb::ScopeMode::Unspecified => None,
        pb::ScopeMode::Off => Some(ScopeMode::Off),
        pb::ScopeMode::Tagged => Some(ScopeMode::Tagged),
        pb::ScopeMode::All => Some(ScopeMode::All),
    })
}

fn rules(found: i32) -> Result<Option<RulesAsOf>, UnreadableScope> {
    let unknown = |_| UnreadableScope { field: "rules_as_of", found };
    Ok(match pb::RulesAsOf::try_from(found).map_err(unknown)? {
        pb::RulesAsOf::Unspecified => None,
        pb::RulesAsOf::RulesAsOf202309 => Some(RulesAsOf::September2023),
        pb::RulesAsOf::Current => Some(RulesAsOf::Current),
    })
}

impl From<ScopeMode> for pb::ScopeMode {
    fn from(mode: ScopeMode) -> Self {
        match mode {
            ScopeMode::Off => Self::Off,
            ScopeMode::Tagged => Self::Tagged,
            ScopeMode::All => Self::All,
        }
    }
}

impl From<EntitlementKind> for pb::EntitlementKind {
    fn from(kind: EntitlementKind) -> Self {
        match kind {
            EntitlementKind::Endpoint => Self::Endpoint,
            EntitlementKind::ServersOnly => Self::ServersOnly,
            EntitlementKind::None => Self::None,
        }
    }
}

impl From<RulesAsOf> for pb::RulesAsOf {
    fn from(rules: RulesAsOf) -> Self {
        match rules {
            RulesAsOf::September2023 => Self::RulesAsOf202309,
            RulesAsOf::Current => Self::Current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unlike_the_default() -> Scope {
        Scope {
            windows_client: ScopeMode::Tagged,
            windows_server: ScopeMode::Tagged,
            domain_controllers: ScopeMode::All,
            linux: ScopeMode::Off,
            macos: ScopeMode::Tagged,
            tag: "managed-here".into(),
            trust_device_tags: true,
            allow_channel: false,
            config_mgr_authority: false,
            include_cloud_defender: false,
            entitlement: Entitlement { kind: EntitlementKind::ServersOnly, seats: Some(9) },
            rules_as_of: RulesAsOf::September2023,
            legacy_labels: true,
        }
    }

    #[test]
    fn a_whole_scope_round_trips() {
        let (default, other) = (Scope::default(), unlike_the_default());
        assert_eq!(scope_over(&other, (&default).into()), Ok(default.clone()));
        assert_eq!(scope_over(&default, (&other).into()), Ok(other));
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let before = unlike_the_default();
        assert_eq!(scope_over(&before, pb::EnforcementScope::default()), Ok(before.clone()));
        let change = pb::EnforcementScope { linux: pb::ScopeMode::All.into(), ..Default::default() };
        assert_eq!(scope_over(&before, change), Ok(Scope { linux: ScopeMode::All, ..before }));
    }

    #[test]
    fn an_entitlement_says_its_seats_whole() {
        let before = unlike_the_default();
        let entitlement = Some(pb::Entitlement { kind: 0, seats: 0, seats_used: 5 });
        let after = scope_over(&before, pb::EnforcementScope { entitlement, ..Default::default() });
        let entitlement = Entitlement { kind: EntitlementKind::ServersOnly, seats: None };
        assert_eq!(after, Ok(Scope { entitlement, ..before }));
    }

    #[test]
    fn a_choice_of_another_version_is_refused_with_the_field() {
        let change = pb::EnforcementScope { macos: 4, ..Default::default() };
        assert_eq!(scope_over(&Scope::default(), change), Err(UnreadableScope { field: "macos", found: 4 }));
    }
}
