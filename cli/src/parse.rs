//! Values typed on the command line.

use std::time::Duration;

use muster_proto::convert::timestamp;
use muster_proto::log::v1::{AsOf, as_of};
use muster_types::{Positions, Timestamp};

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

/// Reads a past moment: a time, or positions of the logs.
///
/// # Errors
/// What would be right.
pub fn as_of(text: &str) -> Result<AsOf, String> {
    let at = match (text.parse::<Timestamp>(), text.parse::<Positions>()) {
        (Ok(time), _) => as_of::At::Time(timestamp(time)),
        (_, Ok(positions)) if positions != Positions::ZERO => as_of::At::Position(text.to_owned()),
        _ => {
            return Err(format!(
                "expected a time such as 2026-11-21T06:18:14Z or positions such as policy:7, found {text:?}"
            ));
        }
    };
    Ok(AsOf { at: Some(at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_past_moment_is_a_time_or_positions() {
        let at = |text| as_of(text).ok().and_then(|of| of.at);
        assert!(matches!(at("2026-11-21T06:18:14Z"), Some(as_of::At::Time(_))));
        assert_eq!(at("policy:7,report:2"), Some(as_of::At::Position("policy:7,report:2".into())));
        for bad in ["", "yesterday", "7", "police:7"] {
            assert!(as_of(bad).is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn lengths_of_time_need_a_unit() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for bad in ["", "24", "h", "1.5h", "-1s", "1w", "999999999999999999999d", "é"] {
            assert!(duration(bad).is_err(), "{bad:?} passed");
        }
    }
}
