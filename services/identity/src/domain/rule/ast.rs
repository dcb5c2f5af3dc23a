//! What a rule means.

use std::ops::Range;

use regex::Regex;

use super::Property;

/// A part of a rule, with its place in bytes.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands.
    pub at: Range<usize>,
    /// What it says.
    pub expression: Expression,
}

/// What a part of a rule says.
#[derive(Debug, Clone)]
pub enum Expression {
    /// All of them.
    And(Vec<Node>),
    /// At least one of them.
    Or(Vec<Node>),
    /// Not it.
    Not(Box<Node>),
    /// A test of one property.
    Test(Test),
}

/// A test of one property.
#[derive(Debug, Clone)]
pub struct Test {
    /// Which.
    pub property: Property,
    /// How many items of a collection must pass; a plain test of a collection asks for any.
    pub quantifier: Quantifier,
    /// Whether the outcome is turned around: `-ne`, `-notContains` and their like.
    pub negated: bool,
    /// What is asked.
    pub predicate: Predicate,
}

/// How many items of a collection must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// At least one.
    Any,
    /// All; of none, all pass.
    All,
}

/// What is asked of a text. Texts are in lower case, as the values they are compared with.
#[derive(Debug, Clone)]
pub enum Predicate {
    /// It is this.
    Equals(Wanted),
    /// It begins with this.
    StartsWith(Box<str>),
    /// It ends with this.
    EndsWith(Box<str>),
    /// It has this in it.
    Contains(Box<str>),
    /// It has a match of this in it.
    Matches(Regex),
    /// It is one of these.
    In(Vec<Box<str>>),
}

/// What something is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A text, in lower case.
    Text(Box<str>),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Null,
}

impl Node {
    /// The parts it is made of.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        match &self.expression {
            Expression::And(parts) | Expression::Or(parts) => parts,
            Expression::Not(part) => std::slice::from_ref(part),
            Expression::Test(_) => &[],
        }
    }

    /// Collects the properties it reads.
    pub(super) fn properties(&self, into: &mut Vec<Property>) {
        if let Expression::Test(test) = &self.expression {
            into.push(test.property);
        }
        self.children().iter().for_each(|part| part.properties(into));
    }
}
