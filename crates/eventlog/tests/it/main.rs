//! The log, its engines and what folds it, from outside.

mod conformance;
mod embedded;
mod jetstream;
mod kv;
mod project;
mod react;
mod tail;
mod toy;
mod verify;
