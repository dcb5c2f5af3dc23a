//! Muster.
fn main() {}
