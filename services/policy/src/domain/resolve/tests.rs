//! Given policies that reach a device, then what it shall be set to.

mod laws;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_catalog::{Catalogue, Kind, MergeMode, Platform, RulesAsOf, TamperLock};
use muster_types::{GroupId, PolicyId, SettingId, SettingValue, WithheldReason};
use uuid::Uuid;

use super::merge::{self, Offer};
use super::{Channel, Effective, Facts, InForce, Reaching, Source, resolve};
use crate::domain::assignment::Priority;
use crate::domain::waiver::Exempt;

/// A device whose version is not known.
fn facts(platform: Platform) -> Facts {
    Facts {
        platform,
        channel: Channel::Ssm,
        domain_controller: false,
        agent_level: Catalogue::builtin().agent_level(platform, None),
        tamper: TamperLock::Unknown,
        rules_as_of: RulesAsOf::Current,
    }
}

fn linux() -> Facts {
    facts(Platform::Linux)
}

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
        priority: None,
        groups: vec![GroupId::from_uuid(Uuid::from_u128(9))],
        settings,
    }
}

fn resolved(facts: Facts, policies: &[&Settings]) -> Effective {
    let reaching: Vec<_> = (1..).zip(policies).map(|(n, settings)| reaching(n, settings)).collect();
    resolve(&facts, &reaching, &[], Catalogue::builtin())
}

/// Policies with their priorities; 0 is none.
fn with_priorities(policies: &[(&Settings, u32)]) -> Effective {
    exempted(policies, &[])
}

fn exempted(policies: &[(&Settings, u32)], exempt: &[Exempt]) -> Effective {
    let reaching = (1..).zip(policies).map(|(n, (settings, priority))| Reaching {
        priority: Priority::new(*priority),
        ..reaching(n, settings)
    });
    resolve(&linux(), &reaching.collect::<Vec<_>>(), exempt, Catalogue::builtin())
}

fn policy(n: u128) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(n))
}

fn level(level: &str) -> Settings {
    one("enforcement_level", SettingValue::Text(level.into()))
}

fn threats(items: Vec<BTreeMap<String, SettingValue>>) -> Settings {
    one("threat_type_settings", SettingValue::Objects(items))
}

fn policies_of(sources: &[Arc<Source>]) -> Vec<u128> {
    sources.iter().map(|source| source.policy.uuid().as_u128()).collect()
}

#[test]
fn nothing_assigned_is_the_empty_policy() {
    assert_eq!(resolved(linux(), &[]), Effective::default());
}

#[test]
fn equal_values_are_no_conflict_and_name_all_their_policies() {
    let settings = one("enforcement_level", SettingValue::Text("real_time".into()));
    let effective = resolved(linux(), &[&settings, &settings]);
    assert_eq!(policies_of(&effective.settings[0].sources), [1, 2]);
    assert!(effective.withheld.is_empty());
    assert_eq!(effective.etag, resolved(linux(), &[&settings]).etag);
}

#[test]
fn different_values_are_withheld_with_all_candidates() {
    let a = one("enforcement_level", SettingValue::Text("real_time".into()));
    let b = one("enforcement_level", SettingValue::Text("passive".into()));
    let effective = resolved(linux(), &[&a, &b, &a]);
    assert!(effective.settings.is_empty());
    assert_eq!(effective.withheld[0].reason, WithheldReason::Conflict);
    assert_eq!(effective.withheld[0].candidates.len(), 3);
    assert_ne!(effective.etag, Effective::default().etag, "the device is told");
}

#[test]
fn lists_are_joined_sorted_and_without_duplicates() {
    let a = one("allowed_threats", texts(&["z", "b", "b"]));
    let b = one("allowed_threats", texts(&["a", "b"]));
    let effective = resolved(linux(), &[&a, &b]);
    assert_eq!(effective.settings[0].value, texts(&["a", "b", "z"]));
    assert_eq!(policies_of(&effective.settings[0].sources), [1, 2]);
}

#[test]
fn only_a_contradicted_key_is_withheld() {
    let list = |items: Vec<_>| one("threat_type_settings", SettingValue::Objects(items));
    let a = list(vec![threat("archive_bomb", "audit"), threat("potentially_unwanted_application", "block")]);
    let b = list(vec![threat("archive_bomb", "block")]);
    let effective = resolved(linux(), &[&a, &b]);
    let kept = SettingValue::Objects(vec![threat("potentially_unwanted_application", "block")]);
    assert_eq!(effective.settings[0].value, kept);
    assert_eq!(policies_of(&effective.settings[0].sources), [1]);
    assert_eq!(effective.withheld[0].reason, WithheldReason::Conflict);
    assert_eq!(effective.withheld[0].candidates.len(), 2);
}

#[test]
fn only_a_contradicted_rule_is_withheld() {
    let windows = facts(Platform::Windows);
    let rules: Vec<_> = Catalogue::builtin()
        .settings()
        .filter(|setting| setting.merge == MergeMode::PerRule)
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
    let windows = facts(Platform::Windows);
    assert_eq!(resolved(windows, &[&settings]).withheld[0].reason, WithheldReason::Platform);
    let mdm = Facts { channel: Channel::Mdm, ..linux() };
    assert_eq!(resolved(mdm, &[&settings]).withheld[0].reason, WithheldReason::Channel);
    let gone = one("no_longer_in_the_catalogue", SettingValue::Boolean(true));
    assert_eq!(resolved(linux(), &[&gone]).withheld[0].reason, WithheldReason::Channel);
}

#[test]
fn the_best_priority_wins_and_losers_are_told() {
    let (a, b) = (level("real_time"), level("passive"));
    for (policies, winner, losers) in [
        ([(&a, 2), (&b, 1)], "passive", vec![1]),
        ([(&a, 2), (&b, 3)], "real_time", vec![2]),
        ([(&a, 0), (&b, 1_000)], "passive", vec![1]),
        ([(&a, 1), (&a, 0)], "real_time", vec![]),
    ] {
        let InForce { value, losers: found, .. } = with_priorities(&policies).settings.remove(0);
        assert_eq!(value, SettingValue::Text(winner.into()));
        let found: Vec<_> = found.iter().map(|loser| loser.source.policy.uuid().as_u128()).collect();
        assert_eq!(found, losers);
    }
}

#[test]
fn policies_of_the_best_priority_that_differ_are_a_conflict_whatever_others_say() {
    let (a, b) = (level("real_time"), level("passive"));
    for priorities in [[1, 1, 2], [0, 0, 0], [7, 7, 0]] {
        let policies = [(&a, priorities[0]), (&b, priorities[1]), (&a, priorities[2])];
        let effective = with_priorities(&policies);
        assert!(effective.settings.is_empty());
        assert_eq!(effective.withheld[0].candidates.len(), 3);
    }
}

#[test]
fn whoever_wants_what_won_has_a_part_in_it() {
    let (a, b) = (level("real_time"), level("passive"));
    let effective = with_priorities(&[(&a, 1), (&b, 2), (&a, 0)]);
    assert_eq!(policies_of(&effective.settings[0].sources), [1, 3]);
}

#[test]
fn a_priority_decides_key_by_key() {
    let a =
        threats(vec![threat("archive_bomb", "audit"), threat("potentially_unwanted_application", "block")]);
    let b = threats(vec![threat("archive_bomb", "block")]);
    let effective = with_priorities(&[(&a, 2), (&b, 1)]);
    let InForce { value, sources, losers, .. } = &effective.settings[0];
    let SettingValue::Objects(items) = value else { panic!("{value}") };
    assert_eq!(items.len(), 2);
    assert!(items.contains(&threat("archive_bomb", "block")));
    assert_eq!(policies_of(sources), [1, 2]);
    assert_eq!(losers[0].value, SettingValue::Objects(vec![threat("archive_bomb", "audit")]));
    assert!(effective.withheld.is_empty());
}

#[test]
fn lists_that_are_too_long_together_are_withheld_unless_a_priority_decides() {
    let list = |from: u32, count: u32| {
        let items = (from..from + count).map(|n| format!("threat-{n:05}")).collect();
        one("allowed_threats", SettingValue::Strings(items))
    };
    let (a, b) = (list(0, 1_500), list(1_000, 1_500));
    assert_eq!(with_priorities(&[(&list(0, 1_000), 0), (&list(500, 1_000), 0)]).settings.len(), 1);
    let effective = with_priorities(&[(&a, 0), (&b, 0)]);
    assert!(effective.settings.is_empty());
    assert_eq!(effective.withheld[0].reason, WithheldReason::Conflict);
    assert_eq!(effective.withheld[0].candidates.len(), 2);
    let decided = with_priorities(&[(&a, 0), (&b, 5)]);
    assert_eq!(decided.settings[0].value, with_priorities(&[(&b, 0)]).settings[0].value);
    assert_eq!(policies_of(&decided.settings[0].sources), [2]);
    assert_eq!(decided.settings[0].losers.len(), 1);
    assert!(with_priorities(&[(&a, 5), (&b, 5)]).settings.is_empty());
}

#[test]
fn firewall_rules_of_all_policies_are_delivered_contradictions_included() {
    let rule = |action: &str| -> BTreeMap<String, SettingValue> {
        [("name", "ssh"), ("action_type", action)]
            .map(|(name, value)| (name.into(), SettingValue::Text(value.into())))
            .into()
    };
    let id: SettingId = "windows-firewall-rules/rules".parse().unwrap();
    let setting = Catalogue::builtin().setting(&id).unwrap();
    assert_eq!(setting.merge, MergeMode::Concatenate);
    let policy = |rules| Settings::from([(id.clone(), SettingValue::Objects(rules))]);
    let (a, b) = (policy(vec![rule("block")]), policy(vec![rule("allow"), rule("block")]));
    let windows = facts(Platform::Windows);
    let effective = resolved(windows, &[&a, &b]);
    assert_eq!(effective.settings[0].value, SettingValue::Objects(vec![rule("allow"), rule("block")]));
    assert_eq!(effective.etag, resolved(windows, &[&b, &a]).etag);
    assert!(effective.withheld.is_empty());
}

#[test]
fn the_most_rules_of_one_policy_do_not_bound_those_of_several() {
    let mut setting = Catalogue::builtin().setting(&id("allowed_threats")).unwrap().clone();
    setting.merge = MergeMode::Concatenate;
    let Kind::TextList { max_items, .. } = &mut setting.kind else { panic!("{:?}", setting.kind) };
    *max_items = 150;
    let list = |from: u32| SettingValue::Strings((from..from + 150).map(|n| n.to_string()).collect());
    let lists: Vec<_> = (0..14).map(|n| list(n * 150)).collect();
    let source = Arc::new(Source { policy: policy(1), revision: 1, priority: None, groups: Vec::new() });
    let offers: Vec<_> = lists.iter().map(|value| Offer { value, source: source.clone() }).collect();
    assert!(merge::merge(&setting, &offers[..2]).value.is_some());
    assert_eq!(merge::merge(&setting, &offers).conflicting.len(), 14);
    setting.merge = MergeMode::Union;
    assert_eq!(merge::merge(&setting, &offers[..2]).conflicting.len(), 2);
}

#[test]
fn a_waiver_takes_offers_out_before_merging() {
    let (a, b) = (level("real_time"), level("passive"));
    let both = [(&a, 0), (&b, 0)];
    let exempt = Exempt::Policy(policy(2));
    let effective = exempted(&both, std::slice::from_ref(&exempt));
    assert_eq!(effective.settings, with_priorities(&[(&a, 0)]).settings);
    assert!(effective.withheld.is_empty());
    let nothing = exempted(&both, &[exempt, Exempt::SettingOf(policy(1), id("enforcement_level"))]);
    assert_eq!(nothing.withheld[0].reason, WithheldReason::Waived);
    assert_eq!(nothing.withheld[0].candidates.len(), 2);
    assert!(nothing.settings.is_empty());
}

#[test]
fn a_waiver_of_one_setting_leaves_the_others() {
    let mut settings = level("real_time");
    settings.extend(one("allowed_threats", texts(&["a"])));
    let effective = exempted(&[(&settings, 0)], &[Exempt::Setting(id("enforcement_level"))]);
    assert_eq!(effective.settings[0].id, id("allowed_threats"));
    assert_eq!(effective.withheld[0].id, id("enforcement_level"));
}

#[test]
fn what_tamper_protection_guards_is_delivered_and_marked() {
    let setting = "windows-antivirus/allow_realtime_monitoring";
    let value = Catalogue::builtin().setting(&setting.parse().unwrap()).unwrap();
    let settings = Settings::from([(value.id.clone(), value.default.clone().unwrap())]);
    let windows = facts(Platform::Windows);
    for (tamper, guarded) in [
        (TamperLock::Unknown, false),
        (TamperLock::Off, false),
        (TamperLock::On, true),
        (TamperLock::OnWithExclusions, true),
    ] {
        let effective = resolved(Facts { tamper, ..windows }, &[&settings]);
        assert_eq!(effective.settings[0].tamper_guarded, guarded);
        assert_eq!(effective.etag, resolved(windows, &[&settings]).etag);
    }
}

#[test]
fn without_a_policy_the_others_have_their_say_again() {
    let a = one("enforcement_level", SettingValue::Text("real_time".into()));
    let b = one("enforcement_level", SettingValue::Text("passive".into()));
    assert_ne!(resolved(linux(), &[&a, &b]).etag, resolved(linux(), &[&a]).etag);
    assert_eq!(resolved(linux(), &[&a]).settings[0].value, SettingValue::Text("real_time".into()));
}
