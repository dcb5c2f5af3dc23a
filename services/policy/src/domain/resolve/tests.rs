//! Given policies that reach a device, then what it shall be set to.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Platform};
use muster_types::{GroupId, PolicyId, SettingId, SettingValue};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Channel, Effective, Facts, Reaching, Reason, resolve};

const LINUX: Facts = Facts { platform: Platform::Linux, channel: Channel::Ssm };

type Settings = BTreeMap<SettingId, SettingValue>;

fn id(setting: &str) -> SettingId {
    format!("linux-antivirus/{setting}").parse().unwrap()
}

fn texts(items: &[&str]) -> SettingValue {
    SettingValue::Strings(items.iter().map(ToString::to_string).collect())
}

fn threat(key: &str, value: &str) -> BTreeMap<String, SettingValue> {
    [("key", key), ("value", value)].map(|(k, v)| (k.into(), SettingValue::Text(v.into()))).into()
}

fn one(setting: &str, value: SettingValue) -> Settings {
    Settings::from([(id(setting), value)])
}

fn reaching(policy: u128, settings: &Settings) -> Reaching<'_> {
    Reaching {
        policy: PolicyId::from_uuid(Uuid::from_u128(policy)),
        revision: 1,
        groups: vec![GroupId::from_uuid(Uuid::from_u128(9))],
        settings,
    }
}

fn resolved(facts: Facts, policies: &[&Settings]) -> Effective {
    let reaching: Vec<_> = (1..).zip(policies).map(|(n, settings)| reaching(n, settings)).collect();
    resolve(facts, &reaching, Catalogue::builtin())
}

fn policies_of(sources: &[std::sync::Arc<super::Source>]) -> Vec<u128> {
    sources.iter().map(|source| source.policy.uuid().as_u128()).collect()
}

#[test]
fn nothing_assigned_is_the_empty_policy() {
    assert_eq!(resolved(LINUX, &[]), Effective::default());
}

#[test]
fn equal_values_are_no_conflict_and_name_all_their_policies() {
    let settings = one("enforcement_level", SettingValue::Text("real_time".into()));
    let effective = resolved(LINUX, &[&settings, &settings]);
    assert_eq!(policies_of(&effective.settings[0].sources), [1, 2]);
    assert!(effective.withheld.is_empty());
    assert_eq!(effective.etag, resolved(LINUX, &[&settings]).etag);
}

#[test]
fn different_values_are_withheld_with_all_candidates() {
    let a = one("enforcement_level", SettingValue::Text("real_time".into()));
    let b = one("enforcement_level", SettingValue::Text("passive".into()));
    let effective = resolved(LINUX, &[&a, &b, &a]);
    assert!(effective.settings.is_empty());
    assert_eq!(effective.withheld[0].reason, Reason::Conflict);
    assert_eq!(effective.withheld[0].candidates.len(), 3);
    assert_eq!(effective.etag, Effective::default().etag);
}

#[test]
fn lists_are_joined_sorted_and_without_duplicates() {
    let a = one("allowed_threats", texts(&["z", "b", "b"]));
    let b = one("allowed_threats", texts(&["a", "b"]));
    let effective = resolved(LINUX, &[&a, &b]);
    assert_eq!(effective.settings[0].value, texts(&["a", "b", "z"]));
    assert_eq!(policies_of(&effective.settings[0].sources), [1, 2]);
}

#[test]
fn only_a_contradicted_key_is_withheld() {
    let list = |items: Vec<_>| one("threat_type_settings", SettingValue::Objects(items));
    let a = list(vec![threat("archive_bomb", "audit"), threat("potentially_unwanted_application", "block")]);
    let b = list(vec![threat("archive_bomb", "block")]);
    let effective = resolved(LINUX, &[&a, &b]);
    let kept = SettingValue::Objects(vec![threat("potentially_unwanted_application", "block")]);
    assert_eq!(effective.settings[0].value, kept);
    assert_eq!(policies_of(&effective.settings[0].sources), [1]);
    assert_eq!(effective.withheld[0].reason, Reason::Conflict);
    assert_eq!(effective.withheld[0].candidates.len(), 2);
}

#[test]
fn only_a_contradicted_rule_is_withheld() {
    let windows = Facts { platform: Platform::Windows, channel: Channel::Ssm };
    let rules: Vec<_> = Catalogue::builtin()
        .settings()
        .filter(|setting| setting.merge == muster_catalog::MergeMode::PerRule)
        .map(|setting| setting.id.clone())
        .collect();
    let text = |text: &str| SettingValue::Text(text.into());
    let a = Settings::from([(rules[0].clone(), text("block")), (rules[1].clone(), text("audit"))]);
    let b = Settings::from([(rules[0].clone(), text("audit")), (rules[1].clone(), text("audit"))]);
    let effective = resolved(windows, &[&a, &b]);
    let ids = |ids: Vec<&SettingId>| ids.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(ids(effective.settings.iter().map(|s| &s.id).collect()), [rules[1].clone()]);
    assert_eq!(ids(effective.withheld.iter().map(|s| &s.id).collect()), [rules[0].clone()]);
}

#[test]
fn what_is_for_another_platform_or_channel_is_told() {
    let settings = one("enforcement_level", SettingValue::Text("real_time".into()));
    let windows = Facts { platform: Platform::Windows, ..LINUX };
    assert_eq!(resolved(windows, &[&settings]).withheld[0].reason, Reason::Platform);
    let mdm = Facts { channel: Channel::Mdm, ..LINUX };
    assert_eq!(resolved(mdm, &[&settings]).withheld[0].reason, Reason::Channel);
    let gone = one("no_longer_in_the_catalogue", SettingValue::Boolean(true));
    assert_eq!(resolved(LINUX, &[&gone]).withheld[0].reason, Reason::Channel);
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let level = prop::sample::select(vec!["real_time", "on_demand", "passive"])
        .prop_map(|level| (id("enforcement_level"), SettingValue::Text(level.into())));
    let days = (30..33_i64).prop_map(|days| (id("scan_results_retention_days"), SettingValue::Integer(days)));
    let threats = prop::collection::vec("[a-d]", 0..4)
        .prop_map(|threats| (id("allowed_threats"), SettingValue::Strings(threats)));
    let keyed = prop::sample::subsequence(vec!["archive_bomb", "potentially_unwanted_application"], 0..=2)
        .prop_flat_map(|keys| {
            prop::collection::vec(prop::sample::select(vec!["audit", "block"]), keys.len()).prop_map(
                move |values| {
                    let items = keys.iter().zip(values).map(|(key, value)| threat(key, value)).collect();
                    (id("threat_type_settings"), SettingValue::Objects(items))
                },
            )
        });
    let windows = Just(("windows-antivirus/x".parse().unwrap(), SettingValue::Boolean(true)));
    prop::collection::vec(prop_oneof![level, days, threats, keyed, windows], 0..5)
        .prop_map(|settings| settings.into_iter().collect())
}

fn any_policies() -> impl Strategy<Value = Vec<Settings>> {
    prop::collection::vec(any_settings(), 0..5)
}

proptest! {
    #[test]
    fn the_order_of_policies_does_not_matter(policies in any_policies(), seed: u64) {
        let mut turned: Vec<_> = (1..).zip(&policies).map(|(n, settings)| reaching(n, settings)).collect();
        turned.sort_by_key(|reaching| reaching.policy.uuid().as_u128().wrapping_mul(u128::from(seed | 1)) % 97);
        let straight = resolved(LINUX, &policies.iter().collect::<Vec<_>>());
        prop_assert_eq!(resolve(LINUX, &turned, Catalogue::builtin()), straight);
    }

    #[test]
    fn a_revision_that_changes_no_setting_keeps_the_etag(policies in any_policies()) {
        let before: Vec<_> = (1..).zip(&policies).map(|(n, settings)| reaching(n, settings)).collect();
        let mut after = before.clone();
        after.iter_mut().for_each(|reaching| {
            reaching.revision += 1;
            reaching.groups.push(GroupId::from_uuid(Uuid::from_u128(10)));
        });
        let etag = |reaching: &[Reaching<'_>]| resolve(LINUX, reaching, Catalogue::builtin()).etag;
        prop_assert_eq!(etag(&before), etag(&after));
    }

    #[test]
    fn a_policy_without_settings_for_the_device_changes_nothing_in_force(policies in any_policies()) {
        let foreign = Settings::from([("windows-antivirus/x".parse().unwrap(), SettingValue::Boolean(true))]);
        let alone = resolved(LINUX, &policies.iter().collect::<Vec<_>>());
        let beside = resolved(LINUX, &policies.iter().chain([&foreign]).collect::<Vec<_>>());
        prop_assert_eq!(alone.settings, beside.settings);
        prop_assert_eq!(alone.etag, beside.etag);
    }

    #[test]
    fn the_same_values_twice_are_the_same_values(settings in any_settings()) {
        prop_assert_eq!(resolved(LINUX, &[&settings]).etag, resolved(LINUX, &[&settings, &settings]).etag);
    }

    #[test]
    fn union_commutes(a in prop::collection::vec("[a-d]", 0..4), b in prop::collection::vec("[a-d]", 0..4)) {
        let (a, b) = (one("allowed_threats", SettingValue::Strings(a)), one("allowed_threats", SettingValue::Strings(b)));
        prop_assert_eq!(resolved(LINUX, &[&a, &b]).etag, resolved(LINUX, &[&b, &a]).etag);
    }

    #[test]
    fn what_is_in_force_is_what_was_offered(policies in any_policies()) {
        let effective = resolved(LINUX, &policies.iter().collect::<Vec<_>>());
        for setting in &effective.settings {
            prop_assert!(!setting.sources.is_empty());
            prop_assert!(policies.iter().any(|policy| policy.contains_key(&setting.id)));
        }
        for withheld in &effective.withheld {
            prop_assert!(!withheld.candidates.is_empty());
        }
    }
}

#[test]
fn without_a_policy_the_others_have_their_say_again() {
    let a = one("enforcement_level", SettingValue::Text("real_time".into()));
    let b = one("enforcement_level", SettingValue::Text("passive".into()));
    assert_ne!(resolved(LINUX, &[&a, &b]).etag, resolved(LINUX, &[&a]).etag);
    assert_eq!(resolved(LINUX, &[&a]).settings[0].value, SettingValue::Text("real_time".into()));
}
