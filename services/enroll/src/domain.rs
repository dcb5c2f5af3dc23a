//! The rules of the front door. Pure: no clock, no randomness, no I/O; time and ids come with the command.

pub mod enrollment;
pub mod facts;
pub mod onboarding;
pub mod onboarding_token;
pub mod scope;
pub mod tags;
pub mod tenant_settings;
pub mod trouble;
pub mod verdict;
