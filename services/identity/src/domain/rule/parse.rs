//! From words to meaning: precedence is comparison, `-not`, `-and`, `-or`.

use std::ops::Range;

use logos::Logos as _;

use super::ast::{Expression, Node, Quantifier, Test};
use super::check::{self, Literal};
use super::error::{ErrorKind, Mistake, RuleError, meant};
use super::operator::{OPERATORS, Operator, operator};
use super::property::{Kind, Property};
use super::token::{Token, unquoted};
use super::{DEPTH_MAX, RULE_CHARS_MAX};

/// Reads a rule.
pub(super) fn rule(text: &str) -> Result<Node, RuleError> {
    let chars = text.chars().count();
    if chars > RULE_CHARS_MAX {
        let message = format!("the rule is {chars} characters long, {RULE_CHARS_MAX} are allowed");
        let length = chars - RULE_CHARS_MAX;
        return Err(RuleError {
            kind: ErrorKind::TooLong,
            message,
            offset: RULE_CHARS_MAX,
            length,
            hint: None,
        });
    }
    parsed(text).map_err(|mistake| mistake.in_text(text))
}

fn parsed(text: &str) -> Result<Node, Mistake> {
    let mut parser = Parser { text, words: words(text)?, next: 0, depth: 0 };
    let root = parser.or()?;
    if let Some((_, at)) = parser.peek() {
        let message = format!("{:?} stands where -and or -or is expected", &text[at.clone()]);
        return Err(Mistake::syntax(at, message));
    }
    alone(&root)?;
    Ok(root)
}

fn words(text: &str) -> Result<Vec<(Token, Range<usize>)>, Mistake> {
    Token::lexer(text)
        .spanned()
        .map(|(token, at)| match token {
            Ok(Token::Unclosed) => Err(Mistake::syntax(at, "the quote is not closed")),
            Ok(token) => Ok((token, at)),
            Err(()) => {
                let message = format!("{:?} means nothing here", &text[at.clone()]);
                Err(Mistake::syntax(at, message))
            }
        })
        .collect()
}

/// `memberOf` stands alone in its rule.
fn alone(root: &Node) -> Result<(), Mistake> {
    let mut properties = Vec::new();
    root.properties(&mut properties);
    let reads_groups = properties.iter().any(|property| property.kind() == Kind::Groups);
    if reads_groups && !matches!(root.expression, Expression::Test(_)) {
        let message = "memberOf must be the only comparison of its rule";
        return Err(Mistake::new(ErrorKind::Combination, root.at.clone(), message));
    }
    Ok(())
}

struct Parser<'a> {
    text: &'a str,
    words: Vec<(Token, Range<usize>)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<(Token, Range<usize>)> {
        self.words.get(self.next).cloned()
    }

    fn take(&mut self) -> Option<(Token, Range<usize>)> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// The place after the last word read.
    fn here(&self) -> Range<usize> {
        let end = self.next.checked_sub(1).and_then(|last| self.words.get(last)).map_or(0, |(_, at)| at.end);
        end..end
    }

    /// What comes next, or the end, as a mistake's place.
    fn place(&self) -> Range<usize> {
        self.peek().map_or_else(|| self.here(), |(_, at)| at)
    }

    fn takes(&mut self, wanted: Operator) -> bool {
        let found = self.peek().is_some_and(|(token, at)| {
            matches!(token, Token::Operator | Token::Word)
                && operator(&self.text[at]).is_some_and(|(found, _)| found == wanted)
        });
        self.next += usize::from(found);
        found
    }

    fn takes_token(&mut self, wanted: Token) -> bool {
        let found = self.peek().is_some_and(|(token, _)| token == wanted);
        self.next += usize::from(found);
        found
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Mistake::syntax(self.place(), format!("nested more than {DEPTH_MAX} deep")));
        }
        let outcome = inner(self);
        self.depth -= 1;
        outcome
    }

    fn or(&mut self) -> Result<Node, Mistake> {
        self.joined(Operator::Or, Expression::Or, Self::and)
    }

    fn and(&mut self) -> Result<Node, Mistake> {
        self.joined(Operator::And, Expression::And, Self::unary)
    }

    fn joined(
        &mut self,
        by: Operator,
        join: fn(Vec<Node>) -> Expression,
        part: fn(&mut Self) -> Result<Node, Mistake>,
    ) -> Result<Node, Mistake> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.takes(by) {
            parts.push(part(self)?);
        }
        match (parts.len(), parts.first(), parts.last()) {
            (2.., Some(first), Some(last)) => {
                let at = first.at.start..last.at.end;
                Ok(Node { at, expression: join(parts) })
            }
            _ => parts.pop().ok_or_else(|| Mistake::syntax(self.place(), "a comparison is expected")),
        }
    }

    fn unary(&mut self) -> Result<Node, Mistake> {
        let start = self.place().start;
        if self.takes(Operator::Not) {
            let part = self.deeper(Self::unary)?;
            let at = start..part.at.end;
            return Ok(Node { at, expression: Expression::Not(Box::new(part)) });
        }
        if self.takes_token(Token::Open) {
            let inner = self.deeper(Self::or)?;
            if !self.takes_token(Token::Close) {
                let message = if self.peek().is_none() {
                    "the parenthesis is not closed"
                } else {
                    "-and, -or or a closing parenthesis is expected"
                };
                let at = if self.peek().is_none() { start..start + 1 } else { self.place() };
                return Err(Mistake::syntax(at, message));
            }
            return Ok(Node { at: start..self.here().end, expression: inner.expression });
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node, Mistake> {
        let Some((Token::Word, at)) = self.peek() else {
            return Err(Mistake::syntax(
                self.place(),
                "a comparison such as device.displayName -eq \"x\" is expected",
            ));
        };
        self.next += 1;
        let property = check::property(&self.text[at.clone()], &at)?;
        let (op, negated, op_at) = self.operator()?;
        let test = if matches!(op, Operator::Any | Operator::All) {
            self.quantified(property, op, &op_at)?
        } else {
            self.test((property, Quantifier::Any), (op, negated, op_at))?
        };
        if property.kind() == Kind::Groups {
            check::groups(&test, &at)?;
        }
        Ok(Node { at: at.start..self.here().end, expression: Expression::Test(test) })
    }

    fn operator(&mut self) -> Result<(Operator, bool, Range<usize>), Mistake> {
        let Some((token @ (Token::Operator | Token::Word), at)) = self.take() else {
            self.next = self.next.saturating_sub(usize::from(self.next < self.words.len()));
            return Err(Mistake::syntax(self.place(), "an operator such as -eq is expected"));
        };
        let text = &self.text[at.clone()];
        if let Some((operator, negated)) = operator(text) {
            return Ok((operator, negated, at));
        }
        let written = text.trim_start_matches(['-', '–', '—']);
        let hint = meant(written, OPERATORS.iter().map(|(name, ..)| *name));
        let message = if token == Token::Operator {
            format!("there is no operator {text}")
        } else {
            format!("an operator such as -eq is expected, found {text:?}")
        };
        Err(Mistake::syntax(at, message).hint(hint))
    }

    /// `collection -any (_ -eq "x")`, with or without parentheses.
    fn quantified(
        &mut self,
        property: Property,
        op: Operator,
        op_at: &Range<usize>,
    ) -> Result<Test, Mistake> {
        let element = match property.kind() {
            Kind::Collection => "_",
            Kind::Groups => "group.objectId",
            Kind::Text | Kind::Bool => {
                let message = format!("-any and -all are for collections, and {property} is none");
                return Err(Mistake::new(ErrorKind::OperatorType, op_at.clone(), message));
            }
        };
        let open = self.takes_token(Token::Open);
        match self.take() {
            Some((Token::Word, at)) if self.text[at.clone()].eq_ignore_ascii_case(element) => {}
            _ => {
                let at = self.here();
                return Err(Mistake::syntax(at, format!("{element} is expected: the item of {property}")));
            }
        }
        let operator = self.operator()?;
        // That some item is not so is that not all are so, and the other way round.
        let some = (op == Operator::Any) != operator.1;
        let quantifier = if some { Quantifier::Any } else { Quantifier::All };
        let test = self.test((property, quantifier), operator)?;
        if open && !self.takes_token(Token::Close) {
            return Err(Mistake::syntax(self.place(), "a closing parenthesis is expected"));
        }
        Ok(test)
    }

    fn test(
        &mut self,
        (property, quantifier): (Property, Quantifier),
        (op, negated, op_at): (Operator, bool, Range<usize>),
    ) -> Result<Test, Mistake> {
        let name = self.text[op_at.clone()].to_owned();
        check::operator(property, op, &name, &op_at)?;
        let start = self.place();
        let value = self.literal(op)?;
        let at = start.start..self.here().end;
        let predicate = check::predicate(property, op, &name, value, &at)?;
        Ok(Test { property, quantifier, negated, predicate })
    }

    fn literal(&mut self, op: Operator) -> Result<Literal, Mistake> {
        if op == Operator::In {
            return self.list().map(Literal::List);
        }
        match self.take() {
            Some((token @ (Token::DoubleQuoted | Token::SingleQuoted), at)) => {
                Ok(Literal::Text(unquoted(token, &self.text[at])))
            }
            Some((Token::Word, at)) => match self.text[at.clone()].to_lowercase().as_str() {
                "true" => Ok(Literal::Bool(true)),
                "false" => Ok(Literal::Bool(false)),
                "null" => Ok(Literal::Null),
                "$null" => {
                    Err(Mistake::syntax(at, "$null is not a value").hint(Some("write null".to_owned())))
                }
                other => {
                    let message = format!("{other:?} is not a value");
                    Err(Mistake::syntax(at, message).hint(Some("put texts in double quotes".to_owned())))
                }
            },
            Some((Token::ListOpen, at)) => Err(Mistake::syntax(at, "a list is for -in and -notIn")),
            Some((_, at)) => {
                Err(Mistake::syntax(at, "a value is expected: a text in quotes, true, false or null"))
            }
            None => Err(Mistake::syntax(
                self.here(),
                "a value is expected: a text in quotes, true, false or null",
            )),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, Mistake> {
        if !self.takes_token(Token::ListOpen) {
            let message = "a list such as [\"a\",\"b\"] is expected";
            return Err(Mistake::syntax(self.place(), message));
        }
        let mut texts = Vec::new();
        loop {
            match self.take() {
                Some((token @ (Token::DoubleQuoted | Token::SingleQuoted), at)) => {
                    texts.push(unquoted(token, &self.text[at]));
                }
                _ => return Err(Mistake::syntax(self.here(), "a text in quotes is expected")),
            }
            match self.take() {
                Some((Token::Comma, _)) => {}
                Some((Token::ListClose, _)) => return Ok(texts),
                _ => return Err(Mistake::syntax(self.here(), "a comma or ] is expected")),
            }
        }
    }
}
