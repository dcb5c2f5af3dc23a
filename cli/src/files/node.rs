//! A document as it stands in a file: values with their places, before anything is known of what they mean.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, Options};
use serde_saphyr::{Location, Spanned};

/// Deepest nesting of a document.
pub const DEPTH_MAX: usize = 32;
/// Most values of one file, those that aliases repeat included.
pub const NODES_MAX: usize = 1_000_000;
/// Most aliases of one document.
pub const ALIASES_MAX: usize = 1_000;
/// Most parser events that aliases of one document may repeat.
pub const REPLAYED_MAX: usize = 100_000;

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl From<Location> for At {
    fn from(location: Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where.
    pub at: At,
    /// What.
    pub value: Value,
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Where.
    pub at: At,
    /// As it is written.
    pub text: String,
}

/// A value of YAML.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number that no setting can have.
    Number(f64),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file, keys that stand twice included.
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// What it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

thread_local! {
    /// Values that may still be read of the present file.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, defined: _ } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: referenced.into(), value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(1));
        if left == 0 {
            return Err(serde::de::Error::custom(format!("more than {NODES_MAX} values in one file")));
        }
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "it is only told that it is no number for a setting")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Number(value as f64), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let key = Key { at: key.referenced.into(), text: key.value };
            map.push((key, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}

/// Text that is no YAML, or more of it than is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub at: At,
    /// What is wrong.
    pub message: String,
}

/// Reads the documents of a file, up to what cannot be read. Empty ones are left out.
///
/// Only `true` and `false` are booleans: `off`, `no` and the like are texts, as YAML 1.2 has it.
pub fn documents(text: &str, mut each: impl FnMut(Result<Node, Unreadable>) -> bool) {
    LEFT.set(NODES_MAX);
    let mut bytes = text.as_bytes();
    for document in serde_saphyr::read_with_options::<_, Node>(&mut bytes, options()) {
        let document = document.map_err(|error| {
            let at = error.location().map_or(At { line: 1, column: 1 }, At::from);
            Unreadable { at, message: message(&error) }
        });
        if !each(document) {
            return;
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_recorded_anchor_events: REPLAYED_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_merge_keys: ALIASES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPLAYED_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        // All keys are seen, so that every one that stands twice is told with its place.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// What is wrong, in one line and without the place, which is told apart.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(text),
        None => text,
    };
    text.trim_start_matches("error: ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Node, Unreadable>> {
        let mut read = Vec::new();
        documents(text, |document| {
            read.push(document);
            true
        });
        read
    }

    fn only(text: &str) -> Node {
        read(text).into_iter().next().expect(text).unwrap()
    }

    #[test]
    fn values_and_keys_have_places() {
        let Value::Map(map) = only("a: 1\nlonger:\n  - x\n  - 'off'\n  - off\n").value else { panic!() };
        let (key, value) = &map[1];
        assert_eq!((key.at, key.text.as_str()), (At { line: 2, column: 1 }, "longer"));
        let Value::List(items) = &value.value else { panic!() };
        assert_eq!(items[1].at, At { line: 4, column: 5 });
        assert_eq!(items[2].value, Value::Text("off".into()));
        assert_eq!(map[0].1.value, Value::Integer(1));
    }

    #[test]
    fn keys_that_stand_twice_are_both_seen() {
        let Value::Map(map) = only("a: 1\nb: 2\na: 3\n").value else { panic!() };
        assert_eq!(map.iter().map(|(key, _)| key.text.as_str()).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(map[2].0.at, At { line: 3, column: 1 });
    }

    #[test]
    fn documents_are_read_up_to_what_is_no_yaml() {
        let read = read("a: 1\n---\n---\nb: 2\n---\nc: [1\n");
        assert_eq!(read.len(), 3, "{read:?}");
        let wrong = read[2].as_ref().unwrap_err();
        assert!(wrong.at.line >= 6 && !wrong.message.contains("line"), "{wrong:?}");
    }

    #[test]
    fn tabs_are_told_with_their_place() {
        let read = read("a:\n\tb: 1\n");
        assert_eq!(read[0].as_ref().unwrap_err().at.line, 2, "{read:?}");
    }

    #[test]
    fn bombs_of_aliases_and_of_nesting_do_not_go_off() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let before = n - 1;
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{before}"); 10].join(",")));
        }
        let deep = format!("a: {}1{}", "[".repeat(500), "]".repeat(500));
        let itself = "a: &a [*a]\n".to_owned();
        for text in [bomb, deep, itself] {
            let read = read(&text);
            assert!(read.last().unwrap().is_err(), "{read:?}");
        }
    }
}
