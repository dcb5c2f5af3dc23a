//! Lists of devices.
//!
//! A page goes on after a mark: what its order says of the last row of the page before, so that devices which come
//! meanwhile move nothing. The order of onboarding is that of the rows, and a page of it costs what it shows. For the
//! other two there is no index: a page takes one pass over what matches, and keeps the first rows of it. No pass holds
//! folding up for longer than [`ROWS_AT_ONCE`] rows take.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use muster_runtime::request::Page;
use muster_types::TenantId;
use roaring::RoaringBitmap;

use super::Queries;
use crate::filter::{Plan, nearest};
use crate::projection::Devices;
use crate::projection::devices::Device;

/// Rows looked at under one hold of the view's lock.
const ROWS_AT_ONCE: usize = 65_536;

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderBy {
    /// First onboarding, as the log has it.
    OnboardTime,
    /// Host name, without regard to small and capital letters.
    Hostname,
    /// Last seen.
    LastSeenTime,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// The other way round.
    pub descending: bool,
}

/// Where a page ended: what its order says of the last row, and the row's number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Empty for the order of onboarding.
    pub key: Vec<u8>,
    /// Number of the row.
    pub number: u32,
}

/// A page of devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The devices.
    pub devices: Vec<Device>,
    /// What the next page starts after; none on the last page.
    pub next: Option<Mark>,
    /// How many match in all; none when no index tells.
    pub total: Option<u32>,
}

impl Order {
    const FIELDS: [(&'static str, OrderBy); 3] = [
        ("onboard_time", OrderBy::OnboardTime),
        ("hostname", OrderBy::Hostname),
        ("last_seen_time", OrderBy::LastSeenTime),
    ];

    /// Reads `hostname` or `hostname desc`; the order of onboarding when it is empty.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let Some(field) = words.next() else {
            return Ok(Self { by: OrderBy::OnboardTime, descending: false });
        };
        let Some((_, by)) = Self::FIELDS.into_iter().find(|(name, _)| *name == field) else {
            let names = Self::FIELDS.map(|(name, _)| name);
            return Err(match nearest(field, names.into_iter()) {
                Some(near) => format!("{field:?} is no field to order by; did you mean {near}?"),
                None => format!("{field:?} is no field to order by; one of {}", names.join(", ")),
            });
        };
        match (words.next(), words.next()) {
            (None | Some("asc"), None) => Ok(Self { by, descending: false }),
            (Some("desc"), None) => Ok(Self { by, descending: true }),
            _ => Err("expected one field, and desc behind it for the other direction".into()),
        }
    }

    fn mark(self, devices: &Devices, number: u32) -> Mark {
        let key = match self.by {
            OrderBy::OnboardTime => Vec::new(),
            OrderBy::Hostname => devices.hostname(number).to_ascii_lowercase().into_bytes(),
            OrderBy::LastSeenTime => devices.last_seen(number).to_be_bytes().to_vec(),
        };
        Mark { key, number }
    }
}

impl Queries {
    /// A page of a tenant's devices.
    #[must_use]
    pub fn devices(&self, tenant: TenantId, plan: &Plan, order: Order, page: &Page<Mark>) -> Listed {
        match order.by {
            OrderBy::OnboardTime => self.in_order(tenant, plan, order.descending, page),
            OrderBy::Hostname | OrderBy::LastSeenTime => self.first_of(tenant, plan, order, page),
        }
    }

    /// Rows as they stand, until the page is full.
    fn in_order(&self, tenant: TenantId, plan: &Plan, descending: bool, page: &Page<Mark>) -> Listed {
        let (mut after, mut found, mut total) =
            (page.mark.as_ref().map(|mark| mark.number), Vec::new(), None);
        loop {
            let devices = self.devices.read();
            let candidates = plan.candidates(&devices, tenant);
            if total.is_none() && plan.is_exact() {
                total = Some(count(&candidates));
            }
            let (looked_at, last) =
                take(rows(&candidates, after, descending), &mut found, page.rows + 1, |number| {
                    plan.holds(&devices, number)
                });
            if found.len() > page.rows || looked_at < ROWS_AT_ONCE {
                let more = found.len() > page.rows;
                found.truncate(page.rows);
                let last = found.last().filter(|_| more);
                let next = last.map(|number| Mark { key: Vec::new(), number: *number });
                let shown = found.iter().map(|number| devices.device(*number)).collect();
                return Listed { devices: shown, next, total };
            }
            after = last;
        }
    }

    /// The first rows behind the mark in another order: one pass over all that matches.
    fn first_of(&self, tenant: TenantId, plan: &Plan, order: Order, page: &Page<Mark>) -> Listed {
        let (mut after, mut total, mut kept) = (None, None, BinaryHeap::new());
        loop {
            let devices = self.devices.read();
            let candidates = plan.candidates(&devices, tenant);
            if total.is_none() && plan.is_exact() {
                total = Some(count(&candidates));
            }
            let mut looked_at = 0;
            for number in rows(&candidates, after, false).take(ROWS_AT_ONCE) {
                (looked_at, after) = (looked_at + 1, Some(number));
                let mark = Ranked { mark: order.mark(&devices, number), descending: order.descending };
                let behind = page.mark.as_ref().is_none_or(|end| mark.order(end).is_gt());
                let worse = kept.len() > page.rows && kept.peek().is_some_and(|last| *last < mark);
                if behind && !worse && plan.holds(&devices, number) {
                    kept.push(mark);
                    if kept.len() > page.rows + 1 {
                        kept.pop();
                    }
                }
            }
            if looked_at < ROWS_AT_ONCE {
                let mut found: Vec<_> =
                    kept.into_sorted_vec().into_iter().map(|ranked| ranked.mark).collect();
                let more = found.len() > page.rows;
                found.truncate(page.rows);
                let shown = found.iter().map(|mark| devices.device(mark.number)).collect();
                return Listed { devices: shown, next: found.pop().filter(|_| more), total };
            }
        }
    }
}

/// A mark by its place in the order asked for.
#[derive(Debug, PartialEq, Eq)]
struct Ranked {
    mark: Mark,
    descending: bool,
}

impl Ranked {
    fn order(&self, other: &Mark) -> Ordering {
        let order = self.mark.cmp(other);
        if self.descending { order.reverse() } else { order }
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(&other.mark)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Rows after one, in their order or against it.
fn rows(candidates: &RoaringBitmap, after: Option<u32>, descending: bool) -> impl Iterator<Item = u32> {
    let up = (!descending).then(|| match after {
        None => candidates.range(0..),
        Some(u32::MAX) => candidates.range(0..0),
        Some(after) => candidates.range(after + 1..),
    });
    let down = descending.then(|| candidates.range(..after.unwrap_or(u32::MAX)).rev());
    up.into_iter().flatten().chain(down.into_iter().flatten())
}

/// Takes numbers that hold until there are `enough` or [`ROWS_AT_ONCE`] were looked at; tells how many were, and the last.
fn take(
    rows: impl Iterator<Item = u32>,
    found: &mut Vec<u32>,
    enough: usize,
    holds: impl Fn(u32) -> bool,
) -> (usize, Option<u32>) {
    let (mut looked_at, mut last) = (0, None);
    for number in rows.take(ROWS_AT_ONCE) {
        (looked_at, last) = (looked_at + 1, Some(number));
        if holds(number) {
            found.push(number);
            if found.len() == enough {
                break;
            }
        }
    }
    (looked_at, last)
}

fn count(candidates: &RoaringBitmap) -> u32 {
    u32::try_from(candidates.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_field_and_a_direction() {
        let order = |by, descending| Ok(Order { by, descending });
        assert_eq!(Order::parse(""), order(OrderBy::OnboardTime, false));
        assert_eq!(Order::parse("hostname desc"), order(OrderBy::Hostname, true));
        assert_eq!(Order::parse(" last_seen_time  asc"), order(OrderBy::LastSeenTime, false));
        let wrong = |text| Order::parse(text).unwrap_err();
        assert!(wrong("hostnam").contains("did you mean hostname?"));
        assert!(wrong("hostname down").contains("expected one field"));
        assert!(wrong("hostname, onboard_time").contains("is no field"));
    }
}
