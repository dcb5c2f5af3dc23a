//! Places: where in a managed configuration something stands, and where a setting lands.

use std::fmt;

use muster_catalog::{MergeMode, Setting};

/// Longest piece of a key that a path shows, in characters.
const KEY_CHARS_MAX: usize = 64;

/// A form of managed configuration: keys within keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// `mdatp_managed.json` of Microsoft Defender for Endpoint on Linux.
    MdatpJson,
    /// The `com.microsoft.wdav` property list of Microsoft Defender for Endpoint on macOS.
    WdavPlist,
}

impl Form {
    /// The dotted path of keys under which a setting stands in this form; `None` where it lands elsewhere or is a field of
    /// a list's items.
    #[must_use]
    pub fn path(self, setting: &Setting) -> Option<&str> {
        let path = match self {
            Self::MdatpJson => setting.lands.json_path.as_deref(),
            Self::WdavPlist => setting.lands.plist_key.as_deref(),
        };
        path.filter(|_| setting.merge != MergeMode::PartOfItem)
    }
}

/// A place in a configuration, as a list of steps that ends at its root.
#[derive(Debug, Clone, Copy)]
pub enum Place<'p> {
    /// The whole.
    Root,
    /// What stands under a key.
    Key(&'p Place<'p>, &'p str),
    /// An item of a list.
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    /// Dotted; a key that would not read well so stands in brackets: `a.b[0]["c d"]`. A long key is cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Item(list, index) => write!(f, "{list}[{index}]"),
            Self::Key(object, key) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '-');
                if key.chars().nth(KEY_CHARS_MAX).is_some() {
                    let begin: String = key.chars().take(KEY_CHARS_MAX).collect();
                    write!(f, "{object}[{begin:?}…]")
                } else if key.is_empty() || !key.chars().all(plain) {
                    write!(f, "{object}[{key:?}]")
                } else if matches!(object, Self::Root) {
                    f.write_str(key)
                } else {
                    write!(f, "{object}.{key}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_a_path() {
        let section = Place::Key(&Place::Root, "edr");
        let tags = Place::Key(&section, "tags");
        let item = Place::Item(&tags, 1);
        assert_eq!(Place::Key(&item, "$type").to_string(), "edr.tags[1].$type");
        assert_eq!(Place::Key(&section, "possible values").to_string(), r#"edr["possible values"]"#);
        assert_eq!(Place::Root.to_string(), "");
        let long = "é".repeat(100);
        assert_eq!(Place::Key(&Place::Root, &long).to_string(), format!("[\"{}\"…]", "é".repeat(64)));
    }
}
