//! Measured pairs, and how they are shown.

use std::fmt;
use std::time::Duration;

/// The limit a row must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// None: for comparison.
    None,
    /// The ratio must be at least this.
    RatioAtLeast(f64),
    /// The ratio must be at most this.
    RatioAtMost(f64),
    /// The time must be below this.
    Below(Duration),
    /// The bytes must be at most this.
    BytesAtMost(f64),
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: &'static str,
    /// The product's figure with its unit.
    pub(crate) product: String,
    /// The bare thing's figure, or another figure for comparison.
    pub(crate) bare: String,
    /// Ratio of both, or seconds for a time.
    pub(crate) value: f64,
    /// The limit.
    pub(crate) limit: Limit,
}

impl Row {
    /// A row of two rates, events or calls per second: the medians, and the median of the ratios pair by pair.
    pub(crate) fn of_rates(name: &'static str, pairs: &[(f64, f64)], at_least: f64) -> Self {
        let rate = |rates: Vec<f64>| format!("{:.0}/s", median(rates));
        Self {
            name,
            product: rate(pairs.iter().map(|(product, _)| *product).collect()),
            bare: rate(pairs.iter().map(|(_, bare)| *bare).collect()),
            value: median(pairs.iter().map(|(product, bare)| product / bare).collect()),
            limit: Limit::RatioAtLeast(at_least),
        }
    }

    /// Whether the limit is kept.
    pub(crate) fn met(&self) -> bool {
        match self.limit {
            Limit::None => true,
            Limit::RatioAtLeast(limit) => self.value >= limit,
            Limit::RatioAtMost(limit) | Limit::BytesAtMost(limit) => self.value <= limit,
            Limit::Below(limit) => self.value < limit.as_secs_f64(),
        }
    }

    /// The table's heading.
    pub(crate) fn heading() -> String {
        format!("{:<44} {:>14} {:>14} {:>10} {:>10}  met", "what", "muster", "bare", "ratio", "limit")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, limit) = match self.limit {
            Limit::None => (format!("{:.2}", self.value), "-".to_owned()),
            Limit::RatioAtLeast(limit) => (format!("{:.2}", self.value), format!("≥ {limit:.2}")),
            Limit::RatioAtMost(limit) => (format!("{:.2}", self.value), format!("≤ {limit:.2}")),
            Limit::BytesAtMost(limit) => (format!("{:.0} B", self.value), format!("≤ {limit:.0} B")),
            Limit::Below(limit) => {
                (format!("{:.1} ms", self.value * 1e3), format!("< {} ms", limit.as_millis()))
            }
        };
        let met = if self.met() { "yes" } else { "NO" };
        write!(f, "{:<44} {:>14} {:>14} {value:>10} {limit:>10}  {met}", self.name, self.product, self.bare)
    }
}

/// The middle of some figures.
pub(crate) fn median(figures: Vec<f64>) -> f64 {
    quantile(figures, 0.5)
}

/// The figure below which a share of all lies.
pub(crate) fn quantile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = (last as f64 * share).round() as usize;
    figures.get(index).copied().unwrap_or(f64::NAN)
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
