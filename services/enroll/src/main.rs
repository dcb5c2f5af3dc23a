//! Starts the enroll service.
fn main() {}
