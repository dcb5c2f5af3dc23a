//! A tree, built step by step.

use serde_json::{Map, Value};

use crate::DEPTH_MAX;
use crate::place::Place;

/// Most that a property list may stand for: a unit for each value, and one for each byte of text. A binary list can name
/// one value many times.
const WEIGHT_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
enum Open {
    List(Vec<Value>),
    Object(Map<String, Value>, Option<String>),
}

/// A tree that is being built.
#[derive(Debug, Default)]
pub(super) struct Tree {
    open: Vec<Open>,
    root: Option<Value>,
    weight: usize,
}

impl Tree {
    pub(super) fn open_list(&mut self) -> Result<(), String> {
        self.open(Open::List(Vec::new()))
    }

    pub(super) fn open_object(&mut self) -> Result<(), String> {
        self.open(Open::Object(Map::new(), None))
    }

    /// Ends the innermost list or object.
    pub(super) fn close(&mut self) -> Result<(), String> {
        let value = match self.open.pop() {
            None => return Err("an end without a beginning".to_owned()),
            Some(Open::Object(_, Some(key))) => {
                return Err(format!("key without a value: {}", Place::Key(&Place::Root, &key)));
            }
            Some(Open::Object(object, None)) => Value::Object(object),
            Some(Open::List(list)) => Value::Array(list),
        };
        self.put(value)
    }

    /// A text, or a key where one belongs.
    pub(super) fn text(&mut self, text: String) -> Result<(), String> {
        self.weigh(1 + text.len())?;
        let Some(Open::Object(object, key @ None)) = self.open.last_mut() else {
            return self.put(Value::String(text));
        };
        if object.contains_key(&text) {
            return Err(format!("key stands twice in one object: {}", self.place(&text)));
        }
        *key = Some(text);
        Ok(())
    }

    /// A value without values in it.
    pub(super) fn value(&mut self, value: Value) -> Result<(), String> {
        self.weigh(1)?;
        if self.awaits_key() {
            return Err("a key is expected".to_owned());
        }
        self.put(value)
    }

    /// Whether a key belongs here.
    pub(super) fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Object(_, None)))
    }

    /// Whether the root is whole.
    pub(super) fn is_whole(&self) -> bool {
        self.root.is_some()
    }

    pub(super) fn finish(self) -> Result<Value, String> {
        if !self.open.is_empty() {
            return Err("it ends before it is whole".to_owned());
        }
        self.root.ok_or_else(|| "it holds no value".to_owned())
    }

    fn open(&mut self, open: Open) -> Result<(), String> {
        self.weigh(1)?;
        if self.awaits_key() {
            return Err("a key is expected".to_owned());
        }
        if self.open.len() >= DEPTH_MAX as usize {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        self.open.push(open);
        Ok(())
    }

    fn put(&mut self, value: Value) -> Result<(), String> {
        match self.open.last_mut() {
            Some(Open::List(list)) => list.push(value),
            Some(Open::Object(object, key)) => {
                let key = key.take().ok_or("a key is expected")?;
                object.insert(key, value);
            }
            None if self.root.is_some() => return Err("more than one value".to_owned()),
            None => self.root = Some(value),
        }
        Ok(())
    }

    fn weigh(&mut self, weight: usize) -> Result<(), String> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX {
            return Err(format!("it stands for more than {WEIGHT_MAX} bytes"));
        }
        Ok(())
    }

    /// Where a key of the innermost object stands.
    fn place(&self, key: &str) -> String {
        fn at(open: &[Open], place: &Place<'_>, key: &str) -> String {
            match open.split_first() {
                None | Some((_, [])) => Place::Key(place, key).to_string(),
                Some((Open::List(list), rest)) => at(rest, &Place::Item(place, list.len()), key),
                Some((Open::Object(_, under), rest)) => {
                    at(rest, &Place::Key(place, under.as_deref().unwrap_or_default()), key)
                }
            }
        }
        at(&self.open, &Place::Root, key)
    }
}
