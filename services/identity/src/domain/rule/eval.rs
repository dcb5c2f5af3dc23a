//! What a rule says of one device.

use super::ast::{Expression, Node, Predicate, Quantifier, Test, Wanted};
use super::described::Attribute;
use super::property::Property;

/// In, out, or not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// The device is in.
    True,
    /// The device is out.
    False,
    /// A fact that the rule needs was not collected yet.
    Unknown,
}

impl Truth {
    /// The other way round; what is not known stays so.
    #[must_use]
    pub const fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    /// `None` when it is not known.
    #[must_use]
    pub const fn known(self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Unknown => None,
        }
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

/// What a device has of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// It was not collected.
    Unknown,
    /// The device has none; an empty text and an empty collection are none.
    Absent,
    /// A text.
    Text(&'a str),
    /// True or false.
    Bool(bool),
    /// Texts.
    Collection(&'a [Box<str>]),
}

/// A device as rules see it. Texts may be in any case.
pub trait Attributes {
    /// What it has of a property.
    fn value(&self, property: Property) -> Value<'_>;
}

/// The verdict of a part of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The part as it was written.
    pub expression: String,
    /// Where it begins in the rule, in characters from 0.
    pub offset: usize,
    /// How long it is, in characters.
    pub length: usize,
    /// The property it tests, if it is a test of one.
    pub property: Option<Property>,
    /// How deep it stands in the rule; 0 is the rule itself.
    pub depth: usize,
    /// What it says of the device.
    pub result: Truth,
}

pub(super) fn truth(node: &Node, device: &impl Attributes) -> Truth {
    truth_by(node, &|test| test.of(device.value(test.property)))
}

/// What a part of a rule says, from what each of its tests says.
pub(super) fn truth_by(node: &Node, says: &impl Fn(&Test) -> Truth) -> Truth {
    match &node.expression {
        Expression::And(parts) => all(parts.iter().map(|part| truth_by(part, says))),
        Expression::Or(parts) => all(parts.iter().map(|part| truth_by(part, says).negated())).negated(),
        Expression::Not(part) => truth_by(part, says).negated(),
        Expression::Test(test) => says(test),
    }
}

/// One that is false decides; else one that is not known.
fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut all = Truth::True;
    for truth in truths {
        match truth {
            Truth::False => return Truth::False,
            Truth::Unknown => all = Truth::Unknown,
            Truth::True => {}
        }
    }
    all
}

impl Test {
    /// What it says of a value of its property.
    #[must_use]
    pub fn of(&self, value: Value<'_>) -> Truth {
        let passes = match value {
            Value::Unknown => return Truth::Unknown,
            Value::Absent => self.property.when_absent().map_or_else(
                || self.predicate.of_nothing(self.quantifier),
                |text| self.predicate.of_text(&text.to_lowercase()),
            ),
            Value::Bool(value) => {
                matches!(&self.predicate, Predicate::Equals(Wanted::Bool(wanted)) if value == *wanted)
            }
            Value::Text(text) => self.predicate.of_text(&text.to_lowercase()),
            Value::Collection(items) => self.of_items(items),
        };
        (passes != self.negated).into()
    }

    /// What it says of what is told of its property; `None` is absent.
    #[must_use]
    pub fn of_attribute(&self, attribute: Option<&Attribute>) -> Truth {
        self.of(attribute.map_or(Value::Absent, Attribute::value))
    }

    fn of_items(&self, items: &[Box<str>]) -> bool {
        let mut items = items.iter().map(|item| self.predicate.of_text(&item.to_lowercase()));
        match self.quantifier {
            Quantifier::Any => items.any(|passes| passes),
            Quantifier::All => items.all(|passes| passes),
        }
    }
}

impl Predicate {
    /// Whether a text in lower case passes.
    #[must_use]
    pub fn of_text(&self, text: &str) -> bool {
        match self {
            Self::Equals(Wanted::Text(wanted)) => text == &**wanted,
            Self::Equals(Wanted::Bool(_) | Wanted::Null) => false,
            Self::StartsWith(start) => text.starts_with(&**start),
            Self::EndsWith(end) => text.ends_with(&**end),
            Self::Contains(part) => text.contains(&**part),
            Self::Matches(regex) => regex.is_match(text),
            Self::In(texts) => texts.iter().any(|wanted| text == &**wanted),
        }
    }

    /// Whether it passes where there is nothing: null does, and the empty text; of no items, all pass.
    #[must_use]
    pub fn of_nothing(&self, quantifier: Quantifier) -> bool {
        quantifier == Quantifier::All
            || match self {
                Self::Equals(Wanted::Null) => true,
                Self::Equals(Wanted::Text(text)) => text.is_empty(),
                Self::In(texts) => texts.iter().any(|text| text.is_empty()),
                Self::Equals(Wanted::Bool(_))
                | Self::StartsWith(_)
                | Self::EndsWith(_)
                | Self::Contains(_)
                | Self::Matches(_) => false,
            }
    }
}

pub(super) fn explain(text: &str, root: &Node, device: &impl Attributes) -> Vec<Explained> {
    let mut explained = Vec::new();
    descend(text, root, device, 0, &mut explained);
    explained
}

fn descend(text: &str, node: &Node, device: &impl Attributes, depth: usize, into: &mut Vec<Explained>) {
    let expression = text[node.at.clone()].to_owned();
    let property = match &node.expression {
        Expression::Test(test) => Some(test.property),
        Expression::And(_) | Expression::Or(_) | Expression::Not(_) => None,
    };
    into.push(Explained {
        offset: text[..node.at.start].chars().count(),
        length: expression.chars().count(),
        expression,
        property,
        depth,
        result: truth(node, device),
    });
    node.children().iter().for_each(|part| descend(text, part, device, depth + 1, into));
}
