//! What commands print: data to stdout, as a table for people or in a form for programs.

use std::io::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use muster_errors::{ErrorCode, Fault};
use muster_types::{Clock as _, SystemClock};
use serde_json::{Value, json};

/// Widest table.
const TABLE_COLUMNS_MAX: u16 = 100;
/// Widest bar of a share.
const BAR_COLUMNS: u64 = 30;
/// What a list shows where an item has nothing; an item shown alone leaves the row out.
const NOTHING_THERE: &str = "-";

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A table
    #[default]
    Table,
    /// One JSON object
    Json,
    /// One YAML document
    Yaml,
    /// Resource names, a line each
    Name,
}

/// A list of resources, or one.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// Key of the list in JSON, for example `devices`; `None` for a single resource.
    pub plural: Option<&'static str>,
    /// The resources as objects; each has a `name`.
    pub items: Vec<Value>,
    /// Token of the next page, for a list.
    pub next_page_token: String,
    /// Columns of the table: heading, JSON pointer.
    pub columns: &'static [(&'static str, &'static str)],
}

impl Data {
    /// A list.
    #[must_use]
    pub fn list(
        plural: &'static str,
        items: Vec<Value>,
        next_page_token: String,
        columns: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { plural: Some(plural), items, next_page_token, columns }
    }

    /// One resource.
    #[must_use]
    pub fn one(item: Value, columns: &'static [(&'static str, &'static str)]) -> Self {
        Self { plural: None, items: vec![item], next_page_token: String::new(), columns }
    }

    fn value(&self) -> Value {
        match (self.plural, self.items.first()) {
            (Some(plural), _) => json!({ plural: self.items, "next_page_token": self.next_page_token }),
            (None, Some(item)) => item.clone(),
            (None, None) => Value::Null,
        }
    }

    /// Prints the data.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn print(&self, format: Format) -> Result<(), Fault> {
        match format {
            Format::Json => print_json(&self.value()),
            Format::Yaml => print_yaml(&self.value()),
            Format::Name => {
                let names: Vec<_> = self.items.iter().filter_map(|item| item["name"].as_str()).collect();
                print_text(&names.join("\n"))
            }
            Format::Table if self.plural.is_none() => {
                let rows = self.columns.iter().filter_map(|(heading, pointer)| {
                    let cell = cell(self.items.first()?, pointer);
                    (cell != NOTHING_THERE).then(|| vec![(*heading).to_owned(), cell])
                });
                print_text(&table(&[], rows))
            }
            Format::Table => {
                let headings: Vec<_> = self.columns.iter().map(|(heading, _)| *heading).collect();
                let rows = self.items.iter().map(|item| {
                    self.columns.iter().map(|(_, pointer)| cell(item, pointer)).collect::<Vec<_>>()
                });
                print_text(&table(&headings, rows))
            }
        }
    }
}

/// A table that fits 100 columns, without lines.
#[must_use]
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(TABLE_COLUMNS_MAX);
    if !headings.is_empty() {
        table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    }
    for row in rows {
        table.add_row(row);
    }
    // An id or a name that is broken over lines cannot be copied.
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// What a table shows of an item. A pointer that begins with `age:` is to a moment, and shows how long ago that was.
#[must_use]
pub fn cell(item: &Value, pointer: &str) -> String {
    if let Some(pointer) = pointer.strip_prefix("age:") {
        let moment = item.pointer(pointer).and_then(Value::as_str).and_then(|text| text.parse().ok());
        return moment
            .map_or_else(|| NOTHING_THERE.to_owned(), |moment| age(SystemClock.now().since(moment)));
    }
    match item.pointer(pointer) {
        None | Some(Value::Null) => NOTHING_THERE.to_owned(),
        Some(Value::String(text)) if text.is_empty() => NOTHING_THERE.to_owned(),
        Some(Value::String(text)) => to_the_second(text),
        Some(other) => other.to_string(),
    }
}

/// A length of time in its largest unit: `12s`, `5m`, `3h`, `40d`.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long ago a moment was, in words: `3 min ago`; `never` when there was none.
#[must_use]
pub fn ago(item: &Value, pointer: &str) -> String {
    let moment = item.pointer(pointer).and_then(Value::as_str).and_then(|text| text.parse().ok());
    moment.map_or_else(|| "never".to_owned(), |moment| ago_text(SystemClock.now().since(moment)))
}

fn ago_text(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A share as a bar of blocks, and in percent. What is not nothing has a block, and what is not all lacks one.
#[must_use]
pub fn share(part: u64, of: u64) -> (String, String) {
    if of == 0 {
        return (String::new(), NOTHING_THERE.to_owned());
    }
    let (width, part, of) = (u128::from(BAR_COLUMNS), u128::from(part), u128::from(of));
    let blocks = match (part * width).div_ceil(of) {
        blocks if part < of => blocks.min(width - 1),
        blocks => blocks,
    };
    let tenths = match part * 1_000 / of {
        0 if part > 0 => 1,
        tenths => tenths,
    };
    let bar = std::iter::repeat_n('▇', usize::try_from(blocks).unwrap_or_default()).collect();
    (bar, format!("{}.{} %", tenths / 10, tenths % 10))
}

/// Breaks a text at spaces, so that lines fit; what has no space stays whole, since it may be copied.
pub fn wrapped(lines: &mut Vec<String>, indent: &str, text: &str) {
    let mut line = indent.to_owned();
    for part in text.split_whitespace() {
        let is_empty = line.trim().is_empty();
        if !is_empty && line.chars().count() + 1 + part.chars().count() > usize::from(TABLE_COLUMNS_MAX) {
            lines.push(std::mem::replace(&mut line, format!("{indent}  {part}")));
            continue;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(part);
    }
    lines.push(line);
}

/// A moment without its microseconds; other text as it is. JSON has them whole.
fn to_the_second(text: &str) -> String {
    let is_moment = text.len() == 27 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    if is_moment { format!("{}Z", &text[..19]) } else { text.to_owned() }
}

/// Prints a JSON value, indented.
///
/// # Errors
/// When stdout is closed.
pub fn print_json(value: &Value) -> Result<(), Fault> {
    print_text(&format!("{value:#}"))
}

/// Prints a value as YAML.
///
/// # Errors
/// When stdout is closed.
pub fn print_yaml(value: &Value) -> Result<(), Fault> {
    let text = serde_saphyr::to_string(value)
        .map_err(|error| Fault::new(ErrorCode::Internal, format!("cannot write YAML: {error}")))?;
    print_text(&text)
}

/// Prints text to stdout with a line end, unless it is empty.
///
/// # Errors
/// When stdout is closed.
pub fn print_text(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = std::io::stdout().lock();
    let line_end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(stdout, "{text}{line_end}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => nobody_reads(),
        Err(error) => {
            Err(Fault::new(ErrorCode::Internal, format!("cannot write to standard output: {error}")))
        }
    }
}

/// Ends the program: whoever read its output has what they wanted, as `head` does.
#[expect(clippy::exit, reason = "there is nobody to tell and nothing left to do")]
fn nobody_reads() -> ! {
    std::process::exit(0)
}

/// Prints a note for people to stderr.
#[expect(clippy::print_stderr, reason = "notes go to stderr, data to stdout")]
pub fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[(&str, &str)] = &[("name", "/name"), ("uses", "/uses")];

    #[test]
    fn a_list_is_an_object_with_its_plural_as_key() {
        let data = Data::list("tokens", vec![json!({"name": "a", "uses": 1})], "next".into(), COLUMNS);
        assert_eq!(data.value(), json!({"tokens": [{"name": "a", "uses": 1}], "next_page_token": "next"}));
    }

    #[test]
    fn a_share_shows_what_is_not_nothing_and_not_all() {
        let of = |part, of| {
            let (bar, percent) = share(part, of);
            (bar.chars().count(), percent)
        };
        assert_eq!(of(0, 1_000_000), (0, "0.0 %".to_owned()));
        assert_eq!(of(1, 1_000_000), (1, "0.1 %".to_owned()));
        assert_eq!(of(500_000, 1_000_000), (15, "50.0 %".to_owned()));
        assert_eq!(of(999_999, 1_000_000), (29, "99.9 %".to_owned()));
        assert_eq!(of(1_000_000, 1_000_000), (30, "100.0 %".to_owned()));
        assert_eq!(of(0, 0), (0, "-".to_owned()));
    }

    #[test]
    fn moments_are_told_by_how_long_ago_they_were() {
        let ages = [0, 60, 3_600, 172_800].map(|s| ago_text(Duration::from_secs(s)));
        assert_eq!(ages, ["0 s ago", "1 min ago", "1 h ago", "2 d ago"]);
        assert_eq!(ago(&json!({}), "/report_time"), "never");
    }

    #[test]
    fn tables_fit_and_mark_what_is_missing() {
        let text = table(&["name", "long"], [vec!["a".into(), "x ".repeat(200)]]);
        assert!(text.lines().all(|line| line.chars().count() <= usize::from(TABLE_COLUMNS_MAX)), "{text}");
        assert_eq!(cell(&json!({"name": null}), "/name"), "-");
        assert_eq!(cell(&json!({"at": "2026-11-21T06:18:14.766845Z"}), "age:/none"), "-");
        let ages = [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(|s| age(Duration::from_secs(s)));
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
        assert_eq!(cell(&json!({"at": "2026-11-21T06:18:14.766845Z"}), "/at"), "2026-11-21T06:18:14Z");
    }
}
