//! What identity's log says of devices: their ordinals, and what their registrations rest on.
//!
//! It comes in no order to enroll's log. What is said of a device that was not onboarded yet waits here; a device that
//! never is leaves its ordinal behind, so that the next ones are counted right.

use muster_eventlog::Envelope;
use muster_eventlog::project::FoldError;
use muster_proto::identity::v1 as identity;
use muster_proto::identity::v1::RegistrationKind;

use super::row::Trust;

/// Full names of the events, beside those that the writer reacts to.
pub(super) mod kind {
    pub(in super::super) const ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
    pub(in super::super) const PROMOTED: &str = "muster.identity.v1.RegistrationPromoted";
    pub(in super::super) const REMOVED: &str = "muster.identity.v1.RegistrationRemoved";
    pub(in super::super) const SEEN: &str = "muster.policy.v1.DevicesSeen";
}

/// Something that identity says of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It is trusted; the first time gives it its ordinal.
    Established(RegistrationKind, Box<str>),
    /// It has a full registration in place of a synthetic one.
    Promoted(Box<str>),
    /// It is not registered any more.
    Removed,
}

impl Said {
    /// Reads an event; `None` when it says nothing that is shown here.
    pub(super) fn of(event: &Envelope) -> Result<Option<Self>, FoldError> {
        Ok(Some(match event.kind.as_str() {
            kind::ESTABLISHED => {
                let established: identity::TrustEstablished = decoded(event)?;
                Self::Established(established.kind(), established.join_type.into())
            }
            kind::PROMOTED => {
                let promoted: identity::RegistrationPromoted = decoded(event)?;
                Self::Promoted(promoted.join_type.into())
            }
            kind::REMOVED => Self::Removed,
            _ => return Ok(None),
        }))
    }
}

impl Trust {
    /// Folds what identity says; `ordinal` is the next one.
    pub(super) fn evolve(&mut self, said: Said, ordinal: &mut u32) {
        match said {
            Said::Established(kind, join_type) => {
                if self.ordinal.is_none() {
                    self.ordinal = Some(*ordinal);
                    *ordinal += 1;
                }
                self.kind = kind;
                self.join_type = join_type;
            }
            Said::Promoted(join_type) => {
                self.kind = RegistrationKind::Full;
                self.join_type = join_type;
            }
            Said::Removed => {
                self.kind = RegistrationKind::Unspecified;
                self.join_type = Box::default();
            }
        }
    }
}

pub(super) fn decoded<M: prost::Message + Default>(event: &Envelope) -> Result<M, FoldError> {
    M::decode(event.payload.clone()).map_err(|error| FoldError::new(event, error.to_string()))
}
