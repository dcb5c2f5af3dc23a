//! The operators of the language.

/// What an operator asks, before its value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equals,
    StartsWith,
    EndsWith,
    Contains,
    Match,
    In,
    Any,
    All,
    And,
    Or,
    Not,
    /// `-le` and `-ge`, which are for a date of users.
    Order,
}

/// Name, meaning, and whether it is turned around.
pub(super) const OPERATORS: [(&str, Operator, bool); 19] = [
    ("eq", Operator::Equals, false),
    ("ne", Operator::Equals, true),
    ("startsWith", Operator::StartsWith, false),
    ("notStartsWith", Operator::StartsWith, true),
    ("endsWith", Operator::EndsWith, false),
    ("notEndsWith", Operator::EndsWith, true),
    ("contains", Operator::Contains, false),
    ("notContains", Operator::Contains, true),
    ("match", Operator::Match, false),
    ("notMatch", Operator::Match, true),
    ("in", Operator::In, false),
    ("notIn", Operator::In, true),
    ("any", Operator::Any, false),
    ("all", Operator::All, false),
    ("and", Operator::And, false),
    ("or", Operator::Or, false),
    ("not", Operator::Not, false),
    ("le", Operator::Order, false),
    ("ge", Operator::Order, false),
];

/// The operator that a word names, in any case, with or without hyphen.
pub(super) fn operator(word: &str) -> Option<(Operator, bool)> {
    let name = word.trim_start_matches(['-', '–', '—']);
    OPERATORS
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(name))
        .map(|(_, operator, negated)| (*operator, *negated))
}
