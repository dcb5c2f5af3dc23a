//! What enroll knows: devices, onboarding tokens, the enforcement scope.

use muster_proto::enroll::v1 as pb;
use serde_json::{Value, json};

use super::{id, time, word};

/// Who manages a device.
#[must_use]
pub fn managed_by(device: &pb::Device) -> String {
    word(device.managed_by().as_str_name(), "MANAGED_BY_")
}

/// How a device's enrollment came out.
#[must_use]
pub fn enrollment_status(device: &pb::Device) -> String {
    word(device.enrollment_status().as_str_name(), "ENROLLMENT_STATUS_")
}

/// Columns of a device in a list.
pub const DEVICE: &[(&str, &str)] = &[
    ("device", "/id"),
    ("hostname", "/hostname"),
    ("type", "/device_type"),
    ("managed by", "/managed_by"),
    ("enrollment", "/enrollment_code"),
    ("seen", "age:/last_seen_time"),
];

/// Rows of a device shown alone.
pub const DEVICE_DETAIL: &[(&str, &str)] = &[
    ("device", "/id"),
    ("hostname", "/hostname"),
    ("type", "/device_type"),
    ("os", "/os"),
    ("os build", "/os_build"),
    ("kernel", "/kernel_release"),
    ("architecture", "/architecture"),
    ("agent", "/agent_version"),
    ("security products", "/security_products_text"),
    ("board vendor", "/board_vendor"),
    ("product", "/product_name"),
    ("domain role", "/domain_role"),
    ("mdm", "/mdm"),
    ("managed by", "/managed_by"),
    ("since", "/authority_change_time"),
    ("enrollment", "/enrollment_status"),
    ("code", "/enrollment_code"),
    ("defender code", "/defender_code"),
    ("meaning", "/enrollment_message"),
    ("what to do", "/enrollment_action"),
    ("registration", "/registration_kind"),
    ("join type", "/join_type"),
    ("management type", "/management_type"),
    ("tags", "/tags_text"),
    ("spiffe id", "/spiffe_id"),
    ("onboarded", "/onboard_time"),
    ("last seen", "/last_seen_time"),
    ("facts changed", "/facts_change_time"),
    ("offboarding until", "/offboarding_expire_time"),
    ("merged into", "/merged_into"),
    ("troubles", "/troubles_text"),
];

/// A device of the inventory.
#[must_use]
pub fn device(device: &pb::Device) -> Value {
    let mut value = facts(&device.facts.clone().unwrap_or_default());
    let rest = json!({
        "name": device.name,
        "id": id(&device.name),
        "device_type": word(device.device_type().as_str_name(), "DEVICE_TYPE_"),
        "managed_by": managed_by(device),
        "authority_change_time": time(device.authority_change_time),
        "management_type": device.management_type,
        "enrollment_status": enrollment_status(device),
        "enrollment_code": device.enrollment_code,
        "enrollment_message": device.enrollment_message,
        "enrollment_action": device.enrollment_action,
        "defender_code": device.defender_code,
        "registration_kind": word(device.registration_kind().as_str_name(), "REGISTRATION_KIND_"),
        "join_type": device.join_type,
        "system_labels": device.system_labels,
        "tags": device.tags,
        "tags_text": device.tags.join(" "),
        "spiffe_id": device.spiffe_id,
        "onboard_time": time(device.onboard_time),
        "last_seen_time": time(device.last_seen_time),
        "facts_change_time": time(device.facts_change_time),
        "facts_digest": super::hex(&device.facts_digest),
        "offboarding_expire_time": time(device.offboarding_expire_time),
        "merged_into": id(&device.merged_into),
        "troubles": device.troubles.iter().map(trouble).collect::<Vec<_>>(),
        "troubles_text": device.troubles.iter().map(|it| it.code.as_str()).collect::<Vec<_>>().join(" "),
    });
    if let (Value::Object(all), Value::Object(rest)) = (&mut value, rest) {
        all.extend(rest);
    }
    value
}

fn trouble(trouble: &pb::Trouble) -> Value {
    json!({
        "code": trouble.code,
        "detail": trouble.detail,
        "first_time": time(trouble.first_time),
        "last_time": time(trouble.last_time),
    })
}

/// What a device says of itself; what was not collected is null.
#[must_use]
pub fn facts(facts: &pb::DeviceFacts) -> Value {
    let products: Vec<_> = facts.security_products.iter().map(|it| (&*it.id, &*it.version)).collect();
    let mdm = facts.mdm.as_ref().map(|mdm| word(mdm.provider().as_str_name(), "MDM_PROVIDER_"));
    json!({
        "hostname": facts.hostname,
        "platform": word(facts.platform().as_str_name(), "PLATFORM_"),
        "os": facts.os_name,
        "os_id": facts.os_id,
        "os_version": facts.os_version,
        "os_build": facts.os_build,
        "edition": facts.edition,
        "installed_updates": facts.installed_updates,
        "kernel_release": facts.kernel_release,
        "architecture": facts.architecture,
        "agent_version": facts.agent_version,
        "board_vendor": facts.board_vendor,
        "product_name": facts.product_name,
        "security_products": products.iter()
            .map(|(id, version)| json!({"id": id, "version": version})).collect::<Vec<_>>(),
        "security_products_text": products.iter()
            .map(|(id, version)| format!("{id} {version}").trim_end().to_owned()).collect::<Vec<_>>().join(", "),
        "server_os": facts.server_os,
        "domain_role": word(facts.domain_role().as_str_name(), "DOMAIN_ROLE_"),
        "server_core": facts.server_core,
        "non_persistent_vdi": facts.non_persistent_vdi,
        "azure_virtual_desktop": facts.azure_virtual_desktop,
        "powershell_language_mode":
            word(facts.powershell_language_mode().as_str_name(), "POWERSHELL_LANGUAGE_MODE_"),
        "mdm": mdm,
        "config_mgr": facts.config_mgr.as_ref().map(|it| json!({
            "present": it.present, "manages_endpoint_protection": it.manages_endpoint_protection,
        })),
        "onboarded_through_cloud_defender": facts.onboarded_through_cloud_defender,
        "device_tags": facts.device_tags,
        "unified_agent": facts.unified_agent,
    })
}

/// Columns of an onboarding token.
pub const TOKEN: &[(&str, &str)] = &[
    ("token", "/id"),
    ("name", "/display_name"),
    ("uses", "/uses_text"),
    ("tags", "/tags_text"),
    ("platforms", "/platforms_text"),
    ("expires", "/expire_time"),
    ("revoked", "/revoke_time"),
    ("last used", "/last_use_time"),
];

/// An onboarding token; `secret` only when it was just made.
#[must_use]
pub fn token(token: &pb::OnboardingToken, secret: Option<&str>) -> Value {
    let platforms: Vec<_> = token.platforms().map(|it| word(it.as_str_name(), "PLATFORM_")).collect();
    let mut value = json!({
        "name": token.name,
        "id": id(&token.name),
        "display_name": token.display_name,
        "uses": token.uses,
        "uses_max": token.uses_max,
        "uses_text": format!("{} of {}", token.uses, token.uses_max),
        "tags": token.tags,
        "tags_text": token.tags.join(" "),
        "platforms_text": platforms.join(" "),
        "platforms": platforms,
        "create_time": time(token.create_time),
        "expire_time": time(token.expire_time),
        "revoke_time": time(token.revoke_time),
        "last_use_time": time(token.last_use_time),
    });
    if let Some(secret) = secret {
        value["secret"] = json!(secret);
    }
    value
}

/// Columns of a time under one authority.
pub const AUTHORITY: &[(&str, &str)] = &[
    ("managed by", "/managed_by"),
    ("from", "/start_time"),
    ("until", "/end_time"),
    ("code", "/enrollment_code"),
    ("actor", "/actor"),
    ("pos", "/position"),
];

/// Who managed a device for a time.
#[must_use]
pub fn authority(interval: &pb::AuthorityInterval) -> Value {
    json!({
        "managed_by": word(interval.managed_by().as_str_name(), "MANAGED_BY_"),
        "start_time": time(interval.start_time),
        "end_time": time(interval.end_time),
        "enrollment_code": interval.enrollment_code,
        "actor": interval.actor,
        "position": interval.position,
    })
}

/// Rows of the enforcement scope.
pub const SCOPE: &[(&str, &str)] = &[
    ("windows client", "/windows_client"),
    ("windows server", "/windows_server"),
    ("domain controllers", "/domain_controllers"),
    ("linux", "/linux"),
    ("macos", "/macos"),
    ("tag", "/tag"),
    ("trust device tags", "/trust_device_tags"),
    ("allow channel", "/allow_channel"),
    ("configmgr authority", "/config_mgr_authority"),
    ("include cloud defender", "/include_cloud_defender"),
    ("entitlement", "/entitlement/kind"),
    ("seats", "/entitlement/seats_text"),
    ("rules as of", "/rules_as_of"),
    ("legacy labels", "/legacy_labels"),
    ("changed", "/update_time"),
    ("devices gained", "/devices_gained"),
    ("devices lost", "/devices_lost"),
    ("devices recoded", "/devices_recoded"),
];

/// What a change of the enforcement scope does.
#[must_use]
pub fn scope_change(change: &pb::UpdateEnforcementScopeResponse) -> Value {
    let pb::UpdateEnforcementScopeResponse {
        enforcement_scope: _,
        devices_gained,
        devices_lost,
        devices_recoded,
    } = change;
    json!({
        "devices_gained": devices_gained,
        "devices_lost": devices_lost,
        "devices_recoded": devices_recoded,
    })
}

/// The enforcement scope.
#[must_use]
pub fn scope(scope: &pb::EnforcementScope) -> Value {
    let mode = |mode: pb::ScopeMode| word(mode.as_str_name(), "SCOPE_MODE_");
    let entitlement = scope.entitlement.unwrap_or_default();
    let seats = match entitlement.seats {
        0 => format!("{} used, no limit", entitlement.seats_used),
        seats => format!("{} of {seats} used", entitlement.seats_used),
    };
    json!({
        "name": scope.name,
        "windows_client": mode(scope.windows_client()),
        "windows_server": mode(scope.windows_server()),
        "domain_controllers": mode(scope.domain_controllers()),
        "linux": mode(scope.linux()),
        "macos": mode(scope.macos()),
        "tag": scope.tag,
        "trust_device_tags": scope.trust_device_tags,
        "allow_channel": scope.allow_channel,
        "config_mgr_authority": scope.config_mgr_authority,
        "include_cloud_defender": scope.include_cloud_defender,
        "entitlement": {
            "kind": word(entitlement.kind().as_str_name(), "ENTITLEMENT_KIND_"),
            "seats": entitlement.seats,
            "seats_used": entitlement.seats_used,
            "seats_text": seats,
        },
        "rules_as_of": word(scope.rules_as_of().as_str_name(), "RULES_AS_OF_").replace('_', "-"),
        "legacy_labels": scope.legacy_labels,
        "update_time": time(scope.update_time),
        "etag": scope.etag,
    })
}
