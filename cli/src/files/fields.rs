//! Mappings taken apart field by field, each mistake with its place.

use std::sync::Arc;

use muster_errors::ErrorCode;

use super::mistake::{Findings, Place};
use super::node::{At, Key, Node, Value};

/// Reads one file's values and notes what is wrong with them.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    findings: &'a mut Findings,
}

impl<'a> Reader<'a> {
    /// A reader of a file.
    pub const fn new(file: &'a Arc<str>, text: &'a str, findings: &'a mut Findings) -> Self {
        Self { file, text, findings }
    }

    /// A place in the file.
    #[must_use]
    pub fn place(&self, at: At) -> Place {
        Place { file: Arc::clone(self.file), line: at.line, column: at.column }
    }

    /// Notes a mistake of the form of the file.
    pub fn wrong(&mut self, at: At, message: impl Into<String>) {
        self.mistake(ErrorCode::FileInvalid, at, message);
    }

    /// Notes a mistake.
    pub fn mistake(&mut self, code: ErrorCode, at: At, message: impl Into<String>) {
        let place = self.place(at);
        self.findings.mistake(code, place, message);
    }

    /// Notes a warning.
    pub fn warning(&mut self, at: At, message: impl Into<String>) {
        let place = self.place(at);
        self.findings.warning(place, message);
    }

    /// How many mistakes there are so far.
    #[must_use]
    pub const fn mistake_count(&self) -> usize {
        self.findings.mistake_count()
    }

    /// The place of a character within a text. Exact where the text stands in the file as it is; otherwise where it begins.
    #[must_use]
    pub fn within(&self, at: At, text: &str, chars: usize) -> At {
        let (Ok(line_index), Ok(column_index)) =
            (usize::try_from(at.line.saturating_sub(1)), usize::try_from(at.column.saturating_sub(1)))
        else {
            return at;
        };
        let Some(line) = self.text.lines().nth(line_index) else { return at };
        let rest: String = line.chars().skip(column_index).collect();
        let quote = usize::from(rest.starts_with(['"', '\'']));
        let stands = rest.chars().skip(quote).collect::<String>().starts_with(text);
        if stands { At { line: at.line, column: at.column + (quote + chars) as u64 } } else { at }
    }
}

/// The fields of a mapping, taken one by one.
#[derive(Debug)]
pub struct Fields {
    /// Where the mapping begins.
    pub at: At,
    map: Vec<(Key, Node)>,
}

impl Fields {
    /// The fields of a mapping that may have those; others, and those that stand twice, are mistakes.
    pub fn of(reader: &mut Reader<'_>, what: &str, node: Node, allowed: &[&str]) -> Option<Self> {
        let Value::Map(entries) = node.value else {
            reader.wrong(node.at, format!("{what}: expected a mapping, found {}", node.value.kind()));
            return None;
        };
        let mut map: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            if !allowed.contains(&key.text.as_str()) {
                reader.wrong(key.at, unknown(what, &key.text, allowed));
            } else if let Some((first, _)) = map.iter().find(|(earlier, _)| earlier.text == key.text) {
                let line = first.at.line;
                reader.wrong(key.at, format!("{} stands twice in {what}; first on line {line}", key.text));
            } else {
                map.push((key, value));
            }
        }
        Some(Self { at: node.at, map })
    }

    /// Takes a field; nothing when it is absent or empty.
    pub fn take(&mut self, name: &str) -> Option<Node> {
        let index = self.map.iter().position(|(key, _)| key.text == name)?;
        let (_, node) = self.map.swap_remove(index);
        (node.value != Value::Null).then_some(node)
    }

    /// Takes a field that must be there.
    pub fn need(&mut self, reader: &mut Reader<'_>, name: &str) -> Option<Node> {
        let found = self.take(name);
        if found.is_none() {
            reader.wrong(self.at, format!("{name} is missing"));
        }
        found
    }

    /// Takes a text, if there is one.
    pub fn text(&mut self, reader: &mut Reader<'_>, name: &str) -> Option<Text> {
        let node = self.take(name)?;
        Text::of(reader, name, node)
    }

    /// Takes a text that must be there, with 1 to so many characters.
    pub fn need_text(&mut self, reader: &mut Reader<'_>, name: &str, chars_max: usize) -> Option<Text> {
        let node = self.need(reader, name)?;
        Text::of(reader, name, node)?.of_length(reader, name, chars_max)
    }

    /// Takes a text of 1 to so many characters, if there is one.
    pub fn some_text(&mut self, reader: &mut Reader<'_>, name: &str, chars_max: usize) -> Option<String> {
        let node = self.take(name)?;
        Some(Text::of(reader, name, node)?.of_length(reader, name, chars_max)?.text)
    }

    /// Takes one of some words, if there is one.
    pub fn word<T: Copy>(&mut self, reader: &mut Reader<'_>, name: &str, words: &[(&str, T)]) -> Option<T> {
        let node = self.take(name)?;
        let text = Text::of(reader, name, node)?;
        let found = words.iter().find(|(word, _)| *word == text.text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("{name}: expected one of {}, found {:?}", words.join(", "), text.text);
            reader.wrong(text.at, message);
        }
        found
    }

    /// Takes a boolean, if there is one.
    pub fn boolean(&mut self, reader: &mut Reader<'_>, name: &str) -> Option<bool> {
        let node = self.take(name)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        reader.wrong(node.at, format!("{name}: expected true or false, found {}", node.value.kind()));
        None
    }

    /// Takes a whole number of a range, if there is one.
    pub fn number(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let node = self.take(name)?;
        if let Value::Integer(value) = node.value
            && let Ok(value) = u32::try_from(value)
            && range.contains(&value)
        {
            return Some(value);
        }
        let (least, most) = (range.start(), range.end());
        reader.wrong(node.at, format!("{name}: expected a whole number from {least} to {most}"));
        None
    }
}

fn unknown(what: &str, name: &str, allowed: &[&str]) -> String {
    match (what, name) {
        ("metadata", "labels" | "annotations") => {
            format!("{name} are not supported: an object is known by its kind and name alone; leave them out")
        }
        _ => format!("{what} has no field {name:?}; there are {}", allowed.join(", ")),
    }
}

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where.
    pub at: At,
    /// The text.
    pub text: String,
}

impl Text {
    fn of_length(self, reader: &mut Reader<'_>, name: &str, chars_max: usize) -> Option<Self> {
        let chars = self.text.chars().count();
        if (1..=chars_max).contains(&chars) {
            return Some(self);
        }
        reader.wrong(self.at, format!("{name}: expected 1 to {chars_max} characters, found {chars}"));
        None
    }

    /// A value as a text.
    pub fn of(reader: &mut Reader<'_>, name: &str, node: Node) -> Option<Self> {
        let at = node.at;
        match node.value {
            Value::Text(text) => Some(Self { at, text }),
            Value::Bool(_) | Value::Integer(_) | Value::Number(_) => {
                let found = node.value.kind();
                reader.wrong(at, format!("{name}: expected a text, found {found}; put it in quotes"));
                None
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                reader.wrong(at, format!("{name}: expected a text, found {}", node.value.kind()));
                None
            }
        }
    }
}
