//! Which rules read what.

use muster_types::GroupId;
use rustc_hash::FxHashMap;

use super::Index;
use crate::domain::rule::{Attribute, Expression, Node, Predicate, Property, Rule, Test, Truth, Wanted};

/// The rules of dynamic groups, found by what they read.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Option<(GroupId, Rule)>>,
    by_group: FxHashMap<GroupId, u32>,
    free: Vec<u32>,
    readers: [Readers; Property::COUNT],
    /// By the static groups whose members they read, as rules write them.
    by_source: FxHashMap<Box<str>, Vec<u32>>,
}

/// Rules that read a property.
#[derive(Debug, Default)]
struct Readers {
    /// Those that only ask whether it is one of some texts, by these texts.
    by_text: FxHashMap<Box<str>, Vec<u32>>,
    /// Those that ask something else, too.
    others: Vec<u32>,
    /// All of them.
    all: Vec<u32>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            by_group: FxHashMap::default(),
            free: Vec::new(),
            readers: std::array::from_fn(|_| Readers::default()),
            by_source: FxHashMap::default(),
        }
    }
}

impl Rules {
    /// The rule of a group.
    #[must_use]
    pub fn get(&self, group: GroupId) -> Option<&Rule> {
        let (_, rule) = self.rules.get(*self.by_group.get(&group)? as usize)?.as_ref()?;
        Some(rule)
    }

    /// All rules, with their groups, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (GroupId, &Rule)> {
        self.rules.iter().flatten().map(|(group, rule)| (*group, rule))
    }

    /// Gives a group a rule, in the place of the one it had.
    pub fn put(&mut self, group: GroupId, rule: Rule) {
        self.remove(group);
        let number = self.free.pop().unwrap_or_else(|| {
            self.rules.push(None);
            u32::try_from(self.rules.len() - 1).expect("there are fewer groups than that")
        });
        for property in rule.reads() {
            let readers = &mut self.readers[property.index()];
            readers.all.push(number);
            match texts(&rule, property) {
                Some(texts) => {
                    texts.into_iter().for_each(|text| readers.by_text.entry(text).or_default().push(number));
                }
                None => readers.others.push(number),
            }
        }
        for source in rule.source_groups() {
            self.by_source.entry(source.clone()).or_default().push(number);
        }
        self.rules[number as usize] = Some((group, rule));
        self.by_group.insert(group, number);
    }

    /// Takes the rule of a group away.
    pub fn remove(&mut self, group: GroupId) {
        let Some(number) = self.by_group.remove(&group) else { return };
        let Some((_, rule)) = self.rules[number as usize].take() else { return };
        let without = |numbers: &mut Vec<u32>| {
            numbers.retain(|other| *other != number);
            !numbers.is_empty()
        };
        for property in rule.reads() {
            let readers = &mut self.readers[property.index()];
            without(&mut readers.all);
            match texts(&rule, property) {
                Some(texts) => texts.iter().for_each(|text| {
                    if let Some(numbers) = readers.by_text.get_mut(text)
                        && !without(numbers)
                    {
                        readers.by_text.remove(text);
                    }
                }),
                None => {
                    without(&mut readers.others);
                }
            }
        }
        for source in rule.source_groups() {
            if let Some(numbers) = self.by_source.get_mut(source)
                && !without(numbers)
            {
                self.by_source.remove(source);
            }
        }
        self.free.push(number);
    }

    /// Groups whose rules read the members of a static group.
    pub fn reading_group(&self, source: GroupId) -> impl Iterator<Item = GroupId> {
        let numbers = self.by_source.get(&*source.to_string());
        numbers.into_iter().flatten().filter_map(|number| Some(self.rules[*number as usize].as_ref()?.0))
    }

    /// Groups whose rules say something else of a device since it has something else of a property than it had; `None` is
    /// absent.
    #[must_use]
    pub fn turned(
        &self,
        index: &Index,
        ordinal: u32,
        property: Property,
        had: Option<&Attribute>,
    ) -> Vec<GroupId> {
        let has = index.attribute(ordinal, property);
        let readers = &self.readers[property.index()];
        if had == has.as_ref() || readers.all.is_empty() {
            return Vec::new();
        }
        let mut candidates = match (texts_of(had), texts_of(has.as_ref())) {
            (Some(had), Some(has)) => {
                let texts = had.iter().chain(&has);
                let named = texts.filter_map(|text| readers.by_text.get(*text)).flatten();
                named.chain(&readers.others).copied().collect()
            }
            // To or from what is not known, every test turns over.
            _ => readers.all.clone(),
        };
        candidates.sort_unstable();
        candidates.dedup();
        let turned = |number: &u32| {
            let (group, rule) = self.rules[*number as usize].as_ref()?;
            let may = turns_a_test(rule.root(), property, had, has.as_ref())
                && index.said(rule, ordinal, property, had) != index.says(rule, ordinal);
            may.then_some(*group)
        };
        candidates.iter().filter_map(turned).collect()
    }

    /// Groups whose rules do not say of a device that it is out.
    pub fn not_out<'a>(&'a self, index: &'a Index, ordinal: u32) -> impl Iterator<Item = GroupId> + 'a {
        let not_out = move |(_, rule): &(GroupId, &Rule)| index.says(rule, ordinal) != Truth::False;
        self.iter().filter(not_out).map(|(group, _)| group)
    }
}

/// Whether a test of a property says something else than it said.
fn turns_a_test(node: &Node, property: Property, had: Option<&Attribute>, has: Option<&Attribute>) -> bool {
    match &node.expression {
        Expression::Test(test) if test.property == property => {
            test.of_attribute(had) != test.of_attribute(has)
        }
        Expression::Test(_) => false,
        Expression::And(_) | Expression::Or(_) | Expression::Not(_) => {
            node.children().iter().any(|part| turns_a_test(part, property, had, has))
        }
    }
}

/// The texts that a rule asks a property for, when it asks nothing else of it.
fn texts(rule: &Rule, property: Property) -> Option<Vec<Box<str>>> {
    let mut texts = Some(Vec::new());
    collect(rule.root(), property, &mut texts);
    if let Some(texts) = &mut texts {
        texts.sort_unstable();
        texts.dedup();
    }
    texts
}

fn collect(node: &Node, property: Property, into: &mut Option<Vec<Box<str>>>) {
    match &node.expression {
        Expression::Test(test) if test.property == property => {
            let asked = plain(test);
            *into = into.take().zip(asked).map(|(mut texts, asked)| {
                texts.extend(asked.iter().cloned());
                texts
            });
        }
        Expression::Test(_) => {}
        Expression::And(_) | Expression::Or(_) | Expression::Not(_) => {
            node.children().iter().for_each(|part| collect(part, property, into));
        }
    }
}

/// The texts that a test asks for, if what is absent does not pass it and any of them lets it pass.
fn plain(test: &Test) -> Option<&[Box<str>]> {
    if test.property.when_absent().is_some() || test.predicate.of_nothing(test.quantifier) {
        return None;
    }
    match &test.predicate {
        Predicate::Equals(Wanted::Text(text)) => Some(std::slice::from_ref(text)),
        Predicate::In(texts) => Some(texts),
        Predicate::Equals(Wanted::Bool(_) | Wanted::Null)
        | Predicate::StartsWith(_)
        | Predicate::EndsWith(_)
        | Predicate::Contains(_)
        | Predicate::Matches(_) => None,
    }
}

/// The texts that a device has; none when they are not known.
fn texts_of(attribute: Option<&Attribute>) -> Option<Vec<&str>> {
    match attribute {
        Some(Attribute::Unknown) => None,
        None | Some(Attribute::Bool(_)) => Some(Vec::new()),
        Some(Attribute::Text(text)) => Some(vec![&**text]),
        Some(Attribute::Collection(items)) => Some(items.iter().map(|item| &**item).collect()),
    }
}
