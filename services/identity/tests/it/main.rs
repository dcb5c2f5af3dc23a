//! The identity service from outside: in process, over real TLS, on a log in memory.

mod groups;
mod server;
mod trust;
mod views;
