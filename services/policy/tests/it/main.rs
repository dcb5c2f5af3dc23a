//! The policy service in process, on a log in memory: called as a server calls it, with the caller known.

mod admin;
mod device;
mod house;
