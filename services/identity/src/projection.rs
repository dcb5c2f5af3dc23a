//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod directory;
pub mod groups;
pub mod hardware;
pub mod histories;
pub mod membership;
pub mod registrations;
pub mod trust_anchors;

pub use directory::Directory;
pub use groups::Groups;
pub use hardware::Hardware;
pub use histories::Histories;
pub use membership::Membership;
pub use registrations::Registrations;
pub use trust_anchors::TrustAnchors;
