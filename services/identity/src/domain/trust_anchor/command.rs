//! What may be asked of a trust anchor.

use muster_types::{Timestamp, TrustAnchorId};

use super::Kind;

/// Most certificates of an authority.
pub const CERTIFICATES_MAX: usize = 16;

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Register an authority.
    Add {
        /// Name for people.
        display_name: String,
        /// What kind of authority it is.
        kind: Kind,
        /// Its certificates in DER.
        certificates_der: Vec<Vec<u8>>,
        /// The first of its certificates that cannot be used, as was looked at outside.
        unfit: Option<Unfit>,
        /// Directory tenant that its certificates must name, a GUID; empty when they name none.
        directory_tenant_id: String,
        /// Another anchor of the tenant that has this name, as far as it was looked up.
        namesake: Option<TrustAnchorId>,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Remove it. Registrations it proved stay.
    Remove,
}

/// A certificate that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Which one, counted from 0.
    pub index: usize,
    /// What is wrong with it, for people.
    pub reason: String,
}
