//! What keeps the device from getting through: noted while it is so, told once it gets through.

use muster_proto::convert;
use muster_proto::enroll::v1 as pb;
use muster_types::{EnrollmentCode, Timestamp};
use serde::{Deserialize, Serialize};

/// Most troubles that are kept; the oldest goes first.
pub const TROUBLES_MAX: usize = 16;
/// Longest detail, in bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// Something that kept the device from reaching the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Enrollment code of the cause, for example `DNS`.
    pub code: String,
    /// What was seen, for people.
    pub detail: String,
    /// When it was first seen, by the device's clock.
    pub first_at: Timestamp,
    /// When it was last seen, by the device's clock.
    pub last_at: Timestamp,
}

/// The troubles that were not told yet, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Troubles(Vec<Trouble>);

impl Troubles {
    /// Notes a trouble. The same again only moves its last time.
    pub fn note(&mut self, now: Timestamp, code: EnrollmentCode, detail: &str) {
        let detail = clean(detail);
        let mut trouble = Trouble { code: code.as_str().to_owned(), detail, first_at: now, last_at: now };
        let same = |known: &Trouble| known.code == trouble.code && known.detail == trouble.detail;
        if let Some(known) = self.0.iter().position(same) {
            trouble.first_at = self.0.remove(known).first_at;
        }
        self.0.push(trouble);
        if self.0.len() > TROUBLES_MAX {
            self.0.remove(0);
        }
    }

    /// Forgets what was told, as it was told.
    pub fn told(&mut self, told: &[Trouble]) {
        self.0.retain(|trouble| !told.contains(trouble));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Trouble] {
        &self.0
    }
}

/// The troubles as they are sent.
#[must_use]
pub fn messages(troubles: &[Trouble]) -> Vec<pb::Trouble> {
    let message = |Trouble { code, detail, first_at, last_at }: &Trouble| pb::Trouble {
        code: code.clone(),
        detail: detail.clone(),
        first_time: Some(convert::timestamp(*first_at)),
        last_time: Some(convert::timestamp(*last_at)),
    };
    troubles.iter().take(TROUBLES_MAX).map(message).collect()
}

fn clean(detail: &str) -> String {
    let detail: String = detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn the_same_trouble_again_moves_its_last_time() {
        let mut troubles = Troubles::default();
        troubles.note(at(1), EnrollmentCode::Dns, "no name\n");
        troubles.note(at(2), EnrollmentCode::Connectivity, "nobody answers");
        troubles.note(at(3), EnrollmentCode::Dns, "no name\n");
        let seen: Vec<_> = troubles.all().iter().map(|t| (t.code.as_str(), t.first_at, t.last_at)).collect();
        assert_eq!(seen, [("CONNECTIVITY", at(2), at(2)), ("DNS", at(1), at(3))]);
        assert_eq!(troubles.all()[1].detail, "no name ");
    }

    #[test]
    fn troubles_are_bounded_and_only_what_was_told_is_forgotten() {
        let mut troubles = Troubles::default();
        for n in 0..40 {
            troubles.note(at(n), EnrollmentCode::Dns, &format!("{n}{}", "x".repeat(2000)));
        }
        assert_eq!(troubles.all().len(), TROUBLES_MAX);
        assert!(troubles.all().iter().all(|t| t.detail.len() <= DETAIL_BYTES_MAX));
        let told = troubles.all().to_vec();
        troubles.note(at(99), EnrollmentCode::Dns, &told[0].detail.clone());
        troubles.told(&told);
        assert_eq!(troubles.all().iter().map(|t| t.last_at).collect::<Vec<_>>(), [at(99)]);
    }
}
