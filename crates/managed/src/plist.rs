//! Property lists, as XML and in binary form, as the tree that JSON has too.
//!
//! Dates, data and references are no values of settings; they stand as null.

mod tree;
mod xml;

use std::io::Cursor;

use plist::stream::{BinaryReader, Event};
use serde_json::{Map, Value};

use crate::invalid::{self, Invalid};
use tree::Tree;

/// How a binary property list begins.
const BINARY_MAGIC: &[u8] = b"bplist0";

/// Reads a property list of either form, whose root is a dictionary.
///
/// # Errors
/// [`Invalid`], for XML with line and column.
pub(crate) fn read(bytes: &[u8]) -> Result<Map<String, Value>, Invalid> {
    invalid::check_size(bytes)?;
    let root = if bytes.starts_with(BINARY_MAGIC) { read_binary(bytes)? } else { xml::read(bytes)? };
    match root {
        Value::Object(root) => Ok(root),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Invalid::new("the root of the property list is no dictionary"))
        }
    }
}

fn read_binary(bytes: &[u8]) -> Result<Value, Invalid> {
    let mut tree = Tree::default();
    for event in BinaryReader::new(Cursor::new(bytes)) {
        let event = event.map_err(|error| Invalid::new(format!("not a binary property list: {error}")))?;
        feed(&mut tree, event).map_err(Invalid::new)?;
    }
    tree.finish().map_err(Invalid::new)
}

fn feed(tree: &mut Tree, event: Event<'_>) -> Result<(), String> {
    match event {
        Event::StartArray(_) => tree.open_list(),
        Event::StartDictionary(_) => tree.open_object(),
        Event::EndCollection => tree.close(),
        Event::Boolean(value) => tree.value(value.into()),
        Event::Integer(value) => match (value.as_signed(), value.as_unsigned()) {
            (Some(value), _) => tree.value(value.into()),
            (None, Some(value)) => tree.value(value.into()),
            (None, None) => tree.value(Value::Null),
        },
        Event::Real(value) => tree.value(value.into()),
        Event::String(text) => tree.text(text.into_owned()),
        // What a later version of the reader may know is no value of a setting either.
        Event::Data(_) | Event::Date(_) | Event::Uid(_) | _ => tree.value(Value::Null),
    }
}

/// Writes a property list as XML.
///
/// # Panics
/// If the value has a null in it, which no setting becomes.
pub(crate) fn write(root: &Value) -> String {
    let mut bytes = Vec::new();
    to_plist(root).to_writer_xml(&mut bytes).expect("memory can be written to");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("an XML property list is UTF-8")
}

fn to_plist(value: &Value) -> plist::Value {
    match value {
        Value::Null => unreachable!("no setting becomes null"),
        Value::Bool(value) => plist::Value::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => plist::Value::Integer(number.into()),
            (None, Some(number)) => plist::Value::Integer(number.into()),
            (None, None) => plist::Value::Real(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => plist::Value::String(text.clone()),
        Value::Array(items) => plist::Value::Array(items.iter().map(to_plist).collect()),
        Value::Object(object) => plist::Value::Dictionary(
            object.iter().map(|(key, value)| (key.clone(), to_plist(value))).collect(),
        ),
    }
}

/// Whether a text can stand in an XML property list and be read back as it was.
pub(crate) fn can_hold(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\t' | '\n') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn xml(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist>\n<plist version=\"1.0\">\n{inside}\n</plist>\n"
        )
    }

    #[test]
    fn both_forms_of_a_property_list_read_the_same() {
        let text = xml("<dict><key>a &amp; b</key><array><true/><false></false><integer>-7</integer>\
             <integer>0x10</integer><real>1.5</real><string> <![CDATA[<x>]]>&#65;<!-- c --> </string>\
             <date>2026-01-01T00:00:00Z</date><data>AAAA</data><dict/></array><key>b</key><string/></dict>");
        let expected = json!({"a & b": [true, false, -7, 16, 1.5, " <x>A ", null, null, {}], "b": ""});
        assert_eq!(Value::Object(read(text.as_bytes()).unwrap()), expected);
        let without = json!({"a & b": [true, false, -7, 16, 1.5, " <x>A ", {}], "b": ""});
        let mut binary = Vec::new();
        to_plist(&without).to_writer_binary(&mut binary).unwrap();
        assert_eq!(Value::Object(read(&binary).unwrap()), without);
        assert_eq!(Value::Object(read(write(&without).as_bytes()).unwrap()), without);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        let deep = format!("<dict><key>a</key>{}{}</dict>", "<array>".repeat(64), "</array>".repeat(64));
        for (inside, line, problem) in [
            ("<dict>\n<key>a</key><true/>\n<key>a</key><false/></dict>", 6, "stands twice in one object: a"),
            ("<dict><key>a</key></dict>", 4, "key without a value"),
            ("<dict><true/></dict>", 4, "a key is expected"),
            ("<dict><key>a</key><integer>1.5</integer></dict>", 4, "no whole number"),
            ("<dict><key>a</key><string>&nope;</string></dict>", 4, "unknown entity"),
            ("<dict><key>a</key><string><b/></string></dict>", 4, "<b> cannot stand"),
            ("<dict>text</dict>", 4, "text between"),
            ("<dict><key>a</key><true>x</true></dict>", 4, "text between"),
            ("<dict><nope/></dict>", 4, "<nope> cannot stand"),
            ("<dict/><dict/>", 4, "more than one value"),
            ("<dict>", 5, ""),
            ("<dict></array>", 4, ""),
            ("", 6, "no value"),
            (&deep, 4, "nested deeper than 64"),
        ] {
            let error = read(xml(inside).as_bytes()).unwrap_err();
            let found = error.position.map(|(line, _)| line);
            assert_eq!(found, Some(line), "{inside}: {error}");
            assert!(error.message.contains(problem), "{inside}: {error}");
        }
        let invalid = read(b"<plist>\n  \xff</plist>").unwrap_err();
        assert_eq!(invalid.position, Some((2, 3)));
        for bytes in
            [&b"bplist00"[..], b"bplist00 nothing of that kind, but long enough for a trailer", b"", b"{}"]
        {
            assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
        }
        assert!(read(&vec![b' '; crate::FILE_BYTES_MAX + 1]).unwrap_err().message.contains("larger"));
    }

    /// In a binary list one text can stand under many keys: it does not become large by being read.
    #[test]
    fn a_small_file_that_stands_for_a_large_one_is_refused() {
        // Objects: 0 a dictionary of one key, 1 the key, 2… lists of 12 times the next, the last a text.
        let mut bytes = b"bplist00".to_vec();
        let mut offsets = Vec::new();
        let mut object = |content: &[u8]| {
            offsets.push(u8::try_from(bytes.len()).unwrap());
            bytes.extend_from_slice(content);
        };
        object(&[0xd1, 1, 2]);
        object(b"\x51a");
        for next in 3..12 {
            object(&[&[0xac][..], &[next; 12]].concat());
        }
        object(b"\x51b");
        let table = bytes.len() as u64;
        let count = offsets.len() as u64;
        bytes.extend_from_slice(&offsets);
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 1]);
        for number in [count, 0, table] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let error = read(&bytes).unwrap_err();
        assert!(error.message.contains("stands for more than"), "{error}");
    }
}
