//! The enroll service from outside: in process, over real TLS, on a log in memory.

mod inventory;
mod managing;
mod onboarding;
mod process_manager;
mod server;
mod tokens;
mod views;
