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

impl Attributes for Described {
    fn value(&self, property: Property) -> Value<'_> {
        match self.0.get(&property) {
            None => Value::Absent,
            Some(Attribute::Unknown) => Value::Unknown,
            Some(Attribute::Bool(value)) => Value::Bool(*value),
            Some(Attribute::Text(text)) if text.is_empty() => Value::Absent,
            Some(Attribute::Text(text)) => Value::Text(text),
            Some(Attribute::Collection(items)) if items.is_empty() => Value::Absent,
            Some(Attribute::Collection(items)) => Value::Collection(items),
        }
    }
}
