//! Strict JSON, and dotted paths into it.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::place::Place;
use crate::report::FINDINGS_MAX;

/// Deepest nesting of what [`parse`] reads: the JSON reader's own.
const PARSE_DEPTH_MAX: u32 = 128;

/// Reads one JSON value and nothing after it. A key that stands twice in one object is an error.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    read(bytes, PARSE_DEPTH_MAX, None)
}

/// As [`parse`], with a limit to the nesting. Where there is a place to note them, keys that stand twice are no error: the
/// last counts, and the places of the others are noted, up to one more than findings can be.
pub(crate) fn read(
    bytes: &[u8],
    depth_max: u32,
    repeated: Option<&RefCell<Vec<String>>>,
) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value =
        Tree { place: &Place::Root, depth_left: depth_max, repeated }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads a value of lists and objects that knows where it stands.
#[derive(Clone, Copy)]
struct Tree<'a> {
    place: &'a Place<'a>,
    depth_left: u32,
    repeated: Option<&'a RefCell<Vec<String>>>,
}

impl<'a> Tree<'a> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1);
        let depth_left = depth_left.ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { depth_left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) =
            items.next_element_seed(Tree { place: &Place::Item(self.place, list.len()), ..inner })?
        {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = Place::Key(self.place, &key);
            if map.contains_key(&key) {
                match self.repeated {
                    Some(repeated) if repeated.borrow().len() > FINDINGS_MAX => {}
                    Some(repeated) => repeated.borrow_mut().push(place.to_string()),
                    None => {
                        return Err(A::Error::custom(format!("key stands twice in one object: {place}")));
                    }
                }
            }
            let value = entries.next_value_seed(Tree { place: &place, ..inner })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// The value at a dotted path.
#[must_use]
pub fn get<'a>(root: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (parents, leaf) = path.rsplit_once('.').map_or((None, path), |(parents, leaf)| (Some(parents), leaf));
    let mut object = root;
    for step in parents.into_iter().flat_map(|parents| parents.split('.')) {
        object = object.get(step)?.as_object()?;
    }
    object.get(leaf)
}

/// Sets the value at a dotted path, making the objects on the way; `made` hears of each it made.
///
/// # Errors
/// The path of what stands in the way and is no object; nothing was changed.
pub fn set(
    root: &mut Map<String, Value>,
    path: &str,
    value: Value,
    mut made: impl FnMut(&str),
) -> Result<(), String> {
    let steps: Vec<&str> = path.split('.').collect();
    let Some((leaf, parents)) = steps.split_last() else { return Ok(()) };
    let place = |depth: usize| steps[..=depth].join(".");
    for depth in 0..parents.len() {
        if get(root, &place(depth)).is_some_and(|value| !value.is_object()) {
            return Err(place(depth));
        }
    }
    let mut object = root;
    for (depth, step) in parents.iter().enumerate() {
        if !object.contains_key(*step) {
            object.insert((*step).to_owned(), Value::Object(Map::new()));
            made(&place(depth));
        }
        object = object.get_mut(*step).and_then(Value::as_object_mut).ok_or_else(|| place(depth))?;
    }
    object.insert((*leaf).to_owned(), value);
    Ok(())
}

/// Removes what stands at a dotted path, if anything; the order of the rest stays.
pub fn remove(root: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => drop(root.shift_remove(path)),
        Some((step, rest)) => {
            if let Some(object) = root.get_mut(step).and_then(Value::as_object_mut) {
                remove(object, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_twice_in_one_object_is_refused_at_any_depth() {
        for (text, place) in [
            (r#"{"a":1,"a":2}"#, "object: a at line 1"),
            (r#"{"a":[{"b":{"c":1,"d":2,"c":3}}]}"#, "object: a[0].b.c at line 1"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("stands twice") && error.contains(place), "{error}");
        }
        for text in ["", "{", "{} {}", "{'a':1}", r#"{"a":1,}"#, "{\"a\":NaN}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn values_come_back_as_they_were() {
        let text = r#"{"z":[1,-2,1.5,18446744073709551615,null,true,"é\n"],"a":{"b":{}}}"#;
        assert_eq!(serde_json::to_string(&parse(text.as_bytes()).unwrap()).unwrap(), text);
    }

    #[test]
    fn a_path_is_set_through_new_objects_and_never_through_other_values() {
        let mut root = Map::new();
        let mut made = Vec::new();
        set(&mut root, "a.b.c", 1.into(), |path| made.push(path.to_owned())).unwrap();
        assert_eq!((made, get(&root, "a.b.c")), (vec!["a".to_owned(), "a.b".to_owned()], Some(&1.into())));
        assert_eq!(set(&mut root, "a.b.c.d", 2.into(), |_| {}), Err("a.b.c".to_owned()));
        remove(&mut root, "a.b.c");
        assert_eq!(serde_json::to_string(&root).unwrap(), r#"{"a":{"b":{}}}"#);
    }
}
