//! The log, its engines and what folds it, from outside.

mod embedded;
mod kv;
mod project;
mod react;
mod tail;
mod toy;
