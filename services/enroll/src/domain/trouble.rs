//! What kept a device from reaching the services, as it found out itself.

use muster_types::{EnrollmentCode, Timestamp};

/// Most troubles that a device may tell of at once.
pub const TROUBLES_MAX: usize = 16;
/// Longest detail, in bytes.
pub const DETAIL_BYTES_MAX: usize = 1_024;

/// What a device can find out itself.
pub const CAUSES: [EnrollmentCode; 6] = [
    EnrollmentCode::Dns,
    EnrollmentCode::Clock,
    EnrollmentCode::Proxy,
    EnrollmentCode::TlsInspection,
    EnrollmentCode::Connectivity,
    EnrollmentCode::Certificate,
];

/// Something that kept a device from getting through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it was: one of [`CAUSES`].
    pub code: EnrollmentCode,
    /// What was seen, for people.
    pub detail: String,
    /// When it was first seen, by the device's clock; absent when the device does not say.
    pub first_time: Option<Timestamp>,
    /// When it was last seen, by the device's clock; absent when the device does not say.
    pub last_time: Option<Timestamp>,
}

/// Troubles out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidTrouble {
    /// Which field, as the contract names it.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Checks counts, codes and lengths.
///
/// # Errors
/// [`InvalidTrouble`] naming the first field that is out of bounds.
pub fn check(troubles: &[Trouble]) -> Result<(), InvalidTrouble> {
    let found = troubles.len();
    if found > TROUBLES_MAX {
        let problem = format!("holds {found}, the limit is {TROUBLES_MAX}");
        return Err(InvalidTrouble { field: "troubles".into(), problem });
    }
    for (i, Trouble { code, detail, first_time: _, last_time: _ }) in troubles.iter().enumerate() {
        let invalid = |field, problem| InvalidTrouble { field: format!("troubles[{i}].{field}"), problem };
        if !CAUSES.contains(code) {
            let causes = CAUSES.map(EnrollmentCode::as_str).join(", ");
            return Err(invalid("code", format!("must be one of {causes}")));
        }
        if detail.len() > DETAIL_BYTES_MAX {
            let problem = format!("is {} bytes long, the limit is {DETAIL_BYTES_MAX}", detail.len());
            return Err(invalid("detail", problem));
        }
        if detail.chars().any(char::is_control) {
            return Err(invalid("detail", "must not hold control characters".into()));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn a_wrong_clock() -> Trouble {
        Trouble {
            code: EnrollmentCode::Clock,
            detail: "the clock is 3 days behind".into(),
            first_time: Some(Timestamp::from_micros(1_000)),
            last_time: None,
        }
    }

    #[test]
    fn troubles_out_of_bounds_are_told_with_the_field() {
        assert_eq!(check(&[a_wrong_clock()]), Ok(()));
        let field = |troubles: &[Trouble]| check(troubles).map_err(|e| e.field);
        assert_eq!(field(&vec![a_wrong_clock(); TROUBLES_MAX + 1]), Err("troubles".into()));
        let enrolled = Trouble { code: EnrollmentCode::Enrolled, ..a_wrong_clock() };
        assert_eq!(field(&[a_wrong_clock(), enrolled]), Err("troubles[1].code".into()));
        let long = Trouble { detail: "x".repeat(DETAIL_BYTES_MAX + 1), ..a_wrong_clock() };
        assert_eq!(field(&[long]), Err("troubles[0].detail".into()));
    }
}
