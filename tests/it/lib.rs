//! Nothing: this package is its tests, in `main.rs` beside this file.
