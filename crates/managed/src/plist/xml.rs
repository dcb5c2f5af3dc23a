//! Property lists as XML.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use serde_json::Value;

use super::tree::Tree;
use crate::invalid::{self, Invalid};

/// Elements whose text is their value.
const LEAVES: [&str; 6] = ["key", "string", "integer", "real", "date", "data"];

/// Reads a property list.
pub(super) fn read(bytes: &[u8]) -> Result<Value, Invalid> {
    let text = invalid::check_text(bytes)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut list = List::default();
    loop {
        let begin = offset(reader.buffer_position());
        let event = reader.read_event().map_err(|error| {
            Invalid::at(format!("not a property list: {error}"), bytes, offset(reader.error_position()))
        })?;
        if matches!(event, Event::Eof) {
            break;
        }
        list.feed(&event).map_err(|problem| Invalid::at(problem, bytes, begin))?;
    }
    list.finish().map_err(|problem| Invalid::at(problem, bytes, bytes.len()))
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[derive(Debug, Default)]
struct List {
    tree: Tree,
    /// Elements that are open.
    elements: Vec<String>,
    /// Text so far of the innermost element.
    text: String,
}

impl List {
    fn feed(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(start) => self.start(start.local_name().as_ref()),
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(text.as_ref()),
            Event::CData(text) => self.text(text.as_ref()),
            Event::GeneralRef(entity) => {
                let character = entity.resolve_char_ref().map_err(|error| error.to_string())?;
                match (character, resolve_xml_entity(entity.as_ref())) {
                    (Some(character), _) => self.text(character.encode_utf8(&mut [0; 4])),
                    (None, Some(text)) => self.text(text),
                    (None, None) => Err(format!("unknown entity &{};", entity.as_ref() as &str)),
                }
            }
            Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        let parent = self.elements.last().map(String::as_str);
        let fits = match (parent, name) {
            (None, _) => name == "plist",
            (Some("plist" | "array"), "array" | "dict" | "true" | "false") => true,
            (Some("dict"), "array" | "dict" | "true" | "false") => true,
            (Some("plist" | "array"), name) => name != "key" && LEAVES.contains(&name),
            (Some("dict"), name) => LEAVES.contains(&name),
            (Some(_), _) => false,
        };
        if !fits {
            return Err(format!("<{name}> cannot stand here"));
        }
        if parent == Some("plist") && self.tree.is_whole() {
            return Err("more than one value".to_owned());
        }
        self.text.clear();
        self.elements.push(name.to_owned());
        match name {
            "array" => self.tree.open_list(),
            "dict" => self.tree.open_object(),
            _ => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match self.elements.last() {
            Some(name) if LEAVES.contains(&name.as_str()) => self.text.push_str(text),
            _ if text.chars().all(char::is_whitespace) => {}
            // Some editors leave a mark of the byte order at the beginning.
            None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
            _ => return Err("text between elements".to_owned()),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let name = self.elements.pop().unwrap_or_default();
        let text = std::mem::take(&mut self.text);
        match name.as_str() {
            "array" | "dict" => self.tree.close(),
            "true" => self.tree.value(true.into()),
            "false" => self.tree.value(false.into()),
            "key" => {
                if self.tree.awaits_key() {
                    self.tree.text(text)
                } else {
                    Err("a value is expected".to_owned())
                }
            }
            "string" => {
                if self.tree.awaits_key() {
                    Err("a key is expected".to_owned())
                } else {
                    self.tree.text(text)
                }
            }
            "integer" => {
                let number = whole(text.trim()).ok_or_else(|| format!("no whole number: {text:?}"))?;
                self.tree.value(number)
            }
            "real" => {
                let number: f64 = text.trim().parse().map_err(|_| format!("no number: {text:?}"))?;
                self.tree.value(number.into())
            }
            "date" | "data" => self.tree.value(Value::Null),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Value, String> {
        match self.elements.last() {
            Some(name) => Err(format!("<{name}> has no end")),
            None => self.tree.finish(),
        }
    }
}

fn whole(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Value::from);
    }
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}
