//! What this service does because of events, its own and identity's.
//!
//! - [`identity`] completes enrollments that the onboarding call left unfinished, and follows removals;
//! - [`redecide`] decides anew about the devices that a change of the tenant's settings, or a seat, touches.
//!
//! Each is told of an event at least once, and doing it again changes nothing.

pub mod identity;
pub mod redecide;
