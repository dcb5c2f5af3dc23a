//! Set algebra says what rules say of each device, and asking only about what changed says what asking all says.

use std::collections::{BTreeMap, BTreeSet};

use muster_types::{DeviceId, GroupId};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::{Fleet, Marks};
use crate::domain::group::Verdict;
use crate::domain::rule::{Attribute, Described, Kind, Property, Rule, Truth};

/// Properties of every kind and source.
const PROPERTIES: [&str; 13] = [
    "displayName",
    "deviceOSType",
    "managementType",
    "tags",
    "enrollmentCode",
    "accountEnabled",
    "deviceId",
    "objectId",
    "isRooted",
    "extensionAttribute1",
    "profileType",
    "systemLabels",
    "devicePhysicalIds",
];
const SURVEYED: [&str; 2] = ["displayName", "deviceOSType"];
const OF_SERVICES: [&str; 4] = ["managementType", "tags", "enrollmentCode", "accountEnabled"];
const IDS: [&str; 2] = ["deviceId", "objectId"];
const TEXTS: [&str; 6] = ["", "a", "ab", "Abc", "registeredDevice", "00000000-0000-0000-0000-000000000001"];
const DEVICES: u32 = 6;
const STATIC_GROUPS: u128 = 2;

fn named(name: &str) -> Property {
    Property::named(name).unwrap_or_else(|| panic!("{name} is no property"))
}

fn device(ordinal: u32) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(u128::from(ordinal)))
}

fn static_group(number: u128) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(0x5747_0000 + number))
}

/// What is told of a device, as simple as can be.
#[derive(Debug, Clone, Default)]
struct Naive {
    present: bool,
    untold: bool,
    own: BTreeMap<&'static str, Option<Attribute>>,
    directory: BTreeMap<&'static str, Attribute>,
    groups: BTreeSet<u128>,
}

impl Naive {
    fn described(&self, ordinal: u32) -> Described {
        let mut described = Described::default();
        for name in PROPERTIES {
            let own = self.own.get(name).cloned().unwrap_or(Some(Attribute::Unknown));
            let directory = self.directory.get(name).cloned();
            let attribute = if SURVEYED.contains(&name) {
                if own == Some(Attribute::Unknown) { directory.or(own) } else { own }
            } else if OF_SERVICES.contains(&name) {
                own
            } else if IDS.contains(&name) {
                directory.or_else(|| Some(Attribute::Text(device(ordinal).to_string().into())))
            } else {
                directory.or_else(|| self.untold.then_some(Attribute::Unknown))
            };
            if let Some(attribute) = attribute {
                described.tell(named(name), attribute);
            }
        }
        let groups = self.groups.iter().map(|number| static_group(*number).to_string().into()).collect();
        described.tell(named("memberOf"), Attribute::Collection(groups));
        described
    }
}

#[derive(Debug, Clone)]
enum Step {
    Present(u32, bool),
    Untold(u32, bool),
    Own(u32, &'static str, Option<Attribute>),
    Directory(u32, &'static str, Option<Attribute>),
    Member(u32, u128, bool),
    Rule(usize, String),
    Forget(usize),
}

fn text() -> impl Strategy<Value = Box<str>> + Clone {
    prop::sample::select(&TEXTS[..]).prop_map(Into::into)
}

/// Nothing is nothing, however it is told.
fn attribute(name: &'static str) -> BoxedStrategy<Option<Attribute>> {
    let some = match named(name).kind() {
        Kind::Bool => any::<bool>().prop_map(Attribute::Bool).boxed(),
        Kind::Text => text().prop_filter("a text", |text| !text.is_empty()).prop_map(Attribute::Text).boxed(),
        Kind::Collection | Kind::Groups => {
            prop::collection::vec(text(), 1..3).prop_map(|items| Attribute::Collection(items.into())).boxed()
        }
    };
    prop_oneof![6 => some.prop_map(Some), 1 => Just(None)].boxed()
}

fn step() -> impl Strategy<Value = Step> {
    let ordinal = 0..DEVICES;
    let own = prop::sample::select([&SURVEYED[..], &OF_SERVICES[..]].concat()).prop_flat_map(move |name| {
        let attribute = prop_oneof![5 => attribute(name), 1 => Just(Some(Attribute::Unknown))];
        (0..DEVICES, Just(name), attribute)
    });
    let others: Vec<_> = PROPERTIES.iter().copied().filter(|name| !OF_SERVICES.contains(name)).collect();
    let directory =
        prop::sample::select(others).prop_flat_map(move |name| (0..DEVICES, Just(name), attribute(name)));
    prop_oneof![
        2 => (ordinal.clone(), any::<bool>()).prop_map(|(ordinal, is)| Step::Present(ordinal, is)),
        1 => (ordinal.clone(), any::<bool>()).prop_map(|(ordinal, is)| Step::Untold(ordinal, is)),
        5 => own.prop_map(|(ordinal, name, attribute)| Step::Own(ordinal, name, attribute)),
        5 => directory.prop_map(|(ordinal, name, attribute)| Step::Directory(ordinal, name, attribute)),
        1 => (ordinal, 0..STATIC_GROUPS, any::<bool>()).prop_map(|(o, group, is)| Step::Member(o, group, is)),
        2 => (0usize..3, rule()).prop_map(|(number, rule)| Step::Rule(number, rule)),
        1 => (0usize..3).prop_map(Step::Forget),
    ]
}

/// A rule of any form.
fn rule() -> impl Strategy<Value = String> {
    let parts = comparison().prop_recursive(3, 12, 3, |part| {
        let several = prop::collection::vec(part.clone(), 2..4);
        prop_oneof![
            (several.clone()).prop_map(|parts| format!("({})", parts.join(" -and "))),
            (several).prop_map(|parts| format!("({})", parts.join(" -or "))),
            part.prop_map(|part| format!("-not ({part})")),
        ]
    });
    let member_of = prop::collection::vec(0..STATIC_GROUPS + 1, 1..3).prop_map(|numbers| {
        let ids: Vec<_> = numbers.iter().map(|number| format!("'{}'", static_group(*number))).collect();
        format!("device.memberOf -any (group.objectId -in [{}])", ids.join(","))
    });
    prop_oneof![9 => parts, 1 => member_of]
}

fn comparison() -> impl Strategy<Value = String> {
    prop::sample::select(&PROPERTIES[..]).prop_flat_map(|name| {
        let operators = ["-startsWith", "-notStartsWith", "-endsWith", "-contains", "-notContains", "-match"];
        let quoted = text().prop_map(|text| format!("\"{text}\""));
        let equals = prop::sample::select(vec!["-eq", "-ne"]);
        let list =
            prop::collection::vec(quoted.clone(), 1..3).prop_map(|texts| format!("[{}]", texts.join(",")));
        let of_text = prop_oneof![
            3 => (equals.clone(), prop_oneof![4 => quoted.clone(), 1 => Just("null".to_owned())]),
            2 => (prop::sample::select(operators.to_vec()), quoted),
            1 => (prop::sample::select(vec!["-in", "-notIn"]), list),
        ];
        match named(name).kind() {
            Kind::Bool => (equals, prop::sample::select(vec!["true", "false", "null"]))
                .prop_map(move |(op, value)| format!("device.{name} {op} {value}"))
                .boxed(),
            Kind::Text => of_text.prop_map(move |(op, value)| format!("device.{name} {op} {value}")).boxed(),
            Kind::Collection | Kind::Groups => (prop::sample::select(vec!["-any", "-all"]), of_text)
                .prop_map(move |(all, (op, value))| format!("device.{name} {all} (_ {op} {value})"))
                .boxed(),
        }
    })
}

/// The fleet, what it is told, and the groups as they should be.
#[derive(Default)]
struct Model {
    fleet: Fleet,
    naive: Vec<Naive>,
    groups: BTreeMap<GroupId, Group>,
}

struct Group {
    rule: Rule,
    /// Asked only about what was marked.
    followed: RoaringBitmap,
    /// Asked about every device, one by one, after every step.
    expected: RoaringBitmap,
}

impl Model {
    fn new() -> Self {
        let mut model = Self::default();
        model.fleet.follow();
        for ordinal in 0..DEVICES {
            assert_eq!(model.fleet.admit(device(ordinal)), ordinal);
            model.naive.push(Naive::default());
        }
        model
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Present(ordinal, present) => {
                self.naive[ordinal as usize].present = present;
                self.fleet.set_present(ordinal, present);
            }
            Step::Untold(ordinal, untold) => {
                self.naive[ordinal as usize].untold = untold;
                self.fleet.set_untold(ordinal, untold);
            }
            Step::Own(ordinal, name, attribute) => {
                self.fleet.tell(ordinal, named(name), attribute.as_ref());
                self.naive[ordinal as usize].own.insert(name, attribute);
            }
            Step::Directory(ordinal, name, attribute) => {
                self.fleet.tell_by_directory(ordinal, named(name), attribute.as_ref());
                let told = &mut self.naive[ordinal as usize].directory;
                match attribute {
                    Some(attribute) => told.insert(name, attribute),
                    None => told.remove(name),
                };
            }
            Step::Member(ordinal, number, is) => {
                let (one, none) = (RoaringBitmap::from_iter([ordinal]), RoaringBitmap::new());
                let groups = &mut self.naive[ordinal as usize].groups;
                let (added, removed) = if is { (one, none) } else { (none, one) };
                if is {
                    groups.insert(number)
                } else {
                    groups.remove(&number)
                };
                self.fleet.members_changed(static_group(number), &added, &removed);
            }
            Step::Rule(number, text) => {
                let group = GroupId::from_uuid(Uuid::from_u128(number as u128));
                let rule = Rule::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                self.fleet.define(group, rule.clone());
                let had = self.groups.remove(&group);
                let (followed, expected) = had.map(|had| (had.followed, had.expected)).unwrap_or_default();
                self.groups.insert(group, Group { rule, followed, expected });
            }
            Step::Forget(number) => {
                let group = GroupId::from_uuid(Uuid::from_u128(number as u128));
                self.groups.remove(&group);
                self.fleet.forget(group);
            }
        }
    }

    /// Asks every device, one by one. What is unknown stays.
    fn expect(&mut self) {
        for group in self.groups.values_mut() {
            for (ordinal, naive) in (0..).zip(&self.naive) {
                let says = group.rule.says_of(&naive.described(ordinal));
                match (naive.present, says) {
                    (true, Truth::True) => group.expected.insert(ordinal),
                    (true, Truth::Unknown) => true,
                    (false, _) | (true, Truth::False) => group.expected.remove(ordinal),
                };
            }
        }
    }

    /// Asks about what was marked.
    fn follow(&mut self) {
        let Marks { groups, devices, gone } = self.fleet.take_marks();
        let index = self.fleet.index();
        for (id, group) in &mut self.groups {
            group.followed -= &gone;
            let verdict = match (groups.contains(id), devices.get(id)) {
                (true, _) => index.verdict(&group.rule),
                (false, Some(ordinals)) => index.verdict_of(&group.rule, ordinals),
                (false, None) => continue,
            };
            let Verdict { within, inside, unknown } = verdict;
            let looked_at = within.unwrap_or_else(|| group.followed.clone());
            group.followed -= looked_at - &unknown;
            group.followed |= inside;
        }
    }
}

proptest! {
    #[test]
    fn set_algebra_says_of_each_device_what_its_rule_says(
        steps in prop::collection::vec(step(), 0..60),
        rules in prop::collection::vec(rule(), 1..12),
    ) {
        let mut model = Model::new();
        steps.into_iter().for_each(|step| model.take(step));
        for text in rules {
            let rule = Rule::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let verdict = model.fleet.index().verdict(&rule);
            prop_assert!(verdict.inside.is_disjoint(&verdict.unknown));
            for (ordinal, naive) in (0..).zip(&model.naive) {
                let described = naive.described(ordinal);
                let says = rule.says_of(&described);
                let lower = model.fleet.index().described(ordinal);
                prop_assert_eq!(rule.says_of(&lower), says, "{} of {:?}", text, described);
                prop_assert_eq!(model.fleet.index().says(&rule, ordinal), says, "{} of {:?}", text, described);
                let by_sets = (verdict.inside.contains(ordinal), verdict.unknown.contains(ordinal));
                let expected = (says == Truth::True, says == Truth::Unknown);
                let expected = if naive.present { expected } else { (false, false) };
                prop_assert_eq!(by_sets, expected, "{} of {:?}", text, described);
            }
        }
    }

    #[test]
    fn asking_only_about_what_changed_says_what_asking_all_says(
        bursts in prop::collection::vec(prop::collection::vec(step(), 1..3), 1..60),
    ) {
        let mut model = Model::new();
        for steps in bursts {
            steps.into_iter().for_each(|step| model.take(step));
            model.expect();
            model.follow();
            for group in model.groups.values() {
                prop_assert_eq!(&group.followed, &group.expected, "{}", group.rule.text());
            }
        }
    }
}
