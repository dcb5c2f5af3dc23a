//! The enroll service from outside: in process, over real TLS, on a log in memory.

mod crowd;
mod desk;
mod inventory;
mod lifecycle;
mod managing;
mod onboarding;
mod process_manager;
mod redecide;
mod server;
mod tokens;
mod views;
