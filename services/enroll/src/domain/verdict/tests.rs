//! Facts about verdicts: the order of reasons, the platform tables, and what holds for any facts and any scope.

mod platforms;
mod properties;

use super::*;
use crate::domain::facts::tests::{a_linux_device, a_mac, a_windows_client, a_windows_server};
use crate::domain::facts::{ConfigMgr, DeviceFacts, DomainRole, LanguageMode, MdmProvider};
use crate::domain::scope::{Entitlement, RulesAsOf};
use crate::domain::tags;

fn assess_facts(facts: &DeviceFacts, tags: &[Box<str>], scope: &Scope) -> Verdict {
    assess(&Traits::of(facts), tags, scope)
}

fn code(facts: &DeviceFacts, scope: &Scope) -> EnrollmentCode {
    assess_facts(facts, &[], scope).code
}

fn mdm(provider: MdmProvider) -> Option<crate::domain::facts::Mdm> {
    Some(crate::domain::facts::Mdm { provider: Some(provider), name: "MS DM Server".into() })
}

const MANAGING: Option<ConfigMgr> = Some(ConfigMgr { present: true, manages_endpoint_protection: true });

#[test]
fn devices_of_every_kind_are_let_in_by_default() {
    for facts in [a_linux_device(), a_mac(), a_windows_client(), a_windows_server()] {
        let verdict = assess_facts(&facts, &[], &Scope::default());
        assert_eq!(verdict.code, EnrollmentCode::Enrolled, "{}", verdict.message);
        assert_eq!(verdict.authority, ManagedBy::Muster);
        assert!(verdict.permits());
    }
}

/// Everything is wrong with this server; mending one thing after the other brings the reasons to light in their order.
#[test]
fn the_first_reason_in_the_order_counts() {
    type Mend = fn(&mut DeviceFacts, &mut Scope, &mut Vec<Box<str>>);
    let steps: [(EnrollmentCode, ManagedBy, Mend); 20] = [
        (EnrollmentCode::ManagedByMdm, ManagedBy::Mdm, |f, _, _| f.mdm = mdm(MdmProvider::None)),
        (EnrollmentCode::ManagedByConfigMgr, ManagedBy::ConfigMgr, |_, s, _| s.config_mgr_authority = false),
        (EnrollmentCode::ChannelNotAllowed, ManagedBy::Nobody, |_, s, _| s.allow_channel = true),
        (EnrollmentCode::EntitlementMissing, ManagedBy::Nobody, |_, s, _| {
            s.entitlement.kind = EntitlementKind::Endpoint;
        }),
        (EnrollmentCode::NonPersistentVdi, ManagedBy::Nobody, |f, _, _| f.non_persistent_vdi = None),
        (EnrollmentCode::AzureVirtualDesktop, ManagedBy::Nobody, |f, _, _| {
            f.azure_virtual_desktop = Some(false);
        }),
        (EnrollmentCode::Architecture32Bit, ManagedBy::Nobody, |f, _, _| f.architecture = "x86_64".into()),
        (EnrollmentCode::FactsIncomplete, ManagedBy::Nobody, |f, _, _| f.server_os = Some(true)),
        (EnrollmentCode::FactsIncomplete, ManagedBy::Nobody, |f, _, _| {
            f.os_build = Some("10.0.17763.4251".into());
        }),
        (EnrollmentCode::OsTooOld, ManagedBy::Nobody, |f, _, _| {
            f.installed_updates.push("KB5025229".into());
        }),
        (EnrollmentCode::ServerCoreUnsupported, ManagedBy::Nobody, |f, _, _| {
            f.os_build = Some("10.0.14393.1".into());
            f.server_core = Some(false);
        }),
        (EnrollmentCode::FactsIncomplete, ManagedBy::Nobody, |f, _, _| f.unified_agent = Some(false)),
        (EnrollmentCode::UnifiedAgentMissing, ManagedBy::Nobody, |f, _, _| f.unified_agent = Some(true)),
        (EnrollmentCode::ConstrainedLanguage, ManagedBy::Nobody, |f, _, _| {
            f.language_mode = Some(LanguageMode::Full);
        }),
        (EnrollmentCode::CloudDefenderExcluded, ManagedBy::Nobody, |_, s, _| s.include_cloud_defender = true),
        (EnrollmentCode::OutOfScope, ManagedBy::Nobody, |f, s, _| {
            s.windows_server = ScopeMode::Tagged;
            f.domain_role = Some(DomainRole::DomainController);
        }),
        (EnrollmentCode::DomainControllerExcluded, ManagedBy::Nobody, |_, s, _| {
            s.domain_controllers = ScopeMode::All;
        }),
        (EnrollmentCode::NotTagged, ManagedBy::Nobody, |_, _, t| t.push("MDE-Management".into())),
        (EnrollmentCode::DualManagement, ManagedBy::Muster, |f, _, _| f.config_mgr = None),
        (EnrollmentCode::Enrolled, ManagedBy::Muster, |_, _, _| {}),
    ];
    let mut facts = DeviceFacts {
        mdm: mdm(MdmProvider::Intune),
        config_mgr: MANAGING,
        non_persistent_vdi: Some(true),
        azure_virtual_desktop: Some(true),
        architecture: "x86".into(),
        server_os: None,
        edition: None,
        os_name: String::new(),
        os_build: None,
        server_core: Some(true),
        language_mode: Some(LanguageMode::Constrained),
        onboarded_through_cloud_defender: Some(true),
        ..a_windows_server()
    };
    let mut scope = Scope {
        allow_channel: false,
        entitlement: Entitlement { kind: EntitlementKind::ServersOnly, seats: None },
        include_cloud_defender: false,
        windows_server: ScopeMode::Off,
        ..Scope::default()
    };
    let mut tags = vec![];
    for (code, authority, mend) in steps {
        let verdict = assess_facts(&facts, &tags, &scope);
        assert_eq!((verdict.code, verdict.authority), (code, authority), "{}", verdict.message);
        assert_eq!(verdict.permits(), authority == ManagedBy::Muster);
        mend(&mut facts, &mut scope, &mut tags);
    }
}

#[test]
fn a_stub_of_the_light_channel_and_an_unknown_provider_are_no_mdm() {
    let stub = DeviceFacts { mdm: mdm(MdmProvider::None), ..a_windows_client() };
    assert_eq!(code(&stub, &Scope::default()), EnrollmentCode::Enrolled);
    let unsaid = crate::domain::facts::Mdm { provider: None, name: String::new() };
    let unsaid = DeviceFacts { mdm: Some(unsaid), ..a_windows_client() };
    assert_eq!(code(&unsaid, &Scope::default()), EnrollmentCode::Enrolled);
    let other = DeviceFacts { mdm: mdm(MdmProvider::Other), ..a_mac() };
    assert_eq!(code(&other, &Scope::default()), EnrollmentCode::ManagedByMdm);
}

#[test]
fn configuration_manager_counts_only_where_it_manages_endpoint_protection() {
    let present = Some(ConfigMgr { present: true, manages_endpoint_protection: false });
    let absent = Some(ConfigMgr { present: false, manages_endpoint_protection: true });
    for config_mgr in [present, absent, None] {
        let facts = DeviceFacts { config_mgr, ..a_windows_client() };
        assert_eq!(code(&facts, &Scope::default()), EnrollmentCode::Enrolled);
    }
    let facts = DeviceFacts { config_mgr: MANAGING, ..a_windows_client() };
    assert_eq!(code(&facts, &Scope::default()), EnrollmentCode::ManagedByConfigMgr);
    let handed_over = Scope { config_mgr_authority: false, ..Scope::default() };
    assert_eq!(code(&facts, &handed_over), EnrollmentCode::DualManagement);
}

#[test]
fn each_kind_of_device_has_its_own_scope() {
    type Narrow = fn(&mut Scope);
    let controller = DeviceFacts { domain_role: Some(DomainRole::DomainController), ..a_windows_server() };
    let on = Scope { domain_controllers: ScopeMode::All, ..Scope::default() };
    let devices: [(DeviceFacts, EnrollmentCode, Narrow); 6] = [
        (a_windows_client(), EnrollmentCode::OutOfScope, |s| s.windows_client = ScopeMode::Off),
        (a_windows_server(), EnrollmentCode::OutOfScope, |s| s.windows_server = ScopeMode::Off),
        (controller.clone(), EnrollmentCode::DomainControllerExcluded, |s| {
            s.domain_controllers = ScopeMode::Off;
        }),
        (controller, EnrollmentCode::OutOfScope, |s| s.windows_server = ScopeMode::Off),
        (a_linux_device(), EnrollmentCode::OutOfScope, |s| s.linux = ScopeMode::Off),
        (a_mac(), EnrollmentCode::OutOfScope, |s| s.macos = ScopeMode::Off),
    ];
    for (facts, expected, narrow) in devices {
        assert_eq!(code(&facts, &on), EnrollmentCode::Enrolled);
        let mut scope = on.clone();
        narrow(&mut scope);
        assert_eq!(code(&facts, &scope), expected);
    }
}

#[test]
fn domain_controllers_inherit_that_only_tagged_servers_count() {
    let controller = DeviceFacts { domain_role: Some(DomainRole::DomainController), ..a_windows_server() };
    let scope =
        Scope { windows_server: ScopeMode::Tagged, domain_controllers: ScopeMode::All, ..Scope::default() };
    assert_eq!(code(&controller, &scope), EnrollmentCode::NotTagged);
    let tagged = assess_facts(&controller, &tags::sorted(["MDE-Management"]), &scope);
    assert_eq!(tagged.code, EnrollmentCode::Enrolled);
}

#[test]
fn tags_of_the_device_count_only_where_the_tenant_trusts_them() {
    let own = DeviceFacts { device_tags: vec!["pilot".into()], ..a_linux_device() };
    let scope = Scope { linux: ScopeMode::Tagged, tag: "pilot".into(), ..Scope::default() };
    let refused = assess_facts(&own, &[], &scope);
    assert_eq!(refused.code, EnrollmentCode::NotTagged);
    assert!(refused.message.contains("does not trust"), "{}", refused.message);
    assert_eq!(code(&a_linux_device(), &scope), EnrollmentCode::NotTagged);
    assert_eq!(code(&own, &Scope { trust_device_tags: true, ..scope.clone() }), EnrollmentCode::Enrolled);
    let by_admin = assess_facts(&a_linux_device(), &tags::sorted(["a", "pilot"]), &scope);
    assert_eq!(by_admin.code, EnrollmentCode::Enrolled);
    let other_case = assess_facts(&a_linux_device(), &tags::sorted(["Pilot"]), &scope);
    assert_eq!(other_case.code, EnrollmentCode::NotTagged);
}

#[test]
fn only_an_endpoint_entitlement_qualifies_for_servers_too() {
    for kind in [EntitlementKind::ServersOnly, EntitlementKind::None] {
        let scope = Scope { entitlement: Entitlement { kind, seats: Some(100) }, ..Scope::default() };
        for facts in [a_windows_server(), a_linux_device()] {
            assert_eq!(code(&facts, &scope), EnrollmentCode::EntitlementMissing);
        }
    }
}

#[test]
fn what_does_not_matter_is_no_trait() {
    let mut other = a_windows_client();
    other.hostname = "desk-02".into();
    other.hardware_digest = [99; 32];
    other.agent_version = "0.2.0".into();
    other.installed_updates = vec!["KB5000001".into()];
    other.security_products.clear();
    assert_eq!(Traits::of(&other), Traits::of(&a_windows_client()));
}
