//! How far an export is, on a terminal.

use std::io::{IsTerminal as _, Write as _};

use crate::output::share;

/// Tells a terminal how far it is, once for each percent; says nothing elsewhere.
pub(super) struct Progress {
    done: u64,
    total: u64,
    shown: Option<u64>,
    is_seen: bool,
}

impl Progress {
    pub(super) fn begin(total: u32) -> Self {
        Self { done: 0, total: total.into(), shown: None, is_seen: std::io::stderr().is_terminal() }
    }

    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn advance(&mut self, rows: usize) {
        self.done += rows as u64;
        let percent = (self.done * 100).checked_div(self.total);
        if self.is_seen && percent != self.shown {
            self.shown = percent;
            let (bar, percent) = share(self.done, self.total);
            // Who cannot be told how far it is still gets the rows.
            drop(write!(std::io::stderr(), "\r{bar:<30} {percent:>7} of {} rows", self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            drop(writeln!(std::io::stderr()));
        }
    }
}
