//! The words of a rule.

use logos::Logos;

/// A word. Its text is found by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Logos)]
#[logos(skip r"[ \t\r\n\u{a0}]+")]
pub(super) enum Token {
    /// `(`
    #[token("(")]
    Open,
    /// `)`
    #[token(")")]
    Close,
    /// `[`
    #[token("[")]
    ListOpen,
    /// `]`
    #[token("]")]
    ListClose,
    /// `,`
    #[token(",")]
    Comma,
    /// Text in double quotes; a backtick escapes a double quote or a backtick.
    #[regex(r#""([^"`]|`[\s\S])*""#)]
    DoubleQuoted,
    /// Text in single quotes; a doubled one stands for one.
    #[regex(r"'([^']|'')*'")]
    SingleQuoted,
    /// A quote that is not closed.
    #[regex(r#""([^"`]|`[\s\S])*`?"#, priority = 1)]
    #[regex(r"'([^']|'')*", priority = 1)]
    Unclosed,
    /// An operator with its hyphen, or with the dash that word processors make of it.
    #[regex(r"[-–—][A-Za-z]+")]
    Operator,
    /// A name: a property, an element, a constant, or an operator without hyphen.
    #[regex(r"[A-Za-z_$][A-Za-z0-9_.]*")]
    Word,
}

/// The text between quotes, without escapes.
pub(super) fn unquoted(token: Token, text: &str) -> String {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    if token == Token::SingleQuoted {
        return inner.replace("''", "'");
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '`' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(escaped @ ('"' | '`')) => out.push(escaped),
            Some(other) => out.extend(['`', other]),
            None => out.push('`'),
        }
    }
    out
}
