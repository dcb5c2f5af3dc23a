//! Starts the report service.
fn main() {}
