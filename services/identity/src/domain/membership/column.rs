//! What devices have of one property.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::dictionary::Dictionary;
use super::ordinals::{self, Ordinals};
use crate::domain::rule::{Attribute, Kind, Predicate, Quantifier, Test, Wanted};

/// Number of no text: the device has none.
const ABSENT: u32 = u32::MAX;

/// A property of devices, by ordinal. One that was never told of is absent, unless it is noted as unknown.
#[derive(Debug)]
pub(super) struct Column {
    values: Values,
    /// Devices that have something.
    pub(super) has: RoaringBitmap,
    /// Devices of which it was not collected; none of them has something.
    pub(super) unknown: RoaringBitmap,
}

#[derive(Debug)]
enum Values {
    Text { dictionary: Dictionary, of: Vec<u32> },
    Collection { dictionary: Dictionary, of: Vec<Box<[u32]>> },
    Bool { yes: RoaringBitmap },
}

/// What a device has in a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Unknown,
    Absent,
    Bool(bool),
    Text(&'a str),
    Items(&'a Dictionary, &'a [u32]),
}

impl Column {
    pub(super) fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Text => Values::Text { dictionary: Dictionary::default(), of: Vec::new() },
            Kind::Collection | Kind::Groups => {
                Values::Collection { dictionary: Dictionary::default(), of: Vec::new() }
            }
            Kind::Bool => Values::Bool { yes: RoaringBitmap::new() },
        };
        Self { values, has: RoaringBitmap::new(), unknown: RoaringBitmap::new() }
    }

    pub(super) fn cell(&self, ordinal: u32) -> Cell<'_> {
        if !self.has.contains(ordinal) {
            return if self.unknown.contains(ordinal) { Cell::Unknown } else { Cell::Absent };
        }
        match &self.values {
            Values::Text { dictionary, of } => Cell::Text(dictionary.text(of[ordinal as usize])),
            Values::Collection { dictionary, of } => Cell::Items(dictionary, &of[ordinal as usize]),
            Values::Bool { yes } => Cell::Bool(yes.contains(ordinal)),
        }
    }

    /// Puts what a device has in the place of what it had; `None` is nothing, and so is what is of another kind than the
    /// column.
    pub(super) fn set(&mut self, ordinal: u32, attribute: Option<&Attribute>) {
        self.clear(ordinal);
        let Some(attribute) = attribute else { return };
        let has = match (&mut self.values, attribute) {
            (_, Attribute::Unknown) => {
                self.unknown.insert(ordinal);
                false
            }
            (Values::Text { dictionary, of }, Attribute::Text(text)) if !text.is_empty() => {
                let number = dictionary.add(&text.to_lowercase(), ordinal);
                *place(of, ordinal, ABSENT) = number;
                true
            }
            (Values::Collection { dictionary, of }, Attribute::Collection(items)) if !items.is_empty() => {
                let numbers = items.iter().map(|item| dictionary.add(&item.to_lowercase(), ordinal));
                let mut numbers: Vec<_> = numbers.collect();
                numbers.sort_unstable();
                numbers.dedup();
                *place(of, ordinal, Box::default()) = numbers.into();
                true
            }
            (Values::Bool { yes }, Attribute::Bool(value)) => {
                if *value {
                    yes.insert(ordinal);
                }
                true
            }
            (
                Values::Text { .. } | Values::Collection { .. } | Values::Bool { .. },
                Attribute::Text(_) | Attribute::Collection(_) | Attribute::Bool(_),
            ) => false,
        };
        if has {
            self.has.insert(ordinal);
        }
    }

    fn clear(&mut self, ordinal: u32) {
        self.unknown.remove(ordinal);
        if !self.has.remove(ordinal) {
            return;
        }
        match &mut self.values {
            Values::Text { dictionary, of } => {
                dictionary.remove(std::mem::replace(&mut of[ordinal as usize], ABSENT), ordinal);
            }
            Values::Collection { dictionary, of } => {
                let numbers = std::mem::take(&mut of[ordinal as usize]);
                numbers.iter().for_each(|number| dictionary.remove(*number, ordinal));
            }
            Values::Bool { yes } => {
                yes.remove(ordinal);
            }
        }
    }

    /// Devices that have something which passes a test, without regard to its being turned around.
    pub(super) fn passing(&self, test: &Test) -> Cow<'_, RoaringBitmap> {
        match &self.values {
            Values::Text { dictionary, .. } => of_some(dictionary, &test.predicate),
            Values::Collection { dictionary, .. } => match test.quantifier {
                Quantifier::Any => of_some(dictionary, &test.predicate),
                Quantifier::All => {
                    let failing = dictionary.entries().filter(|(text, _)| !test.predicate.of_text(text));
                    Cow::Owned(&self.has - &*ordinals::union(failing.map(|(_, devices)| devices)))
                }
            },
            Values::Bool { yes } => match &test.predicate {
                Predicate::Equals(Wanted::Bool(true)) => Cow::Borrowed(yes),
                Predicate::Equals(Wanted::Bool(false)) => Cow::Owned(&self.has - yes),
                Predicate::Equals(Wanted::Text(_) | Wanted::Null)
                | Predicate::StartsWith(_)
                | Predicate::EndsWith(_)
                | Predicate::Contains(_)
                | Predicate::Matches(_)
                | Predicate::In(_) => Cow::Owned(RoaringBitmap::new()),
            },
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Text { dictionary, of } => dictionary.size_bytes() + of.capacity() * size_of::<u32>(),
            Values::Collection { dictionary, of } => {
                dictionary.size_bytes()
                    + of.capacity() * size_of::<Box<[u32]>>()
                    + of.iter().map(|items| size_of_val(&**items)).sum::<usize>()
            }
            Values::Bool { yes } => yes.serialized_size(),
        };
        values + self.has.serialized_size() + self.unknown.serialized_size()
    }
}

/// Devices that have a text which passes.
fn of_some<'a>(dictionary: &'a Dictionary, predicate: &Predicate) -> Cow<'a, RoaringBitmap> {
    let devices = |text: &str| dictionary.find(text).map(|number| dictionary.devices(number));
    match predicate {
        Predicate::Equals(Wanted::Text(text)) => ordinals::union(devices(text).into_iter()),
        Predicate::In(texts) => ordinals::union(texts.iter().filter_map(|text| devices(text))),
        Predicate::Equals(Wanted::Bool(_) | Wanted::Null) => Cow::Owned(RoaringBitmap::new()),
        Predicate::StartsWith(_)
        | Predicate::EndsWith(_)
        | Predicate::Contains(_)
        | Predicate::Matches(_) => {
            let passing = dictionary.entries().filter(|(text, _)| predicate.of_text(text));
            ordinals::union(passing.map(|(_, devices): (_, &Ordinals)| devices))
        }
    }
}

fn place<T: Clone>(of: &mut Vec<T>, ordinal: u32, nothing: T) -> &mut T {
    let ordinal = ordinal as usize;
    if ordinal >= of.len() {
        of.resize(ordinal + 1, nothing);
    }
    &mut of[ordinal]
}

impl Cell<'_> {
    /// What it is, as told of a device; `None` when it is absent.
    pub(super) fn attribute(self) -> Option<Attribute> {
        Some(match self {
            Self::Unknown => Attribute::Unknown,
            Self::Absent => return None,
            Self::Bool(value) => Attribute::Bool(value),
            Self::Text(text) => Attribute::Text(text.into()),
            Self::Items(dictionary, numbers) => {
                let mut items: Vec<Box<str>> =
                    numbers.iter().map(|number| dictionary.text(*number).into()).collect();
                items.sort_unstable();
                Attribute::Collection(items.into())
            }
        })
    }

    /// Whether it passes a test, without regard to the test's being turned around; of what is unknown, no.
    pub(super) fn passes(self, test: &Test) -> bool {
        let predicate = &test.predicate;
        match self {
            Self::Unknown => false,
            Self::Absent => match test.property.when_absent() {
                Some(text) => predicate.of_text(&text.to_lowercase()),
                None => predicate.of_nothing(test.quantifier),
            },
            Self::Bool(value) => {
                matches!(predicate, Predicate::Equals(Wanted::Bool(wanted)) if *wanted == value)
            }
            Self::Text(text) => predicate.of_text(text),
            Self::Items(dictionary, numbers) => {
                let mut items = numbers.iter().map(|number| predicate.of_text(dictionary.text(*number)));
                match test.quantifier {
                    Quantifier::Any => items.any(|passes| passes),
                    Quantifier::All => items.all(|passes| passes),
                }
            }
        }
    }
}
