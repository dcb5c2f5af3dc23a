//! A status as a value: its bounds, its digest, its verdict.

use std::sync::Arc;

use bytes::Bytes;
use muster_types::{Canonical, Digest, SettingId, SettingValue, Timestamp};

use super::Error;

/// Most settings of a status.
pub const SETTINGS_MAX: usize = 10_000;
/// Longest message of a setting, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1_024;
/// Longest reason, in bytes: an error code.
pub const REASON_BYTES_MAX: usize = 128;

/// How a device stands with the policy it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Etag of the policy it speaks of.
    pub policy_etag: Digest,
    /// Version of that policy.
    pub policy_version: u64,
    /// When the device had applied it, by the device's clock.
    pub apply_time: Option<Timestamp>,
    /// Each setting, sorted by id.
    pub settings: Vec<SettingStatus>,
    /// Error code when the policy as a whole was refused; empty otherwise.
    pub refused_reason: String,
}

/// What a device said, beside what is made of it once: its digest and, where it came from outside, the bytes in which it
/// is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Statement {
    status: Arc<Status>,
    digest: Digest,
    written: Option<Bytes>,
}

impl Statement {
    /// A status with the bytes of its event, which whoever read it has at hand.
    #[must_use]
    pub fn written(status: Status, bytes: Bytes) -> Self {
        Self { written: Some(bytes), ..Self::from(status) }
    }

    /// The bytes of its event, where they are at hand.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        self.written.as_ref()
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// [`Status::digest`] of it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl From<Status> for Statement {
    fn from(status: Status) -> Self {
        let digest = status.digest();
        Self { status: Arc::new(status), digest, written: None }
    }
}

/// What was said is what counts.
impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
    }
}

impl Eq for Statement {}

/// How a device stands with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingStatus {
    /// The setting.
    pub id: SettingId,
    /// What the policy wants.
    pub desired: Option<SettingValue>,
    /// What the device read back.
    pub observed: Option<SettingValue>,
    /// Verdict.
    pub state: SettingState,
    /// Error code when it is not succeeded; empty otherwise.
    pub reason: String,
    /// What went wrong, for people.
    pub message: String,
    /// How often the device put the value back since the policy in force was applied for the first time.
    pub corrections: u32,
}

/// Verdict on a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SettingState {
    /// The desired value was read back.
    Succeeded = 1,
    /// It could not be applied, or another value was read back.
    Error = 2,
    /// Policies want different values.
    Conflict = 3,
    /// Not applied yet.
    Pending = 4,
    /// The device cannot take it.
    NotApplicable = 5,
    /// A waiver exempts the device.
    Waived = 6,
    /// Tamper protection on the device keeps another value.
    TamperProtected = 7,
}

impl SettingState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Succeeded,
        Self::Error,
        Self::Conflict,
        Self::Pending,
        Self::NotApplicable,
        Self::Waived,
        Self::TamperProtected,
    ];
}

/// Verdict on a device, over the settings of one policy or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckIn {
    /// Every desired value was read back (of those the device can take).
    Succeeded,
    /// Some setting failed or is kept back by tamper protection, or the policy as a whole was refused.
    Error,
    /// Some setting is withheld because policies disagree.
    Conflict,
    /// It has not reported on all it should have.
    Pending,
    /// It can take none of the settings, or is exempt from them.
    NotApplicable,
}

impl CheckIn {
    /// All verdicts.
    pub const ALL: [Self; 5] =
        [Self::Succeeded, Self::Error, Self::Conflict, Self::Pending, Self::NotApplicable];
}

impl Status {
    /// Checks the bounds.
    ///
    /// # Errors
    /// The first [`Error`].
    pub fn check(&self) -> Result<(), Error> {
        if self.settings.len() > SETTINGS_MAX {
            let problem = format!("at most {SETTINGS_MAX}, found {}", self.settings.len());
            return Err(Error::new("settings", problem));
        }
        at_most("refused_reason", &self.refused_reason, REASON_BYTES_MAX)?;
        for (index, setting) in self.settings.iter().enumerate() {
            let within =
                |error: Error| Error { field: format!("settings[{index}].{}", error.field), ..error };
            at_most("reason", &setting.reason, REASON_BYTES_MAX).map_err(within)?;
            at_most("message", &setting.message, MESSAGE_BYTES_MAX).map_err(within)?;
        }
        for (index, pair) in (1..).zip(self.settings.windows(2)) {
            if pair[0].id >= pair[1].id {
                let problem =
                    format!("must be sorted by id, each once: {} comes after {}", pair[1].id, pair[0].id);
                return Err(Error::new(format!("settings[{index}].id"), problem));
            }
        }
        Ok(())
    }

    /// SHA-256 over the canonical encoding of everything but the apply time: the same standing, the same digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let Self { policy_etag, policy_version, apply_time: _, settings, refused_reason } = self;
        let mut canonical = Canonical::new(b"muster.report.v1");
        canonical.put(policy_etag);
        canonical.number(*policy_version);
        canonical.bytes(refused_reason.as_bytes());
        canonical.number(settings.len() as u64);
        for SettingStatus { id, desired, observed, state, reason, message, corrections } in settings {
            canonical.setting(id);
            for value in [desired, observed] {
                canonical.put(&[u8::from(value.is_some())]);
                value.iter().for_each(|value| canonical.value(value));
            }
            canonical.put(&[*state as u8]);
            canonical.bytes(reason.as_bytes());
            canonical.bytes(message.as_bytes());
            canonical.put(&corrections.to_be_bytes());
        }
        canonical.digest()
    }

    /// Verdict over all settings.
    #[must_use]
    pub fn verdict(&self) -> CheckIn {
        self.verdict_on(self.settings.iter().map(|setting| &setting.id))
    }

    /// Verdict over some settings. One that the device does not speak of is pending.
    pub fn verdict_on<'a>(&self, ids: impl IntoIterator<Item = &'a SettingId>) -> CheckIn {
        if !self.refused_reason.is_empty() {
            return CheckIn::Error;
        }
        let (mut any, mut all_inapplicable, mut verdict) = (false, true, CheckIn::Succeeded);
        for id in ids {
            let state = self.state(id);
            any = true;
            all_inapplicable &= matches!(state, Some(SettingState::NotApplicable | SettingState::Waived));
            verdict = match (verdict, state) {
                (_, Some(SettingState::Error | SettingState::TamperProtected)) | (CheckIn::Error, _) => {
                    CheckIn::Error
                }
                (_, Some(SettingState::Conflict)) | (CheckIn::Conflict, _) => CheckIn::Conflict,
                (_, Some(SettingState::Pending) | None) => CheckIn::Pending,
                (
                    verdict,
                    Some(SettingState::Succeeded | SettingState::NotApplicable | SettingState::Waived),
                ) => verdict,
            };
        }
        if any && all_inapplicable { CheckIn::NotApplicable } else { verdict }
    }

    fn state(&self, id: &SettingId) -> Option<SettingState> {
        let found = self.settings.binary_search_by(|setting| setting.id.cmp(id)).ok()?;
        Some(self.settings[found].state)
    }
}

fn at_most(field: &str, text: &str, bytes: usize) -> Result<(), Error> {
    if text.len() > bytes {
        return Err(Error::new(field, format!("at most {bytes} bytes, found {}", text.len())));
    }
    Ok(())
}
