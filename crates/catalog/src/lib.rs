//! The settings catalogue: what a policy may set, of which type, where it lands on a device, and how it merges.
//!
//! The data are the files in `catalog/` of the repository, one per profile, embedded and read once
//! ([`Catalogue::builtin`]). Everything else asks here: the policy service checks values ([`Catalogue::check`]), the
//! agent renders them and reads them back ([`Setting::to_wire_json`], [`Setting::from_wire_json`]), the CLI and the
//! documentation explain them ([`Setting::describe`], [`docs::page`]).
//!
//! Which devices can be managed at all is said by the platform rules ([`platforms`]).

mod applicability;
mod builtin;
mod check;
pub mod docs;
mod file;
mod levels;
mod load;
mod model;
pub mod platforms;
mod sound;
mod wire;

pub use applicability::{AgentLevel, Applicability, Channel, TamperLock};
pub use check::Violation;
pub use load::{CatalogueInvalid, Mistake};
pub use model::{
    BoolWire, Catalogue, Channels, Confidence, DependsOn, EnumValue, Field, FlagValue, ITEMS_MAX, Kind,
    Lands, MergeMode, ObjectSchema, Pattern, Platform, Profile, Setting, Status, Support, TEXT_CHARS_MAX,
    Tamper, TamperCondition, TextItems, UsedWhen, WireScalar,
};
pub use platforms::Edition as RulesAsOf;
pub use wire::WireMismatch;
