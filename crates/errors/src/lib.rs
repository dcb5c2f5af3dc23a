//! The closed set of error codes, and how each is told over gRPC.
//!
//! A code says three things: the gRPC status it travels under, whether the same call may be tried again, and whether
//! anything happened. Each has a page in `docs/errors/`, compiled in as [`ErrorCode::page`].

mod code;
mod fault;

pub use code::{Effect, ErrorCode, Retry, UnknownErrorCode};
pub use fault::{DOMAIN, Fault, FieldViolation};
