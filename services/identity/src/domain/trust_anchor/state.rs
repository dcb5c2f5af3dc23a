//! The rules of a trust anchor.

use muster_types::Timestamp;
use uuid::Uuid;

use super::{CERTIFICATES_MAX, Command, Error, Event, Kind};
use crate::domain::group::DISPLAY_NAME_CHARS_MAX;

/// A trust anchor as its events tell it; not there before it was added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustAnchor(Option<Added>);

/// A trust anchor that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Name for people.
    pub display_name: String,
    /// What kind of authority it is.
    pub kind: Kind,
    /// Its certificates in DER.
    pub certificates_der: Vec<Vec<u8>>,
    /// Directory tenant that its certificates must name, a GUID in lower case; empty when they name none.
    pub directory_tenant_id: String,
    /// When it was added.
    pub create_time: Timestamp,
    /// Whether it was removed since.
    pub removed: bool,
}

impl TrustAnchor {
    /// What was added, also when it was removed since.
    #[must_use]
    pub const fn added(&self) -> Option<&Added> {
        self.0.as_ref()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (&self.0, command) {
            (None, Command::Add { .. }) => Ok(vec![added(command)?]),
            (Some(known), Command::Add { .. }) if known.came_of(command) => Ok(vec![]),
            (Some(known), Command::Add { .. }) => {
                Err(Error::RequestReused { display_name: known.display_name.clone() })
            }
            (Some(known), Command::Remove) => Ok(if known.removed { vec![] } else { vec![Event::Removed] }),
            (None, Command::Remove) => Err(Error::Unknown),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut self.0, event) {
            (anchor, Event::Added { display_name, kind, certificates_der, directory_tenant_id, at }) => {
                *anchor = Some(Added {
                    display_name: display_name.clone(),
                    kind: *kind,
                    certificates_der: certificates_der.clone(),
                    directory_tenant_id: directory_tenant_id.clone(),
                    create_time: *at,
                    removed: false,
                });
            }
            (Some(anchor), Event::Removed) => anchor.removed = true,
            (None, Event::Removed) => {}
        }
    }
}

impl Added {
    /// Whether this is what the command asks for.
    fn came_of(&self, command: &Command) -> bool {
        let Command::Add {
            display_name,
            kind,
            certificates_der,
            unfit: _,
            directory_tenant_id,
            namesake: _,
            now: _,
        } = command
        else {
            return false;
        };
        self.display_name == *display_name
            && self.kind == *kind
            && self.certificates_der == *certificates_der
            && self.directory_tenant_id.eq_ignore_ascii_case(directory_tenant_id)
    }
}

fn added(command: &Command) -> Result<Event, Error> {
    let Command::Add { display_name, kind, certificates_der, unfit, directory_tenant_id, namesake, now } =
        command
    else {
        return Err(Error::Unknown);
    };
    check_name(display_name)?;
    if certificates_der.is_empty() || certificates_der.len() > CERTIFICATES_MAX {
        return Err(Error::CertificateCount { found: certificates_der.len() });
    }
    if let Some(unfit) = unfit {
        return Err(Error::CertificateUnfit { index: unfit.index, reason: unfit.reason.clone() });
    }
    let directory_tenant_id = directory_tenant(*kind, directory_tenant_id)?;
    namesake.map_or(Ok(()), |by| Err(Error::NameTaken { by }))?;
    Ok(Event::Added {
        display_name: display_name.clone(),
        kind: *kind,
        certificates_der: certificates_der.clone(),
        directory_tenant_id,
        at: *now,
    })
}

fn directory_tenant(kind: Kind, text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let guid = Uuid::try_parse(text).map_err(|_| Error::DirectoryTenantInvalid)?;
    if kind == Kind::Directory {
        Ok(guid.hyphenated().to_string())
    } else {
        Err(Error::DirectoryTenantInvalid)
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    let sound = (1..=DISPLAY_NAME_CHARS_MAX).contains(&length)
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(Error::NameInvalid) }
}
