//! Text → comparisons joined by AND, OR and NOT.

use super::InvalidFilter;

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 2_048;
/// Deepest nesting of parentheses and NOT.
pub const DEPTH_MAX: usize = 64;

/// Comparisons, or whatever was made of them, joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr<T> {
    /// Holds when all hold; none: holds.
    All(Vec<Self>),
    /// Holds when one holds.
    Any(Vec<Self>),
    /// Holds when the other does not.
    Not(Box<Self>),
    /// A comparison.
    Test(T),
}

impl<T> Expr<T> {
    /// The same with something else in the place of each comparison.
    ///
    /// # Errors
    /// The first that `f` gives.
    pub fn try_flat_map<U, E>(self, f: &mut impl FnMut(T) -> Result<Expr<U>, E>) -> Result<Expr<U>, E> {
        let mut each = |all: Vec<Self>| -> Result<Vec<_>, E> {
            all.into_iter().map(|one| one.try_flat_map(f)).collect()
        };
        Ok(match self {
            Self::All(all) => Expr::All(each(all)?),
            Self::Any(any) => Expr::Any(each(any)?),
            Self::Not(one) => Expr::Not(Box::new(one.try_flat_map(f)?)),
            Self::Test(test) => f(test)?,
        })
    }

    /// Whether it holds, given whether each comparison does.
    pub fn holds(&self, test: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.holds(test)),
            Self::Any(any) => any.iter().any(|one| one.holds(test)),
            Self::Not(one) => !one.holds(test),
            Self::Test(one) => test(one),
        }
    }

    /// Whether a comparison in it is such a one.
    pub fn mentions(&self, such: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().any(|one| one.mentions(such)),
            Self::Not(one) => one.mentions(such),
            Self::Test(one) => such(one),
        }
    }
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `:`
    Has,
}

impl Operator {
    /// As it is written; longer ones first, since some begin as others do.
    const WRITTEN: [(&'static str, Self); 7] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("!=", Self::Unequal),
        ("=", Self::Equal),
        ("<", Self::Less),
        (">", Self::Greater),
        (":", Self::Has),
    ];
}

/// A field, an operator and a value, as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison<'a> {
    /// Where the field stands, in bytes.
    pub(super) at: usize,
    /// The field.
    pub(super) field: &'a str,
    /// Where the operator stands, in bytes.
    pub(super) operator_at: usize,
    /// How it is compared.
    pub(super) operator: Operator,
    /// Where the value stands, in bytes.
    pub(super) value_at: usize,
    /// What it is compared with.
    pub(super) value: String,
    /// Whether the value stood in quotes.
    pub(super) quoted: bool,
}

/// Reads a filter; an empty one holds always.
///
/// # Errors
/// [`InvalidFilter`] with the place where it cannot be read any further.
pub(super) fn parse(text: &str) -> Result<Expr<Comparison<'_>>, InvalidFilter> {
    if text.len() > FILTER_BYTES_MAX {
        let problem = format!("the filter is {} bytes long, the limit is {FILTER_BYTES_MAX}", text.len());
        return Err(InvalidFilter::new(text, FILTER_BYTES_MAX, problem));
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.blanks();
    if parser.rest().is_empty() {
        return Ok(Expr::All(vec![]));
    }
    let expr = parser.expression()?;
    match parser.rest().chars().next() {
        None => Ok(expr),
        Some(')') => Err(parser.wrong("this `)` closes nothing")),
        Some(other) => Err(parser.wrong(format!("{other:?} cannot stand here"))),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Sequences joined by AND.
    fn expression(&mut self) -> Result<Expr<Comparison<'a>>, InvalidFilter> {
        let mut all = self.sequence()?;
        while self.keyword("AND") {
            all.extend(self.sequence()?);
        }
        Ok(one_or(all, Expr::All))
    }

    /// Factors one after the other, which means AND as well.
    fn sequence(&mut self) -> Result<Vec<Expr<Comparison<'a>>>, InvalidFilter> {
        let mut all = vec![self.factor()?];
        while !self.rest().is_empty() && !self.rest().starts_with(')') && !self.sees_keyword("AND") {
            all.push(self.factor()?);
        }
        Ok(all)
    }

    /// Terms joined by OR, which binds tighter than AND (AIP-160 has it so).
    fn factor(&mut self) -> Result<Expr<Comparison<'a>>, InvalidFilter> {
        let mut any = vec![self.term()?];
        while self.keyword("OR") {
            any.push(self.term()?);
        }
        Ok(one_or(any, Expr::Any))
    }

    fn term(&mut self) -> Result<Expr<Comparison<'a>>, InvalidFilter> {
        if self.depth == DEPTH_MAX {
            return Err(self.wrong(format!("parentheses and NOT are nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let term = if self.keyword("NOT") || self.takes("-") {
            Expr::Not(Box::new(self.term()?))
        } else if self.takes("(") {
            self.group()?
        } else {
            Expr::Test(self.comparison()?)
        };
        self.depth -= 1;
        Ok(term)
    }

    fn group(&mut self) -> Result<Expr<Comparison<'a>>, InvalidFilter> {
        let opened = self.at - 1;
        self.blanks();
        let inner = self.expression()?;
        if !self.takes(")") {
            return Err(InvalidFilter::new(self.text, opened, "this `(` is never closed"));
        }
        self.blanks();
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Comparison<'a>, InvalidFilter> {
        let at = self.at;
        let field = self.while_char(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if field.is_empty() {
            return Err(self.wrong("expected a field"));
        }
        self.blanks();
        let operator_at = self.at;
        let written = Operator::WRITTEN.into_iter().find(|(text, _)| self.takes(text));
        let Some((_, operator)) = written else {
            return Err(no_operator(self.text, (at, field), operator_at));
        };
        self.blanks();
        let value_at = self.at;
        let (value, quoted) = self.value()?;
        self.blanks();
        Ok(Comparison { at, field, operator_at, operator, value_at, value, quoted })
    }

    fn value(&mut self) -> Result<(String, bool), InvalidFilter> {
        if let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) {
            return Ok((self.quoted(quote)?, true));
        }
        let word = self.while_char(|c| !c.is_whitespace() && !"()\"'".contains(c));
        if word.is_empty() {
            return Err(self.wrong("expected a value").or_hint("write an empty text as \"\""));
        }
        Ok((word.to_owned(), false))
    }

    fn quoted(&mut self, quote: char) -> Result<String, InvalidFilter> {
        let mut value = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    Some((_, escaped @ ('\\' | '"' | '\''))) => value.push(escaped),
                    _ => {
                        let at = self.at + at;
                        let wrong = InvalidFilter::new(self.text, at, "nothing to escape here");
                        return Err(wrong.or_hint("a backslash escapes quotes and itself"));
                    }
                },
                char if char == quote => {
                    self.at += at + 1;
                    return Ok(value);
                }
                char => value.push(char),
            }
        }
        Err(self.wrong("this quote is never closed"))
    }

    /// Takes a keyword that stands here, and the blanks behind it.
    fn keyword(&mut self, keyword: &str) -> bool {
        let sees = self.sees_keyword(keyword);
        if sees {
            self.at += keyword.len();
            self.blanks();
        }
        sees
    }

    fn sees_keyword(&self, keyword: &str) -> bool {
        let behind = self.rest().strip_prefix(keyword);
        behind
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == '('))
    }

    fn takes(&mut self, text: &str) -> bool {
        let takes = self.rest().starts_with(text);
        self.at += if takes { text.len() } else { 0 };
        takes
    }

    fn blanks(&mut self) {
        self.while_char(char::is_whitespace);
    }

    fn while_char(&mut self, such: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !such(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, problem: impl Into<String>) -> InvalidFilter {
        InvalidFilter::new(self.text, self.at, problem)
    }
}

fn one_or<T>(mut all: Vec<Expr<T>>, joined: impl Fn(Vec<Expr<T>>) -> Expr<T>) -> Expr<T> {
    if all.len() == 1
        && let Some(one) = all.pop()
    {
        return one;
    }
    joined(all)
}

fn no_operator(text: &str, (at, field): (usize, &str), operator_at: usize) -> InvalidFilter {
    let upper = field.to_ascii_uppercase();
    if field != upper && ["AND", "OR", "NOT"].contains(&upper.as_str()) {
        return InvalidFilter::new(text, at, format!("{field:?} is no field"))
            .or_hint(format!("{upper} is written in capitals"));
    }
    let problem = format!("expected an operator after {field:?}");
    InvalidFilter::new(text, operator_at, problem).or_hint("one of = != < <= > >= and :")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The structure, with fields for comparisons.
    fn shape(text: &str) -> String {
        fn show(expr: &Expr<Comparison<'_>>) -> String {
            let joined = |all: &[Expr<_>], by| all.iter().map(show).collect::<Vec<_>>().join(by);
            match expr {
                Expr::All(all) => format!("({})", joined(all, "&")),
                Expr::Any(any) => format!("({})", joined(any, "|")),
                Expr::Not(one) => format!("!{}", show(one)),
                Expr::Test(test) => test.field.to_owned(),
            }
        }
        parse(text).map_or_else(|wrong| wrong.to_string(), |expr| show(&expr))
    }

    #[test]
    fn or_binds_tighter_than_and_and_neighbours_are_joined_by_and() {
        assert_eq!(shape("a=1 AND b=2 OR c=3"), "(a&(b|c))");
        assert_eq!(shape("a=1 b=2 OR c=3 d=4"), "(a&(b|c)&d)");
        assert_eq!(shape("NOT a=1 OR -(b=2 AND c:3)"), "(!a|!(b&c))");
        assert_eq!(shape("  "), "()");
        assert_eq!(shape("NOT(a=1)AND b=2"), "(!a&b)");
    }

    #[test]
    fn values_are_words_or_quoted() {
        let value = |text| match parse(text) {
            Ok(Expr::Test(test)) => test.value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value("a = 2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z");
        assert_eq!(value(r#"a:"two \"words\" \\ (more)""#), r#"two "words" \ (more)"#);
        assert_eq!(value("a != 'it is'"), "it is");
        assert_eq!(value("a=\"\""), "");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            ("a", "at 1: expected an operator after \"a\"; one of = != < <= > >= and :"),
            ("a=1 and b=2", "at 4: \"and\" is no field; AND is written in capitals"),
            ("(a=1", "at 0: this `(` is never closed"),
            ("a=1)", "at 3: this `)` closes nothing"),
            ("a=\"x", "at 2: this quote is never closed"),
            ("ä=1", "at 0: expected a field"),
            ("a=", "at 2: expected a value; write an empty text as \"\""),
            ("a=\"ää\" OR", "at 9: expected a field"),
            ("a=\"\\n\"", "at 3: nothing to escape here; a backslash escapes quotes and itself"),
        ] {
            assert_eq!(shape(text), told, "{text}");
        }
    }

    #[test]
    fn length_and_depth_have_a_limit() {
        assert!(parse(&"(".repeat(DEPTH_MAX + 1)).is_err());
        let nested = |depth| format!("{}a=1{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(DEPTH_MAX - 1)).is_ok());
        assert!(shape(&nested(DEPTH_MAX)).contains("nested deeper"));
        assert!(shape(&"NOT ".repeat(400)).contains("nested deeper"));
        assert!(shape(&"a=1 ".repeat(600)).contains("the limit is 2048"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-c=<>!:()\"'\\\\ANDORT \u{e4}-]{0,60}") {
            drop(parse(&text));
        }
    }
}
