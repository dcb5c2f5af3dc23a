//! The device's side: onboards, checks in, applies, reads back, reports.

pub mod core;
