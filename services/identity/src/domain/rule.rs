//! The rule language of dynamic groups: what an admin writes, parsed with its places, and what it says of a device.
//!
//! The language is that of Entra's dynamic membership rules for devices. A rule says of a device that it is in, that it is
//! out, or that it cannot be known yet, since a fact that the rule needs was not collected ([`Truth`]).

mod ast;
mod check;
mod described;
mod error;
mod eval;
mod operator;
mod parse;
mod property;
#[cfg(test)]
mod tests;
mod token;

pub use ast::{Expression, Node, Predicate, Quantifier, Test, Wanted};
pub use described::{Attribute, Described};
pub use error::{ErrorKind, RuleError};
pub use eval::{Attributes, Explained, Truth, Value};
pub use property::{Kind, Property};

/// Longest rule, in characters.
pub const RULE_CHARS_MAX: usize = 3_072;
/// Deepest nesting of parentheses and `-not`.
pub const DEPTH_MAX: usize = 128;
/// Most groups that a `memberOf` rule may name.
pub const SOURCE_GROUPS_MAX: usize = 50;
/// Largest compiled regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 256 * 1024;

/// A rule that parsed: its text, and what it means.
#[derive(Debug, Clone)]
pub struct Rule {
    text: Box<str>,
    root: Node,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// [`RuleError`]: what is wrong, where, and often what was meant.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Ok(Self { root: parse::rule(text)?, text: text.into() })
    }

    /// The rule as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it means.
    #[must_use]
    pub const fn root(&self) -> &Node {
        &self.root
    }

    /// What it says of a device.
    #[must_use]
    pub fn says_of(&self, device: &impl Attributes) -> Truth {
        eval::truth(&self.root, device)
    }

    /// What it says of a device, with the verdict of each sub-expression, outer ones first.
    #[must_use]
    pub fn explain(&self, device: &impl Attributes) -> Vec<Explained> {
        eval::explain(&self.text, &self.root, device)
    }

    /// The groups whose members it reads, as it names them, in lower case; none unless it is a `memberOf` rule.
    #[must_use]
    pub fn source_groups(&self) -> &[Box<str>] {
        match &self.root.expression {
            Expression::Test(Test { property, predicate: Predicate::In(groups), .. })
                if property.kind() == Kind::Groups =>
            {
                groups
            }
            Expression::Test(_) | Expression::And(_) | Expression::Or(_) | Expression::Not(_) => &[],
        }
    }

    /// What it says of a device, from what each of its tests says.
    #[must_use]
    pub fn says_by(&self, test: &impl Fn(&Test) -> Truth) -> Truth {
        eval::truth_by(&self.root, test)
    }

    /// The properties it reads, each once, in order.
    #[must_use]
    pub fn reads(&self) -> Vec<Property> {
        let mut properties = Vec::new();
        self.root.properties(&mut properties);
        properties.sort_unstable();
        properties.dedup();
        properties
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Rule {}
