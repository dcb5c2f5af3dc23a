//! The decision whether this channel manages a device, and why.

mod platform;
#[cfg(test)]
mod tests;
mod traits;

use muster_types::EnrollmentCode;

use super::enrollment::ManagedBy;
use super::scope::{EntitlementKind, Scope, ScopeMode};

pub use traits::{Build, DeviceClass, Mdm, Sensor, Traits};

/// What was decided about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub code: EnrollmentCode,
    /// Who manages the device; this channel does once trust is established.
    pub authority: ManagedBy,
    /// The reason for people, with what this device lacks.
    pub message: String,
}

impl Verdict {
    /// Whether this channel may manage the device.
    #[must_use]
    pub const fn permits(&self) -> bool {
        self.code.permits()
    }

    fn refused(code: EnrollmentCode, message: impl Into<String>) -> Self {
        Self { code, authority: ManagedBy::Nobody, message: message.into() }
    }
}

/// Decides about a device. The first reason in this order counts:
///
/// 1. an MDM is in charge: MANAGED_BY_MDM;
/// 2. Configuration Manager is, and the tenant leaves it authority: MANAGED_BY_CONFIG_MGR;
/// 3. the tenant does not allow this channel: CHANNEL_NOT_ALLOWED;
/// 4. the tenant's entitlement does not qualify: ENTITLEMENT_MISSING;
/// 5. the platform rules, in their own order (see `verdict/platform.rs`);
/// 6. onboarded through a cloud defender, and such devices are left out: CLOUD_DEFENDER_EXCLUDED;
/// 7. the scope is off for devices of this kind: OUT_OF_SCOPE, DOMAIN_CONTROLLER_EXCLUDED;
/// 8. the scope takes tagged devices, and this one has not the tag: NOT_TAGGED;
/// 9. Configuration Manager manages the device as well: DUAL_MANAGEMENT; else ENROLLED.
///
/// `tags` are those that admins and tokens set, sorted; what a device set on itself is among its traits. Seats are not
/// looked at: they depend on other devices. Pure and total: equal arguments give equal verdicts.
#[must_use]
pub fn assess(traits: &Traits, tags: &[Box<str>], scope: &Scope) -> Verdict {
    let refusal = in_charge(traits, scope)
        .or_else(|| tenant(scope))
        .or_else(|| platform::refusal(traits, scope.rules_as_of))
        .or_else(|| cloud_defender(traits, scope))
        .or_else(|| out_of_scope(traits, tags, scope));
    refusal.unwrap_or_else(|| permitted(traits))
}

fn in_charge(traits: &Traits, scope: &Scope) -> Option<Verdict> {
    if let Some(mdm) = traits.mdm {
        let code = EnrollmentCode::ManagedByMdm;
        let message = format!("{mdm} manages the device");
        return Some(Verdict { code, authority: ManagedBy::Mdm, message });
    }
    (traits.config_mgr_manages && scope.config_mgr_authority).then(|| Verdict {
        code: EnrollmentCode::ManagedByConfigMgr,
        authority: ManagedBy::ConfigMgr,
        message: "Configuration Manager manages endpoint protection on the device and keeps authority".into(),
    })
}

fn tenant(scope: &Scope) -> Option<Verdict> {
    if !scope.allow_channel {
        let message = "the tenant does not allow this channel to manage devices";
        return Some(Verdict::refused(EnrollmentCode::ChannelNotAllowed, message));
    }
    let message = match scope.entitlement.kind {
        EntitlementKind::Endpoint => return None,
        EntitlementKind::ServersOnly => "the tenant is entitled to servers only, which does not qualify",
        EntitlementKind::None => "the tenant is entitled to nothing",
    };
    Some(Verdict::refused(EnrollmentCode::EntitlementMissing, message))
}

fn cloud_defender(traits: &Traits, scope: &Scope) -> Option<Verdict> {
    (traits.cloud_defender && !scope.include_cloud_defender).then(|| {
        let message = "the sensor was onboarded through a cloud defender, and such devices are left out";
        Verdict::refused(EnrollmentCode::CloudDefenderExcluded, message)
    })
}

fn out_of_scope(traits: &Traits, tags: &[Box<str>], scope: &Scope) -> Option<Verdict> {
    let out = |message: &str| Some(Verdict::refused(EnrollmentCode::OutOfScope, message));
    let mode = match traits.class {
        DeviceClass::UnknownWindows => return out("whether this is a client or a server is not known"),
        DeviceClass::WindowsClient => scope.windows_client,
        DeviceClass::WindowsServer => scope.windows_server,
        DeviceClass::DomainController => scope.domain_controllers(),
        DeviceClass::Linux => scope.linux,
        DeviceClass::Macos => scope.macos,
    };
    match (mode, traits.class) {
        (ScopeMode::All, _) => None,
        (ScopeMode::Tagged, _) => not_tagged(traits, tags, scope),
        (ScopeMode::Off, DeviceClass::DomainController) if scope.windows_server != ScopeMode::Off => {
            let message = "the scope is off for domain controllers";
            Some(Verdict::refused(EnrollmentCode::DomainControllerExcluded, message))
        }
        (ScopeMode::Off, DeviceClass::DomainController) => {
            out("the scope is off for Windows Server, and domain controllers with it")
        }
        (ScopeMode::Off, class) => out(&format!("the scope is off for {class}")),
    }
}

fn not_tagged(traits: &Traits, tags: &[Box<str>], scope: &Scope) -> Option<Verdict> {
    let tag = &scope.tag;
    let on_device = traits.device_tags.contains(tag);
    if tags.contains(tag) || (on_device && scope.trust_device_tags) {
        return None;
    }
    let message = if on_device {
        format!("the tag {tag} is set on the device itself, and this tenant does not trust device tags")
    } else {
        format!("the scope takes {} with the tag {tag}, and this device has not got it", traits.class)
    };
    Some(Verdict::refused(EnrollmentCode::NotTagged, message))
}

fn permitted(traits: &Traits) -> Verdict {
    let (code, message) = if traits.config_mgr_manages {
        let message = "Configuration Manager manages endpoint protection on the device as well";
        (EnrollmentCode::DualManagement, message)
    } else {
        (EnrollmentCode::Enrolled, "the device is managed by this channel")
    };
    Verdict { code, authority: ManagedBy::Muster, message: message.into() }
}
