//! A device told by its attributes, one by one.

use std::collections::BTreeMap;

use super::{Attributes, Property, Value};

/// What is told of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// It was not collected.
    Unknown,
    /// True or false.
    Bool(bool),
    /// A text; an empty one is none.
    Text(Box<str>),
    /// Texts; no texts are none.
    Collection(Box<[Box<str>]>),
}

/// A device by its attributes. What is not told is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described(BTreeMap<Property, Attribute>);

impl Described {
    /// Tells an attribute, in the place of what was told before.
    pub fn tell(&mut self, property: Property, attribute: Attribute) {
        self.0.insert(property, attribute);
    }

    /// Everything told, by property.
    pub fn told(&self) -> impl Iterator<Item = (Property, &Attribute)> {
        self.0.iter().map(|(property, attribute)| (*property, attribute))
    }
}

impl Attribute {
    /// What it is to a rule.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Unknown => Value::Unknown,
            Self::Bool(value) => Value::Bool(*value),
            Self::Text(text) if text.is_empty() => Value::Absent,
            Self::Text(text) => Value::Text(text),
            Self::Collection(items) if items.is_empty() => Value::Absent,
            Self::Collection(items) => Value::Collection(items),
        }
    }
}

impl Attributes for Described {
    fn value(&self, property: Property) -> Value<'_> {
        self.0.get(&property).map_or(Value::Absent, Attribute::value)
    }
}
