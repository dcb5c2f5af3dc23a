//! Starts the policy service.
fn main() {}
