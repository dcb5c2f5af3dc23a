//! A device's status: what it last said of each setting, and the verdict on it.

mod command;
mod error;
mod event;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::Event;
pub use state::{DeviceStatus, SUSPICIONS_PER_REPORT_MAX};
pub use status::{
    CheckIn, MESSAGE_BYTES_MAX, REASON_BYTES_MAX, SETTINGS_MAX, SettingState, SettingStatus, Statement,
    Status,
};
