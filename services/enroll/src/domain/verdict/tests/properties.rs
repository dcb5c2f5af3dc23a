//! What holds for any facts, any tags and any scope.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::facts::{Mdm as MdmFact, Platform, SecurityProduct};

fn text() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "",
        "10.0.19045.2846",
        "10.0.19045.1",
        "10.0.17763.1",
        "10.0.26100.1",
        "6.3.9600.1",
        "10.0.99999999999.1",
        "debian",
        "amzn",
        "7",
        "12",
        "2018.03",
        "Windows Server 2022",
        "ServerStandard",
        "x86",
        "x86_64",
        "101.23052.0009",
        "101.1",
        "...",
        "....",
        "-1.-1",
    ];
    prop_oneof![3 => select(KNOWN).prop_map(str::to_owned), 1 => ".{0,40}"]
}

fn word() -> impl Strategy<Value = String> {
    select(["MDE-Management", "pilot", "x"].as_slice()).prop_map(str::to_owned)
}

prop_compose! {
    fn flags()(
        server_os: Option<bool>,
        server_core: Option<bool>,
        app_compatibility: Option<bool>,
        non_persistent_vdi in option::weighted(0.2, any::<bool>()),
        azure_virtual_desktop in option::weighted(0.2, any::<bool>()),
        cloud: Option<bool>,
        unified_agent: Option<bool>,
        present: bool,
        manages_endpoint_protection: bool,
    ) -> DeviceFacts {
        DeviceFacts {
            server_os,
            server_core,
            app_compatibility,
            non_persistent_vdi,
            azure_virtual_desktop,
            onboarded_through_cloud_defender: cloud,
            unified_agent,
            config_mgr: Some(ConfigMgr { present, manages_endpoint_protection }),
            ..DeviceFacts::bare(Platform::Windows, [0; 32])
        }
    }
}

prop_compose! {
    fn facts()(
        flags in flags(),
        platform in select([Platform::Windows, Platform::Linux, Platform::Macos].as_slice()),
        role in option::of(select([DomainRole::Workgroup, DomainRole::DomainController].as_slice())),
        mode in option::of(select([LanguageMode::Full, LanguageMode::Constrained].as_slice())),
        mdm in option::weighted(0.2, option::of(select([MdmProvider::None, MdmProvider::Intune].as_slice()))),
        texts in prop::collection::vec(text(), 6),
        updates in prop::collection::vec(prop_oneof![Just("KB5023773".to_owned()), ".{0,12}"], 0..3),
        device_tags in prop::collection::vec(word(), 0..3),
        edition in option::of(text()),
    ) -> DeviceFacts {
        let [os_id, os_version, os_name, architecture, os_build, version] = &texts[..] else { unreachable!() };
        DeviceFacts {
            platform,
            os_id: os_id.clone(),
            os_version: os_version.clone(),
            os_name: os_name.clone(),
            architecture: architecture.clone(),
            os_build: Some(os_build.clone()),
            security_products: vec![SecurityProduct { id: "mdatp".into(), version: version.clone() }],
            domain_role: role,
            language_mode: mode,
            mdm: mdm.map(|provider| MdmFact { provider, name: String::new() }),
            installed_updates: updates,
            device_tags,
            edition,
            ..flags
        }
    }
}

fn mode() -> impl Strategy<Value = ScopeMode> {
    select([ScopeMode::Off, ScopeMode::Tagged, ScopeMode::All, ScopeMode::All].as_slice())
}

prop_compose! {
    fn scope()(
        modes in [mode(), mode(), mode(), mode(), mode()],
        tag in word(),
        trust_device_tags: bool,
        allow_channel in prop::bool::weighted(0.9),
        config_mgr_authority: bool,
        include_cloud_defender: bool,
        kind in prop_oneof![9 => Just(EntitlementKind::Endpoint), 1 => Just(EntitlementKind::ServersOnly)],
        rules_as_of in select([RulesAsOf::September2023, RulesAsOf::Current].as_slice()),
    ) -> Scope {
        let [windows_client, windows_server, domain_controllers, linux, macos] = modes;
        Scope {
            windows_client,
            windows_server,
            domain_controllers,
            linux,
            macos,
            tag: tag.into(),
            trust_device_tags,
            allow_channel,
            config_mgr_authority,
            include_cloud_defender,
            entitlement: Entitlement { kind, seats: None },
            rules_as_of,
            legacy_labels: false,
        }
    }
}

/// The devices of both scopes' kind: narrower in every respect that narrows.
fn narrowed(a: &Scope, b: &Scope) -> Scope {
    Scope {
        windows_client: a.windows_client.min(b.windows_client),
        windows_server: a.windows_server.min(b.windows_server),
        domain_controllers: a.domain_controllers.min(b.domain_controllers),
        linux: a.linux.min(b.linux),
        macos: a.macos.min(b.macos),
        tag: a.tag.clone(),
        trust_device_tags: a.trust_device_tags && b.trust_device_tags,
        allow_channel: a.allow_channel && b.allow_channel,
        config_mgr_authority: a.config_mgr_authority || b.config_mgr_authority,
        include_cloud_defender: a.include_cloud_defender && b.include_cloud_defender,
        entitlement: Entitlement { kind: a.entitlement.kind.max(b.entitlement.kind), seats: None },
        rules_as_of: a.rules_as_of,
        legacy_labels: false,
    }
}

proptest! {
    #[test]
    fn any_facts_get_a_verdict_that_agrees_with_itself(
        facts in facts(), tag in option::of(word()), scope in scope()
    ) {
        let tags = tags::sorted(tag);
        let verdict = assess_facts(&facts, &tags, &scope);
        prop_assert_eq!(&verdict, &assess_facts(&facts, &tags, &scope));
        prop_assert_eq!(verdict.permits(), verdict.authority == ManagedBy::Muster);
        prop_assert!(!verdict.message.is_empty());
    }

    #[test]
    fn narrowing_a_scope_lets_no_device_in(
        facts in facts(), tag in option::of(word()), wide in scope(), other in scope()
    ) {
        let (tags, traits) = (tags::sorted(tag), Traits::of(&facts));
        if assess(&traits, &tags, &narrowed(&wide, &other)).permits() {
            prop_assert!(assess(&traits, &tags, &wide).permits());
        }
    }

    #[test]
    fn who_is_in_when_tagged_is_in_when_all_are(facts in facts(), tag in option::of(word()), scope in scope()) {
        let all = Scope {
            windows_client: ScopeMode::All,
            windows_server: ScopeMode::All,
            domain_controllers: ScopeMode::All,
            linux: ScopeMode::All,
            macos: ScopeMode::All,
            ..scope.clone()
        };
        let (tags, traits) = (tags::sorted(tag), Traits::of(&facts));
        if assess(&traits, &tags, &scope).permits() {
            prop_assert!(assess(&traits, &tags, &all).permits());
        }
    }

    #[test]
    fn a_tag_never_puts_a_device_out(facts in facts(), tag in word(), scope in scope()) {
        let traits = Traits::of(&facts);
        if assess(&traits, &[], &scope).permits() {
            prop_assert!(assess(&traits, &tags::sorted([tag]), &scope).permits());
        }
    }

    #[test]
    fn any_text_is_read_or_passed_over(text in ".{0,60}") {
        let facts = DeviceFacts {
            os_build: Some(text.clone()),
            os_version: text.clone(),
            os_id: text.clone(),
            architecture: text.clone(),
            installed_updates: vec![text],
            ..a_windows_server()
        };
        prop_assert_eq!(facts.check(), facts.check());
        prop_assert!(!assess_facts(&facts, &[], &Scope::default()).message.is_empty());
    }
}
