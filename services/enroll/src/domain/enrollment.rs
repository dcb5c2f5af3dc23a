//! A device's enrollment: how it came in, what it says of itself, whether this channel may manage it, who does, and how
//! it left.
//!
//! | outcome | code | takes a seat | decided anew |
//! |---|---|---|---|
//! | pending | `PENDING` | yes | yes |
//! | succeeded | `ENROLLED`, `DUAL_MANAGEMENT` | yes | yes |
//! | refused | why | no | yes |
//! | offboarding | `OFFBOARDING` | yes | no |
//! | offboarded | `OFFBOARDED` | no | no |
//! | deleted | `DELETED`, `MERGED` | no | no |

mod command;
mod decide;
mod draft;
mod error;
mod event;
#[cfg(test)]
mod laws;
mod state;
#[cfg(test)]
mod tests;

pub use command::{Command, Rules, Seat};
pub use error::Error;
pub use event::{Event, ManagedBy, TakenBack};
pub use state::{Enrollment, Onboarded, Outcome};
