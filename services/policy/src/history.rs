//! The history of a policy: its stream in the log, and nothing else. Nothing of it is kept twice.

use std::collections::BTreeSet;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::State as _;
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Envelope, ReadError};
use muster_types::{Digest, PolicyId, StreamId, TenantId, Version};

use crate::domain::Origin;
use crate::domain::policy::{self, Content, Event, Policy, revision_id};

/// Fewest characters of a revision's id that name it.
pub const PREFIX_CHARS_MIN: usize = 8;

/// A revision of a policy. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number, from 1.
    pub number: u64,
    /// Names it by its content.
    pub id: Digest,
    /// Catalogue profile of the policy.
    pub profile: String,
    /// What it says.
    pub content: Content,
    /// The revision it rolled back to, if it did.
    pub rolled_back_to: Option<u64>,
    /// Where it comes from.
    pub origin: Origin,
    /// Position of its event in the log.
    pub position: u64,
}

/// How people name a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevisionName {
    /// The latest.
    Latest,
    /// By its number.
    Number(u64),
    /// By the first characters of its id in hexadecimal, at least [`PREFIX_CHARS_MIN`].
    Prefix(String),
}

impl RevisionName {
    /// Reads a name: `latest`, a number, or the beginning of an id. A number is one that has less than
    /// [`PREFIX_CHARS_MIN`] digits.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if text.len() < PREFIX_CHARS_MIN {
            return text.parse().map(Self::Number).map_err(|_| EXPECTED);
        }
        let hexadecimal = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hexadecimal { Ok(Self::Prefix(text.to_ascii_lowercase())) } else { Err(EXPECTED) }
    }
}

const EXPECTED: &str = "expected a number, `latest`, or at least 8 characters of a revision's id";

/// The revisions of a policy, deleted or not, the oldest first.
///
/// # Errors
/// `POLICY_UNKNOWN`, and those of the log.
pub async fn read(log: &SharedLog, tenant: TenantId, policy: PolicyId) -> Result<Vec<Revision>, Fault> {
    let mut revisions: Vec<Revision> = Vec::new();
    for event in log.read(stream(tenant, policy), Version::NONE).await? {
        let profile = revisions.first().map(|first| first.profile.clone());
        revisions.extend(revision(&event, profile)?);
    }
    if revisions.is_empty() {
        return Err(policy::Error::Unknown.into());
    }
    Ok(revisions)
}

/// The revisions of a policy with these numbers. Of the others only those are decoded that came after all of these.
///
/// # Errors
/// Those of the log.
pub async fn read_some(
    log: &SharedLog,
    tenant: TenantId,
    policy: PolicyId,
    mut wanted: BTreeSet<u64>,
) -> Result<Vec<Revision>, Fault> {
    let events = log.read(stream(tenant, policy), Version::NONE).await?;
    let Some((created, later)) = events.split_first() else { return Ok(Vec::new()) };
    let Some(first) = revision(created, None)? else { return Ok(Vec::new()) };
    let profile = first.profile.clone();
    let mut found: Vec<_> = Some(first).filter(|first| wanted.remove(&first.number)).into_iter().collect();
    for event in later.iter().rev() {
        if wanted.is_empty() {
            break;
        }
        let revision = revision(event, Some(profile.clone()))?;
        found.extend(revision.filter(|revision| wanted.remove(&revision.number)));
    }
    Ok(found)
}

fn stream(tenant: TenantId, policy: PolicyId) -> StreamId {
    StreamId::new(tenant, Policy::AGGREGATE, policy.uuid())
}

fn revision(envelope: &Envelope, profile: Option<String>) -> Result<Option<Revision>, ReadError> {
    let Envelope { position, stream, .. } = envelope;
    let corrupt = |reason| ReadError::Corrupt { service: stream.service(), position: *position, reason };
    let (number, profile, content, rolled_back_to, origin) =
        match Policy::decode(envelope).map_err(corrupt)? {
            Some(Event::Created { profile, content, origin }) => (1, profile, content, None, origin),
            Some(Event::Revised { revision, content, rolled_back_to, origin }) => {
                let profile = profile.ok_or_else(|| corrupt("the policy was not created".to_owned()))?;
                (revision, profile, content, rolled_back_to, origin)
            }
            Some(Event::Deleted { .. } | Event::Undeleted { .. }) | None => return Ok(None),
        };
    let id = revision_id(&profile, &content.settings, content.on_unassign);
    Ok(Some(Revision { number, id, profile, content, rolled_back_to, origin, position: envelope.position }))
}

/// The revision that is named; of several with the same content the latest.
///
/// # Errors
/// `REVISION_UNKNOWN`, also when the beginning of an id is that of several contents.
pub fn find<'a>(revisions: &'a [Revision], name: &RevisionName) -> Result<&'a Revision, Fault> {
    let unknown = |message: String| Fault::new(ErrorCode::RevisionUnknown, message);
    match name {
        RevisionName::Latest => {
            revisions.last().ok_or_else(|| unknown("the policy has no revision".to_owned()))
        }
        RevisionName::Number(number) => {
            let found = revisions.iter().find(|revision| revision.number == *number);
            found.ok_or_else(|| unknown(format!("the policy has no revision {number}")))
        }
        RevisionName::Prefix(prefix) => {
            let matching = |revision: &&Revision| hex(&revision.id).starts_with(prefix.as_str());
            let mut found = revisions.iter().rev().filter(matching);
            let first = found.next().ok_or_else(|| {
                unknown(format!("no revision of the policy has an id that begins with {prefix}"))
            })?;
            if found.any(|other| other.id != first.id) {
                return Err(unknown(format!(
                    "ids of several revisions begin with {prefix}; give more of it"
                )));
            }
            Ok(first)
        }
    }
}

/// An id as people write it.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to memory cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_named_by_number_latest_or_the_beginning_of_its_id() {
        assert_eq!(RevisionName::parse("latest"), Ok(RevisionName::Latest));
        assert_eq!(RevisionName::parse("12"), Ok(RevisionName::Number(12)));
        assert_eq!(RevisionName::parse("DEADBEEF"), Ok(RevisionName::Prefix("deadbeef".into())));
        assert_eq!(RevisionName::parse("12345678"), Ok(RevisionName::Prefix("12345678".into())));
        for bad in ["", "abc", "r1", "-1", "deadbeeg", &"a".repeat(65)] {
            assert!(RevisionName::parse(bad).is_err(), "{bad:?} passed");
        }
    }
}
