//! Tags: words that admins give devices. Held sorted, each once.

/// Most tags that a device or a token has.
pub const TAGS_MAX: usize = 32;
/// Longest tag, in characters.
pub const TAG_CHARS_MAX: usize = 200;

/// Text that cannot be a tag, or too many tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTags {
    /// Empty, too long, or not printable.
    #[error("no tag: {found:?}; a tag has 1 to {TAG_CHARS_MAX} characters, none of them a control character")]
    Tag {
        /// What stood there, cut to 64 characters.
        found: String,
    },
    /// More than there may be.
    #[error("{found} tags, the limit is {TAGS_MAX}")]
    TooMany {
        /// How many there would be.
        found: usize,
    },
    /// Set and taken off at once.
    #[error("the tag {tag:?} is set and taken off at once")]
    Both {
        /// Which.
        tag: Box<str>,
    },
}

/// Checks one tag.
///
/// # Errors
/// [`InvalidTags::Tag`].
pub fn check_tag(tag: &str) -> Result<(), InvalidTags> {
    let fits = (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && !tag.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(InvalidTags::Tag { found: tag.chars().take(64).collect() }) }
}

/// Checks tags that should be sorted, each once.
///
/// # Errors
/// [`InvalidTags`] of the first that is no tag, or when there are too many.
pub fn check(tags: &[Box<str>]) -> Result<(), InvalidTags> {
    tags.iter().try_for_each(|tag| check_tag(tag))?;
    if tags.len() > TAGS_MAX {
        return Err(InvalidTags::TooMany { found: tags.len() });
    }
    Ok(())
}

/// Sorts tags, each once.
pub fn sorted<T: Into<Box<str>>>(tags: impl IntoIterator<Item = T>) -> Vec<Box<str>> {
    let mut tags: Vec<Box<str>> = tags.into_iter().map(Into::into).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// Those of `tags` that are not among `others`; both sorted.
#[must_use]
pub fn missing(tags: &[Box<str>], others: &[Box<str>]) -> Vec<Box<str>> {
    tags.iter().filter(|tag| others.binary_search(tag).is_err()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_sorted_and_stand_once() {
        let tags = sorted(["pilot", "a", "pilot"]);
        assert_eq!(tags, sorted(["a", "pilot"]));
        assert_eq!(missing(&tags, &sorted(["a"])), sorted(["pilot"]));
    }

    #[test]
    fn what_is_no_tag_is_told() {
        assert_eq!(check(&sorted(["ü".repeat(TAG_CHARS_MAX)])), Ok(()));
        for tag in [String::new(), "ü".repeat(TAG_CHARS_MAX + 1), "a\nb".into()] {
            assert!(matches!(check(&sorted([tag])), Err(InvalidTags::Tag { .. })));
        }
        let many = sorted((0..=TAGS_MAX).map(|n| n.to_string()));
        assert_eq!(check(&many), Err(InvalidTags::TooMany { found: TAGS_MAX + 1 }));
    }
}
