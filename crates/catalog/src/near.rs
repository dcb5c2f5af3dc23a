//! What was probably meant.

/// Least nearness of a name that may have been meant.
const NEARNESS_MIN: f64 = 0.85;
/// Most letters of a text that are compared.
const LETTERS_MAX: usize = 200;

/// How near a name is to a text, if it is near enough to be what was meant.
pub(crate) fn nearness(text: &str, name: &str) -> Option<f64> {
    let end = text.char_indices().nth(LETTERS_MAX).map_or(text.len(), |(end, _)| end);
    let nearness = strsim::jaro_winkler(&text[..end], name);
    (nearness > NEARNESS_MIN).then_some(nearness)
}

/// The nearest of some names, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .filter_map(|name| Some((nearness(text, name)?, name)))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
