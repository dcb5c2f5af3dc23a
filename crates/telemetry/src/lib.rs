//! Tracing, OpenTelemetry export, and trace context on the wire.
//!
//! [`init`] once per process. Where no exporter is configured spans still have ids, so that trace context flows from
//! process to process (and through the event log) whoever of them exports.

pub mod context;
mod init;
pub mod propagate;

pub use init::{DEFAULT_FILTER, Guard, LogFormat, TelemetryConfig, TelemetryError, init};
