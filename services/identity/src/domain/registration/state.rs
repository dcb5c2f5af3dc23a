//! The rules of a registration.

use muster_types::Timestamp;

use super::{Command, Error, Event, Kind, Proven, REASON_CHARS_MAX, Removal, Resolution, Serial};

/// A device's registration as its events tell it; not there before trust is first established.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registration(Option<Registered>);

/// A device that was trusted at some time.
///
/// A suspicion of a clone outlives new trust: only an admin, who resolves it or ends the trust, and the end of the
/// registration end it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registered {
    /// What its full registration is known by; none while it is synthetic.
    pub proven: Option<Box<Proven>>,
    /// Serial number of the newest certificate.
    pub serial: Serial,
    /// When the newest certificate ends.
    pub not_after: Timestamp,
    /// Serial number of the newest certificate that was used: those issued before ended.
    pub activated: Option<Serial>,
    /// Why it was revoked, for people; none when it is not.
    pub revoked: Option<Box<str>>,
    /// Two live sessions use it, and nobody has resolved that.
    pub quarantined: bool,
    /// Why it was removed; none when it was not.
    pub removed: Option<Removal>,
    /// When a suspicion was last resolved, or trust last established if that was later: what was seen before is settled.
    pub settled: Timestamp,
}

/// Where a registration stands; the first that holds counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was removed.
    Removed(Removal),
    /// Its certificates were ended.
    Revoked,
    /// It may be cloned.
    Quarantined,
    /// Trusted.
    Active,
}

impl From<Option<Registered>> for Registration {
    fn from(registered: Option<Registered>) -> Self {
        Self(registered)
    }
}

impl Registered {
    /// What it rests on.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        if self.proven.is_some() { Kind::Full } else { Kind::Synthetic }
    }

    /// Where it stands.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self {
            Self { removed: Some(removal), .. } => Standing::Removed(*removal),
            Self { revoked: Some(_), .. } => Standing::Revoked,
            Self { quarantined: true, .. } => Standing::Quarantined,
            _ => Standing::Active,
        }
    }

    /// Whether the device may get a new certificate over the present one.
    fn renewable(&self) -> Result<(), Error> {
        match self.standing() {
            Standing::Removed(removal) => Err(Error::Removed(removal)),
            Standing::Revoked => Err(Error::Revoked),
            Standing::Quarantined => Err(Error::Quarantined),
            Standing::Active => Ok(()),
        }
    }

    fn promoted(&self, proven: &Proven) -> Option<Event> {
        let known = self.proven.as_deref() == Some(proven);
        (!known).then(|| Event::RegistrationPromoted(proven.clone()))
    }
}

impl Registration {
    /// What is known of the device, if it was ever trusted.
    #[must_use]
    pub const fn registered(&self) -> Option<&Registered> {
        self.0.as_ref()
    }

    /// Whether the device may get a new certificate over its present one.
    ///
    /// # Errors
    /// [`Error`] when it may not.
    pub fn renewable(&self) -> Result<(), Error> {
        self.0.as_ref().ok_or(Error::Unknown)?.renewable()
    }

    /// Takes the registration apart.
    #[must_use]
    pub fn into_registered(self) -> Option<Registered> {
        self.0
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        if let Command::Establish { proven, spiffe_id, certificate, hardware_keys } = command {
            // What a device had before it was removed died with its registration.
            let had = self.0.as_ref().filter(|known| known.removed.is_none());
            if had.is_some_and(|known| known.serial == certificate.serial) {
                return Ok(vec![]);
            }
            let had = had.and_then(|known| known.proven.as_deref());
            return Ok(vec![Event::TrustEstablished {
                proven: proven.clone().or_else(|| had.cloned()),
                spiffe_id: spiffe_id.clone(),
                certificate: certificate.clone(),
                hardware_keys: hardware_keys.clone(),
            }]);
        }
        self.0.as_ref().ok_or(Error::Unknown)?.decide(command)
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut self.0, event) {
            (registered, Event::TrustEstablished { proven, certificate, .. }) => {
                let known = registered.take().filter(|known| known.removed.is_none()).unwrap_or_default();
                *registered = Some(Registered {
                    proven: proven.clone().map(Box::new),
                    serial: certificate.serial,
                    not_after: certificate.not_after,
                    revoked: None,
                    settled: known.settled.max(certificate.serial.issued_at()),
                    ..known
                });
            }
            (Some(known), event) => known.evolve(event),
            (None, _) => {}
        }
    }
}

impl Registered {
    fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Establish { .. } => Ok(vec![]),
            Command::Renew { certificate, .. } if certificate.serial == self.serial => Ok(vec![]),
            Command::Renew { certificate, proven } => {
                self.renewable()?;
                let promoted = proven.as_ref().and_then(|proven| self.promoted(proven));
                Ok(promoted.into_iter().chain([Event::TrustRenewed(certificate.clone())]).collect())
            }
            Command::Activate { serial } => self.activate(*serial),
            Command::Revoke { reason } => self.revoke(reason),
            Command::Promote(proven) => match self.removed {
                Some(removal) => Err(Error::Removed(removal)),
                None => Ok(self.promoted(proven).into_iter().collect()),
            },
            Command::MergeInto(into) => {
                self.renewable()?;
                Ok(vec![Event::RegistrationRemoved(Removal::Merged { into: *into })])
            }
            Command::Remove(_) if self.removed.is_some() => Ok(vec![]),
            Command::Remove(removal) => Ok(vec![Event::RegistrationRemoved(*removal)]),
            Command::SuspectClone { boot_ids, observed } => {
                // Of one whose certificates all ended there are no sessions.
                let open = self.standing() == Standing::Active && *observed > self.settled;
                Ok(if open { vec![Event::CloneSuspected { boot_ids: boot_ids.clone() }] } else { vec![] })
            }
            Command::ResolveClone { .. } if !self.quarantined => Ok(vec![]),
            Command::ResolveClone { resolution, now } => {
                Ok(vec![Event::CloneResolved { resolution: *resolution, at: *now }])
            }
        }
    }

    /// A suspicion does not keep a device from using what it was given before.
    fn activate(&self, serial: Serial) -> Result<Vec<Event>, Error> {
        match self.standing() {
            Standing::Removed(removal) => Err(Error::Removed(removal)),
            Standing::Revoked => Err(Error::Revoked),
            Standing::Quarantined | Standing::Active => {
                let later = self.activated.is_none_or(|activated| serial.issued_at() > activated.issued_at());
                Ok(if later { vec![Event::CertificateActivated(serial)] } else { vec![] })
            }
        }
    }

    fn revoke(&self, reason: &str) -> Result<Vec<Event>, Error> {
        if reason.chars().count() > REASON_CHARS_MAX || reason.chars().any(char::is_control) {
            return Err(Error::ReasonInvalid);
        }
        let ended = self.removed.is_some() || self.revoked.is_some();
        Ok(if ended { vec![] } else { vec![Event::TrustRevoked { reason: reason.into() }] })
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::TrustEstablished { .. } => {}
            Event::TrustRenewed(certificate) => {
                self.serial = certificate.serial;
                self.not_after = certificate.not_after;
            }
            Event::CertificateActivated(serial) => self.activated = Some(*serial),
            Event::TrustRevoked { reason } => {
                self.revoked = Some(reason.clone());
                self.quarantined = false;
            }
            Event::RegistrationPromoted(proven) => self.proven = Some(Box::new(proven.clone())),
            Event::RegistrationRemoved(removal) => {
                self.removed = Some(*removal);
                self.quarantined = false;
            }
            Event::CloneSuspected { .. } => self.quarantined = true,
            Event::CloneResolved { resolution, at } => {
                self.quarantined = false;
                self.settled = self.settled.max(*at);
                if *resolution == Resolution::Reissue {
                    self.revoked = Some(REISSUED.into());
                }
            }
        }
    }
}

/// Why a registration is revoked that was resolved by [`Resolution::Reissue`], for people.
const REISSUED: &str = "an admin resolved a suspected clone by ending its certificates";
