//! What holds whatever policies say.

use muster_catalog::Catalogue;
use muster_types::{GroupId, SettingValue, WithheldReason};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Settings, exempted, id, linux, one, policy, reaching, resolved, threat, with_priorities};
use crate::domain::resolve::{Reaching, resolve};
use crate::domain::waiver::Exempt;

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

fn any_preferred() -> impl Strategy<Value = Vec<(Settings, u32)>> {
    prop::collection::vec((any_settings(), 0..3_u32), 0..5)
}

fn any_policies() -> impl Strategy<Value = Vec<Settings>> {
    prop::collection::vec(any_settings(), 0..5)
}

proptest! {
    #[test]
    fn the_order_of_policies_does_not_matter(policies in any_policies(), seed: u64) {
        let mut turned: Vec<_> = (1..).zip(&policies).map(|(n, settings)| reaching(n, settings)).collect();
        turned.sort_by_key(|reaching| reaching.policy.uuid().as_u128().wrapping_mul(u128::from(seed | 1)) % 97);
        let straight = resolved(linux(), &policies.iter().collect::<Vec<_>>());
        prop_assert_eq!(resolve(&linux(), &turned, &[], Catalogue::builtin()), straight);
    }

    #[test]
    fn a_revision_that_changes_no_setting_keeps_the_etag(policies in any_policies()) {
        let before: Vec<_> = (1..).zip(&policies).map(|(n, settings)| reaching(n, settings)).collect();
        let mut after = before.clone();
        after.iter_mut().for_each(|reaching| {
            reaching.revision += 1;
            reaching.groups.push(GroupId::from_uuid(Uuid::from_u128(10)));
        });
        let etag = |reaching: &[Reaching<'_>]| resolve(&linux(), reaching, &[], Catalogue::builtin()).etag;
        prop_assert_eq!(etag(&before), etag(&after));
    }

    #[test]
    fn a_policy_without_settings_for_the_device_changes_nothing_in_force(policies in any_policies()) {
        let foreign = Settings::from([("windows-antivirus/x".parse().unwrap(), SettingValue::Boolean(true))]);
        let alone = resolved(linux(), &policies.iter().collect::<Vec<_>>());
        let beside = resolved(linux(), &policies.iter().chain([&foreign]).collect::<Vec<_>>());
        prop_assert_eq!(alone.settings, beside.settings);
        prop_assert_eq!(alone.etag, beside.etag);
    }

    #[test]
    fn the_same_values_twice_are_the_same_values(settings in any_settings()) {
        prop_assert_eq!(resolved(linux(), &[&settings]).etag, resolved(linux(), &[&settings, &settings]).etag);
    }

    #[test]
    fn removing_a_policy_restores_what_the_others_say(
        policies in any_preferred(),
        extra in any_settings(),
        priority in 0..3_u32,
    ) {
        let alone: Vec<_> = policies.iter().map(|(settings, priority)| (settings, *priority)).collect();
        let mut with = alone.clone();
        with.push((&extra, priority));
        let waived = exempted(&with, &[Exempt::Policy(policy(with.len() as u128))]);
        prop_assert_eq!(&waived.settings, &with_priorities(&alone).settings);
        with.pop();
        prop_assert_eq!(with_priorities(&with), with_priorities(&alone));
    }

    #[test]
    fn an_unrelated_policy_changes_nothing(policies in any_preferred(), priority in 0..3_u32) {
        let unrelated = one("scan_archives", SettingValue::Boolean(true));
        let alone: Vec<_> = policies.iter().map(|(settings, priority)| (settings, *priority)).collect();
        let mut with = alone.clone();
        with.push((&unrelated, priority));
        let mut beside = with_priorities(&with);
        beside.settings.retain(|setting| setting.id != id("scan_archives"));
        let alone = with_priorities(&alone);
        prop_assert_eq!((beside.settings, beside.withheld), (alone.settings, alone.withheld));
    }

    #[test]
    fn a_waiver_that_ended_restores_and_one_of_nothing_carried_changes_nothing(policies in any_preferred()) {
        let policies: Vec<_> = policies.iter().map(|(settings, priority)| (settings, *priority)).collect();
        let before = with_priorities(&policies);
        let elsewhere = [Exempt::Setting(id("scan_archives")), Exempt::Policy(policy(99))];
        prop_assert_eq!(&exempted(&policies, &elsewhere), &before);
        prop_assert_eq!(exempted(&policies, &[]), before);
    }

    #[test]
    fn with_each_its_own_priority_nothing_is_a_conflict(policies in any_policies()) {
        let policies: Vec<_> = policies.iter().zip(1..).collect();
        let effective = with_priorities(&policies);
        prop_assert!(effective.withheld.iter().all(|withheld| withheld.reason != WithheldReason::Conflict));
    }

    #[test]
    fn ids_of_policies_do_not_matter_to_the_device(policies in any_preferred()) {
        let straight: Vec<_> = policies.iter().map(|(settings, priority)| (settings, *priority)).collect();
        let mut turned = straight.clone();
        turned.reverse();
        prop_assert_eq!(with_priorities(&straight).etag, with_priorities(&turned).etag);
    }

    #[test]
    fn no_setting_is_told_twice_on_either_side(policies in any_preferred()) {
        let policies: Vec<_> = policies.iter().map(|(settings, priority)| (settings, *priority)).collect();
        let effective = with_priorities(&policies);
        prop_assert!(effective.settings.windows(2).all(|pair| pair[0].id < pair[1].id));
        prop_assert!(effective.withheld.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn union_commutes(a in prop::collection::vec("[a-d]", 0..4), b in prop::collection::vec("[a-d]", 0..4)) {
        let (a, b) = (one("allowed_threats", SettingValue::Strings(a)), one("allowed_threats", SettingValue::Strings(b)));
        prop_assert_eq!(resolved(linux(), &[&a, &b]).etag, resolved(linux(), &[&b, &a]).etag);
    }

    #[test]
    fn what_is_in_force_is_what_was_offered(policies in any_policies()) {
        let effective = resolved(linux(), &policies.iter().collect::<Vec<_>>());
        for setting in &effective.settings {
            prop_assert!(!setting.sources.is_empty());
            prop_assert!(policies.iter().any(|policy| policy.contains_key(&setting.id)));
        }
        for withheld in &effective.withheld {
            prop_assert!(!withheld.candidates.is_empty());
        }
    }
}
