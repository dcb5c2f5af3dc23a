//! What goes with what: properties, operators, values.

use std::ops::Range;

use regex::RegexBuilder;

use super::ast::{Predicate, Quantifier, Test, Wanted};
use super::error::{ErrorKind, Mistake, meant};
use super::operator::Operator;
use super::property::{Kind, Property};
use super::{REGEX_BYTES_MAX, SOURCE_GROUPS_MAX};

/// A value as it was written.
pub(super) enum Literal {
    Text(String),
    Bool(bool),
    Null,
    List(Vec<String>),
}

/// The property that a word names.
pub(super) fn property(text: &str, at: &Range<usize>) -> Result<Property, Mistake> {
    let (object, name) = text.split_once('.').unwrap_or((text, ""));
    if object.eq_ignore_ascii_case("user") {
        let message = format!("{text} is a property of users, and this is a rule for devices");
        return Err(Mistake::new(ErrorKind::MixedObject, at.clone(), message));
    }
    if !object.eq_ignore_ascii_case("device") {
        let hint = Property::named(text).map(|property| format!("write device.{property}"));
        let message = format!("a property such as device.displayName is expected, found {text:?}");
        return Err(Mistake::syntax(at.clone(), message).hint(hint));
    }
    let unknown = || {
        let hint = meant(name, Property::all().map(Property::name));
        let message = format!("devices have no property {name:?}");
        Mistake::new(ErrorKind::UnknownProperty, at.clone(), message).hint(hint)
    };
    Property::named(name).ok_or_else(unknown)
}

/// Whether an operator goes with a property.
pub(super) fn operator(
    property: Property,
    op: Operator,
    name: &str,
    at: &Range<usize>,
) -> Result<(), Mistake> {
    let unfit = |message: String| Err(Mistake::new(ErrorKind::OperatorType, at.clone(), message));
    let is_bool = property.kind() == Kind::Bool;
    match op {
        Operator::And | Operator::Or | Operator::Not => {
            Err(Mistake::syntax(at.clone(), format!("an operator such as -eq is expected, found {name}")))
        }
        Operator::Any | Operator::All => {
            Err(Mistake::syntax(at.clone(), "-any and -all cannot stand in one another"))
        }
        Operator::Order => unfit(format!("{name} is for a date of users, and no property of devices is one")),
        Operator::StartsWith | Operator::EndsWith | Operator::Contains | Operator::Match | Operator::In
            if is_bool =>
        {
            unfit(format!("{name} is not for {property}, which is true or false"))
        }
        Operator::Equals
        | Operator::StartsWith
        | Operator::EndsWith
        | Operator::Contains
        | Operator::Match
        | Operator::In => Ok(()),
    }
}

/// What an operator with a value asks of a property, if they go together.
pub(super) fn predicate(
    property: Property,
    op: Operator,
    name: &str,
    value: Literal,
    at: &Range<usize>,
) -> Result<Predicate, Mistake> {
    let unfit = |message: String| Err(Mistake::new(ErrorKind::OperatorType, at.clone(), message));
    let lower = |text: String| text.to_lowercase().into_boxed_str();
    let is_bool = property.kind() == Kind::Bool;
    Ok(match (op, value) {
        (Operator::Equals, Literal::Null) => Predicate::Equals(Wanted::Null),
        (Operator::Equals, Literal::Bool(value)) if is_bool => Predicate::Equals(Wanted::Bool(value)),
        (Operator::Equals, Literal::Bool(_)) => {
            return unfit(format!("{property} is text, and true or false is none"));
        }
        (Operator::Equals, Literal::Text(_)) if is_bool => {
            return unfit(format!("{property} is true or false; write that without quotes"));
        }
        (Operator::Equals, Literal::Text(text)) => Predicate::Equals(Wanted::Text(lower(text))),
        (Operator::StartsWith, Literal::Text(text)) => Predicate::StartsWith(lower(text)),
        (Operator::EndsWith, Literal::Text(text)) => Predicate::EndsWith(lower(text)),
        (Operator::Contains, Literal::Text(text)) => Predicate::Contains(lower(text)),
        (Operator::Match, Literal::Text(pattern)) => Predicate::Matches(regex(&pattern, at)?),
        (Operator::In, Literal::List(texts)) => Predicate::In(texts.into_iter().map(lower).collect()),
        (_, Literal::Null) => return unfit(format!("null is for -eq and -ne, not for {name}")),
        (_, Literal::Bool(_)) => return unfit(format!("true and false are for -eq and -ne, not for {name}")),
        (_, Literal::Text(_) | Literal::List(_)) => {
            return Err(Mistake::syntax(at.clone(), format!("{name} does not take this value")));
        }
    })
}

fn regex(pattern: &str, at: &Range<usize>) -> Result<regex::Regex, Mistake> {
    let compiled = RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build();
    compiled.map_err(|error| {
        let problem = error.to_string();
        let last = problem.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Mistake::syntax(at.clone(), format!("the regular expression cannot be used: {last}"))
    })
}

/// `memberOf` takes `-any (group.objectId -in [...])` and nothing else.
pub(super) fn groups(test: &Test, at: &Range<usize>) -> Result<(), Mistake> {
    let wrong = |message: &str| Mistake::new(ErrorKind::OperatorType, at.clone(), message);
    let (Quantifier::Any, false, Predicate::In(groups)) = (test.quantifier, test.negated, &test.predicate)
    else {
        return Err(wrong("memberOf takes -any (group.objectId -in [...]) only"));
    };
    if groups.len() > SOURCE_GROUPS_MAX {
        return Err(wrong(&format!(
            "memberOf may name {SOURCE_GROUPS_MAX} groups, these are {}",
            groups.len()
        )));
    }
    Ok(())
}
