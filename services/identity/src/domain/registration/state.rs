//! The rules of a registration.

use muster_types::{Digest, Timestamp};

use super::{Command, Event, Kind};

/// A device's registration as its events tell it; not there before trust is first established.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registration(Option<(Kind, Certificate)>);

/// The certificate last issued to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the public key in it.
    pub key_digest: Digest,
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Registration {
    /// What the registration rests on; a device that is not registered would get a synthetic one.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.as_ref().map_or(Kind::Synthetic, |(kind, _)| *kind)
    }

    /// The certificate last issued, if one was.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.0.as_ref().map(|(_, certificate)| certificate)
    }

    /// Decides a command.
    #[must_use]
    pub fn decide(&self, command: &Command) -> Vec<Event> {
        let Command::Establish { spiffe_id, key_digest, certificate_serial, not_after } = command;
        if self.certificate().is_some_and(|known| known.serial == *certificate_serial) {
            return vec![];
        }
        vec![Event::TrustEstablished {
            kind: self.kind(),
            spiffe_id: spiffe_id.clone(),
            key_digest: *key_digest,
            certificate_serial: certificate_serial.clone(),
            not_after: *not_after,
        }]
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        let Event::TrustEstablished { kind, spiffe_id: _, key_digest, certificate_serial, not_after } = event;
        let certificate = Certificate {
            key_digest: *key_digest,
            serial: certificate_serial.clone(),
            not_after: *not_after,
        };
        self.0 = Some((*kind, certificate));
    }
}
