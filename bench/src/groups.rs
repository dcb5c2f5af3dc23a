//! Dynamic groups of a large fleet: rules against bare set algebra and against a loop over structs, single changes, and
//! what a device costs in memory.

mod fleet;
mod live;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use muster_identity::domain::membership::Fleet;
use muster_identity::domain::rule::{Expression, Node, Predicate, Quantifier, Rule, Test, Truth, Wanted};
use muster_types::GroupId;
use roaring::{MultiOps as _, RoaringBitmap};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::measure::{Limit, Row, median, rate};
use fleet::{Device, PROPERTIES, rules};

pub(crate) use live::{delete, latency};

const LARGE: u32 = 1_000_000;
const RULES: usize = 100;
const GROUPS: usize = 1_000;
const CHANGES: u32 = 200_000;
const ALGEBRA_RATIO_MAX: f64 = 1.5;
const NAIVE_RATIO_MIN: f64 = 10.0;
const CHANGES_A_SECOND_MIN: f64 = 20_000.0;
const BYTES_PER_DEVICE_MAX: f64 = 400.0;

/// 100 mixed rules over 1,000,000 devices against the same sets in bare roaring: a set for each value, found in advance
/// where a rule names values; where it searches texts, the bare thing searches the same ones.
pub(crate) fn algebra(rounds: usize) -> anyhow::Result<Row> {
    let fleet = fleet::indexed(LARGE, 0);
    let devices = fleet::structs(LARGE);
    let rules = parsed(RULES)?;
    let bare = Bare::of(&devices, &rules);
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let (product, members) = timed(|| asked(&fleet, &rules));
        let (plain, expected): (_, Vec<RoaringBitmap>) =
            timed(|| rules.iter().map(|rule| bare.answer(rule.root())).collect());
        anyhow::ensure!(members == expected, "the index and bare set algebra differ");
        pairs.push((product, plain));
    }
    Ok(of_times(
        "100 rules, 1,000,000 devices, to bare roaring",
        &pairs,
        ratio,
        Limit::RatioAtMost(ALGEBRA_RATIO_MAX),
    ))
}

/// The same rules against a loop over structs.
pub(crate) fn naive(rounds: usize) -> anyhow::Result<Row> {
    let fleet = fleet::indexed(LARGE, 0);
    let devices = fleet::structs(LARGE);
    let rules = parsed(RULES)?;
    let mut pairs = Vec::new();
    for _ in 0..rounds.min(2) {
        let (product, members) = timed(|| asked(&fleet, &rules));
        let (plain, expected) = timed(|| {
            let inside = |rule: &Rule| -> RoaringBitmap {
                let is = |device: &&Device| rule.says_by(&|test| device.says(test)) == Truth::True;
                devices.iter().filter(is).map(|device| device.ordinal).collect()
            };
            rules.iter().map(inside).collect::<Vec<_>>()
        });
        anyhow::ensure!(members == expected, "the index and the loop differ");
        pairs.push((product, plain));
    }
    let faster = |(product, plain): &(Duration, Duration)| plain.as_secs_f64() / product.as_secs_f64();
    Ok(of_times(
        "100 rules, 1,000,000 devices, to a loop",
        &pairs,
        faster,
        Limit::RatioAtLeast(NAIVE_RATIO_MIN),
    ))
}

/// Changes of one attribute of one device with 1,000 groups, each up to what the groups concerned say of the device now.
pub(crate) fn changes(rounds: usize) -> anyhow::Result<Row> {
    let mut fleet = fleet::indexed(LARGE / 10, 0);
    for (number, rule) in parsed(GROUPS)?.into_iter().enumerate() {
        fleet.define(GroupId::from_uuid(Uuid::from_u128(number as u128)), rule);
    }
    fleet.follow();
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let (took, turned) = timed(|| change_all(&mut fleet));
        anyhow::ensure!(turned > 0, "no group changed");
        rates.push(rate(CHANGES as usize, took));
    }
    let found = median(rates);
    Ok(Row {
        name: "changes of a device a second, 1,000 groups",
        product: format!("{found:.0}/s"),
        bare: format!("{CHANGES_A_SECOND_MIN:.0}/s"),
        value: found / CHANGES_A_SECOND_MIN,
        limit: Limit::RatioAtLeast(1.0),
    })
}

fn change_all(fleet: &mut Fleet) -> u64 {
    let mut turned = 0;
    for number in 0..CHANGES {
        let (ordinal, property, attribute) = fleet::change(number, LARGE / 10);
        fleet.tell(ordinal, property, attribute.as_ref());
        let marks = fleet.take_marks();
        for (group, ordinals) in &marks.devices {
            if let Some(rule) = fleet.rules().get(*group) {
                turned += black_box(fleet.index().verdict_of(rule, ordinals)).inside.len() + 1;
            }
        }
    }
    turned
}

/// What a device costs in the index, at a million devices, as the view of identity holds it.
pub(crate) fn memory() -> anyhow::Result<Row> {
    let view = fleet::view(LARGE)?;
    #[expect(clippy::cast_precision_loss, reason = "a figure needs no more digits")]
    let per_device = view.size_bytes() as f64 / f64::from(LARGE);
    Ok(Row {
        name: "memory of a device for rules, of 1,000,000",
        product: format!("{per_device:.0} B"),
        bare: "-".to_owned(),
        value: per_device,
        limit: Limit::BytesAtMost(BYTES_PER_DEVICE_MAX),
    })
}

fn asked(fleet: &Fleet, rules: &[Rule]) -> Vec<RoaringBitmap> {
    rules.iter().map(|rule| fleet.index().verdict(rule).inside).collect()
}

fn parsed(count: usize) -> anyhow::Result<Vec<Rule>> {
    Ok(rules(count).iter().map(|text| Rule::parse(text)).collect::<Result<_, _>>()?)
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let outcome = run();
    (start.elapsed(), outcome)
}

fn ratio((product, plain): &(Duration, Duration)) -> f64 {
    product.as_secs_f64() / plain.as_secs_f64()
}

fn of_times(
    name: &'static str,
    pairs: &[(Duration, Duration)],
    value: impl Fn(&(Duration, Duration)) -> f64,
    limit: Limit,
) -> Row {
    let millis = |times: Vec<&Duration>| {
        format!("{:.1} ms", median(times.iter().map(|time| time.as_secs_f64() * 1e3).collect()))
    };
    Row {
        name,
        product: millis(pairs.iter().map(|(product, _)| product).collect()),
        bare: millis(pairs.iter().map(|(_, plain)| plain).collect()),
        value: median(pairs.iter().map(value).collect()),
        limit,
    }
}

/// Set algebra without anything around it.
struct Bare {
    all: RoaringBitmap,
    /// The devices of each text, by property.
    values: Vec<Vec<(Box<str>, RoaringBitmap)>>,
    /// The devices that have something, by property.
    has: Vec<RoaringBitmap>,
    /// Texts of the property that is of each device its own, by ordinal.
    names: Vec<Box<str>>,
    /// Places in `values` of what each test lets pass, by the test's place in memory.
    passing: FxHashMap<*const Test, Vec<usize>>,
}

impl Bare {
    fn of(devices: &[Device], rules: &[Rule]) -> Self {
        let mut values = Vec::new();
        let mut has = Vec::new();
        for place in 0..PROPERTIES.len() {
            let mut by_text = BTreeMap::<Box<str>, RoaringBitmap>::new();
            // Names are of each device its own: no set each.
            for device in devices.iter().filter(|_| place > 0) {
                for text in device.texts(place) {
                    by_text.entry(text.clone()).or_default().insert(device.ordinal);
                }
            }
            has.push(if place == 0 { (0..).take(devices.len()).collect() } else { by_text.values().union() });
            values.push(by_text.into_iter().collect::<Vec<_>>());
        }
        let mut bare = Self {
            all: devices.iter().map(|device| device.ordinal).collect(),
            values,
            has,
            names: devices.iter().map(|device| device.texts(0)[0].clone()).collect(),
            passing: FxHashMap::default(),
        };
        rules.iter().for_each(|rule| bare.find(rule.root()));
        bare
    }

    fn find(&mut self, node: &Node) {
        if let Expression::Test(test) = &node.expression {
            let place = fleet::place(test.property);
            let fails = test.quantifier == Quantifier::All;
            let values = self.values[place].iter().enumerate();
            let found = values.filter(|(_, (text, _))| test.predicate.of_text(text) != fails);
            self.passing.insert(std::ptr::from_ref(test), found.map(|(at, _)| at).collect());
        }
        node.children().iter().for_each(|part| self.find(part));
    }

    fn answer(&self, node: &Node) -> RoaringBitmap {
        match &node.expression {
            Expression::And(parts) => parts.iter().map(|part| self.answer(part)).intersection(),
            Expression::Or(parts) => parts.iter().map(|part| self.answer(part)).union(),
            Expression::Not(part) => &self.all - self.answer(part),
            Expression::Test(test) => {
                let passing = self.tested(test);
                if test.negated { &self.all - passing } else { passing }
            }
        }
    }

    fn tested(&self, test: &Test) -> RoaringBitmap {
        let place = fleet::place(test.property);
        if place == 0 {
            let names = (0..).zip(&self.names).filter(|(_, name)| test.predicate.of_text(name));
            return names.map(|(ordinal, _)| ordinal).collect();
        }
        let sets = self.passing[&std::ptr::from_ref(test)].iter().map(|at| &self.values[place][*at].1);
        let passing = match test.quantifier {
            Quantifier::Any => sets.union(),
            Quantifier::All => &self.has[place] - sets.union(),
        };
        let nothing =
            matches!(&test.predicate, Predicate::Equals(Wanted::Null)) || test.quantifier == Quantifier::All;
        if nothing { passing | (&self.all - &self.has[place]) } else { passing }
    }
}
