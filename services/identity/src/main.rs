//! Starts the identity service.
fn main() {}
