//! Settings by words.

use muster_types::SettingId;

use crate::model::{Catalogue, Profile, Setting};
use crate::near::{nearest, nearness};

/// Most words of a search that count.
const WORDS_MAX: usize = 16;
/// Most ids offered for one that does not exist.
const OFFERED_MAX: usize = 3;

/// A setting that a search found.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// Its profile.
    pub profile: &'a Profile,
    /// The setting.
    pub setting: &'a Setting,
    /// How well it fits; greater is better, and no number by itself.
    pub score: u32,
}

impl Catalogue {
    /// The settings in which every word of a search occurs: in name, id, key, group, notes, or what is said of their
    /// rules and profile. The best first: a word of its own counts more than the beginning of one, that more than a
    /// piece, and a name more than a note. Equal ones are sorted by id. No words find nothing.
    #[must_use]
    pub fn search(&self, words: &str) -> Vec<Hit<'_>> {
        let words: Vec<_> = pieces(words).take(WORDS_MAX).collect();
        if words.is_empty() {
            return Vec::new();
        }
        let mut hits: Vec<_> = self
            .profiles()
            .flat_map(|profile| profile.settings.iter().map(move |setting| (profile, setting)))
            .filter_map(|(profile, setting)| {
                score(profile, setting, &words).map(|score| Hit { profile, setting, score })
            })
            .collect();
        hits.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.setting.id.cmp(&b.setting.id)));
        hits
    }

    /// The settings that were probably meant by an id that does not exist, the nearest first; at most 3. An id without its
    /// profile finds the settings of that name.
    #[must_use]
    pub fn meant_by(&self, text: &str) -> Vec<&SettingId> {
        let (profile, name) = text.split_once('/').unwrap_or(("", text));
        let of_name =
            self.settings().filter(|setting| setting.id.setting() == name).map(|setting| &setting.id);
        let mut meant: Vec<_> = of_name.take(OFFERED_MAX).collect();
        if meant.is_empty() && !name.is_empty() {
            let near = |setting: &Setting| {
                let own = if profile.is_empty() { setting.id.setting() } else { setting.id.as_str() };
                nearness(text, own)
            };
            let mut ranked: Vec<_> =
                self.settings().filter_map(|setting| Some((near(setting)?, &setting.id))).collect();
            ranked.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
            meant.extend(ranked.into_iter().take(OFFERED_MAX).map(|(_, id)| id));
        }
        meant
    }

    /// The profile that was probably meant by an id that does not exist.
    #[must_use]
    pub fn profile_meant_by(&self, text: &str) -> Option<&str> {
        nearest(text, self.profiles().map(|profile| profile.id.as_str()))
    }
}

/// Words in lower case, `scanMaxCPU` and `scan_max-cpu` alike; hyphens inside words are dropped by whoever compares.
fn pieces(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn score(profile: &Profile, setting: &Setting, words: &[String]) -> Option<u32> {
    let constraints: Vec<_> =
        setting.constraints.iter().map(|constraint| constraint.words.as_str()).collect();
    let constraints = constraints.join(" ");
    let places = [
        (12, setting.name.as_str()),
        (10, setting.id.setting()),
        (8, setting.key.as_str()),
        (4, setting.group.as_str()),
        (3, profile.id.as_str()),
        (2, profile.name.as_str()),
        (1, setting.notes.as_deref().unwrap_or_default()),
        (1, constraints.as_str()),
    ];
    let places = places.map(|(weight, text)| (weight, Place::new(text)));
    // A word that occurs nowhere takes the setting out.
    words.iter().map(|word| places.iter().map(|(weight, place)| weight * place.fit(word)).max()).try_fold(
        0,
        |sum, best| match best {
            None | Some(0) => None,
            Some(best) => Some(sum + best),
        },
    )
}

/// A text, ready to be compared.
struct Place {
    words: Vec<String>,
    /// The words without what is between them: `real-time` as `realtime`.
    joined: String,
}

impl Place {
    fn new(text: &str) -> Self {
        let words: Vec<_> = pieces(text).collect();
        Self { joined: words.concat(), words }
    }

    fn fit(&self, word: &str) -> u32 {
        if self.words.iter().any(|own| own == word) {
            4
        } else if self.words.iter().any(|own| own.starts_with(word)) {
            3
        } else if self.joined.contains(word) {
            2
        } else {
            0
        }
    }
}
