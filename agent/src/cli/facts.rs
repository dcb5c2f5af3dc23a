//! What would be told of this machine.

use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::HardwareKeyKind;
use serde_json::{Value, json};

use super::hex;
use crate::config::Config;
use crate::facts::{Survey, survey};

pub(super) fn json(config: &Config) -> Value {
    let Survey { facts, gaps } = survey(&config.facts_root);
    let products: Vec<_> = facts
        .security_products
        .iter()
        .map(|product| json!({"id": product.id, "version": product.version}))
        .collect();
    let keys: Vec<_> = facts
        .hardware_keys
        .iter()
        .map(|key| json!({"kind": kind(key.kind()), "digest": hex(&key.digest)}))
        .collect();
    json!({
        "platform": "linux",
        "hostname": facts.hostname,
        "os_id": facts.os_id,
        "os_version": facts.os_version,
        "os_name": facts.os_name,
        "kernel_release": facts.kernel_release,
        "architecture": facts.architecture,
        "agent_version": facts.agent_version,
        "hardware_digest": hex(&facts.hardware_digest),
        "hardware_keys": keys,
        "board_vendor": facts.board_vendor,
        "product_name": facts.product_name,
        "security_products": products,
        "domain_role": role(facts.domain_role()),
        "mdm": facts.mdm.as_ref().map(|mdm| json!({"provider": provider(mdm.provider()), "name": mdm.name})),
        "config_mgr_present": facts.config_mgr.as_ref().map(|config_mgr| config_mgr.present),
        "onboarded_through_cloud_defender": facts.onboarded_through_cloud_defender,
        "device_tags": facts.device_tags,
        "gaps": gaps,
    })
}

const fn kind(kind: HardwareKeyKind) -> &'static str {
    match kind {
        HardwareKeyKind::Unspecified => "unspecified",
        HardwareKeyKind::TpmEk => "tpm_ek",
        HardwareKeyKind::SmbiosUuid => "smbios_uuid",
        HardwareKeyKind::Serial => "serial",
        HardwareKeyKind::MachineId => "machine_id",
    }
}

const fn role(role: pb::DomainRole) -> Option<&'static str> {
    match role {
        pb::DomainRole::Unspecified => None,
        pb::DomainRole::Workgroup => Some("workgroup"),
        pb::DomainRole::DomainJoined => Some("domain_joined"),
        pb::DomainRole::DomainController => Some("domain_controller"),
    }
}

const fn provider(provider: pb::MdmProvider) -> Option<&'static str> {
    match provider {
        pb::MdmProvider::Unspecified => None,
        pb::MdmProvider::None => Some("none"),
        pb::MdmProvider::Intune => Some("intune"),
        pb::MdmProvider::Other => Some("other"),
    }
}
