//! The settings catalogue: what a policy may set, of which type, where it lands on a device, and how it merges.
//!
//! The data are the files in `catalog/` of the repository, one per profile, embedded and read once
//! ([`Catalogue::builtin`]). Everything else asks here: the policy service checks values ([`Catalogue::check`]), the
//! agent renders them and reads them back ([`Setting::to_wire_json`], [`Setting::from_wire_json`]), the CLI and the
//! documentation explain them ([`docs::describe`], [`docs::page`]) and find them ([`Catalogue::search`]). Which device can be
//! given which setting is said by [`Catalogue::support`].
//!
//! Which devices can be managed at all is said by the platform rules ([`platforms`]).

mod applicability;
mod builtin;
mod check;
pub mod docs;
mod file;
mod format;
mod levels;
mod load;
mod model;
mod near;
pub mod platforms;
mod search;
mod sound;
mod warnings;
mod wire;

pub use applicability::{AgentLevel, Applicability, Channel, TamperLock};
pub use check::Violation;
pub use format::Format;
pub use load::{CatalogueInvalid, Mistake};
pub use model::{
    BoolWire, Catalogue, Channels, Condition, Confidence, Constraint, DependsOn, EnumValue, Field, FlagValue,
    ITEMS_MAX, Kind, Lands, MergeMode, ObjectSchema, Pattern, Platform, Profile, Rule, Setting, Status,
    Support, TEXT_CHARS_MAX, Tamper, TamperCondition, TextItems, UsedWhen, WireScalar,
};
pub use platforms::Edition as RulesAsOf;
pub use search::Hit;
pub use warnings::Warning;
pub use wire::WireMismatch;
