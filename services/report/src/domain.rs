//! The rules of reports. Pure: no clock, no randomness, no I/O.

pub mod device_status;
pub mod report_settings;
pub mod standing;

mod origin;

pub use origin::Origin;
