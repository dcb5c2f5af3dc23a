//! The files of the repository, embedded.

use std::sync::LazyLock;

use crate::model::Catalogue;

macro_rules! embedded {
    ($($stem:literal),* $(,)?) => {
        &[$(($stem, include_str!(concat!("../../../catalog/", $stem, ".yaml")))),*]
    };
}

/// Stem and text of every file.
pub(crate) const FILES: &[(&str, &str)] = embedded![
    "linux-antivirus",
    "linux-antivirus-exclusions",
    "linux-edr",
    "linux-global-exclusions",
    "macos-antivirus",
    "macos-antivirus-exclusions",
    "macos-edr",
    "windows-antivirus",
    "windows-antivirus-exclusions",
    "windows-asr-rules",
    "windows-defender-update-controls",
    "windows-edr",
    "windows-firewall",
    "windows-firewall-rules",
    "windows-security-experience",
];

#[expect(clippy::expect_used, reason = "a test loads the very bytes that are embedded")]
static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::load(FILES.iter().copied()).expect("the embedded catalogue is sound: a test loads it")
});

impl Catalogue {
    /// The catalogue of this version, read at its first use.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_load_and_count() {
        let catalogue = Catalogue::load(FILES.iter().copied()).unwrap_or_else(|invalid| panic!("{invalid}"));
        assert_eq!(catalogue.profiles().count(), 15);
        let catalogued = || catalogue.settings().filter(|setting| !setting.composed);
        assert_eq!(catalogued().count(), 369);
        assert_eq!(catalogued().filter(|setting| !setting.channels.ssm.deliverable()).count(), 86);
        let composed: Vec<_> = catalogue.settings().filter(|setting| setting.composed).collect();
        assert_eq!(composed.len(), 1);
        assert_eq!(composed[0].id.as_str(), "windows-firewall-rules/rules");
    }

    #[test]
    fn no_file_of_the_folder_is_forgotten() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog");
        let mut stems: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|stem| stem != crate::platforms::STEM)
            .collect();
        stems.sort();
        assert_eq!(stems, FILES.iter().map(|(stem, _)| *stem).collect::<Vec<_>>());
    }
}
