//! Values typed on the command line.

use std::time::Duration;

/// Reads a length of time: a number with `s`, `m`, `h` or `d`.
///
/// # Errors
/// What would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a number with s, m, h or d, for example 24h, found {text:?}");
    let unit_at = text.char_indices().next_back().map_or(0, |(at, _)| at);
    let (number, unit) = text.split_at(unit_at);
    let seconds_per_unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds_per_unit).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_need_a_unit() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for bad in ["", "24", "h", "1.5h", "-1s", "1w", "999999999999999999999d", "é"] {
            assert!(duration(bad).is_err(), "{bad:?} passed");
        }
    }
}
