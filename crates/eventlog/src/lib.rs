//! The append-only event log: the one source of truth, and what folds it.
//!
//! - [`EventLog`] is the log: [`memory`] for tests, [`embedded`] (fjall) for one machine, [`jetstream`] for a cluster.
//!   All three are held to the suite in [`conformance`].
//! - [`command`] is the way in: load, decide, append with the expected version.
//! - [`project`] is the way out: a [`project::View`] is a pure fold of envelopes, kept in memory and written behind to
//!   a [`kv::Kv`].
//! - [`react`] is what a service does because of events, beside its views.
//! - [`as_of`] turns a past moment into a cut-off position for each log.
//! - [`tail`] serves the log over gRPC.

pub mod as_of;
pub mod chain;
pub mod command;
pub mod conformance;
pub mod embedded;
pub mod envelope;
mod fault;
pub mod jetstream;
pub mod kv;
pub mod log;
pub mod memory;
pub mod project;
pub mod react;
pub mod tail;

pub use envelope::{Actor, Context, Envelope, EventType, NewEvent};
pub use log::{Append, AppendError, Appended, Delivery, EventLog, ReadError, Subscription};
