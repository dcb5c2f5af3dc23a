//! Markdown, piece by piece.

use std::fmt::Write as _;

pub(super) fn line(text: &mut String, words: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "{words}").unwrap_or_default();
}

pub(super) fn row(text: &mut String, name: &str, value: &str) {
    line(text, &format!("| {name} | {} |", cell(value)));
}

pub(super) fn cell(value: &str) -> String {
    value.replace('|', "\\|").replace('\n', " ")
}

pub(super) fn list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    text.push_str(&format!("\n## {title}\n\n"));
    items.iter().for_each(|item| line(text, &format!("- {item}")));
}

pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn full_stop(words: &str) -> String {
    if words.ends_with(['.', '!', '?']) { words.to_owned() } else { format!("{words}.") }
}
