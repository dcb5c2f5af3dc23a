//! The identity service from outside: in process, over real TLS, on a log in memory.

mod certificates;
mod groups;
mod process_manager;
mod registrations;
mod server;
mod trust;
mod views;
