//! Bringing settings into force: each security product has an engine that plans what it would write, writes it, and
//! reads back what stands there.

#[cfg(test)]
mod tests;
mod withheld;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use muster_catalog::{Catalogue, Tamper};
use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};

use crate::core::message::{Outcome, SettingState, TakenBack};

pub use withheld::with_withheld;

/// Why a setting, or all of them, did not come into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub code: ErrorCode,
    /// The same for people.
    pub message: String,
}

impl Failure {
    /// `APPLY_FAILED` with a message.
    pub fn apply(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::ApplyFailed, message: message.into() }
    }
}

/// What an engine will do, as a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The file to replace, and its whole new content; `None` when nothing changes.
    pub write: Option<(PathBuf, Vec<u8>)>,
    /// The engine's record of what is its own, once written.
    pub owned: Vec<u8>,
    /// The same while it is not sure whether the write came through.
    pub owned_meanwhile: Vec<u8>,
    /// Settings it will not write.
    pub refused: BTreeMap<SettingId, Failure>,
}

/// What reading back found: a value, nothing (`None`), or why it could not be read.
pub type Observed = BTreeMap<SettingId, Result<Option<SettingValue>, Failure>>;

/// One security product's door.
pub trait Engine: Send {
    /// Whether settings of that profile are its own.
    fn handles(&self, profile: &str) -> bool;

    /// What it would do to have exactly these of its settings in force. Changes nothing.
    ///
    /// # Errors
    /// [`Failure`] when what stands there cannot be understood; then nothing may be written.
    fn plan(&self, desired: &BTreeMap<SettingId, SettingValue>) -> Result<Plan, Failure>;

    /// Does it: all or nothing.
    ///
    /// # Errors
    /// [`Failure`] when it could not be written; what stood there stands.
    fn apply(&mut self, plan: &Plan) -> Result<(), Failure>;

    /// Reads anew what stands there.
    fn read_back(&self, ids: &[SettingId]) -> Observed;

    /// Whether the product's tamper protection is on: then it may put back what it guards, and a write that went well says
    /// nothing. Looked at anew each time.
    fn tamper_protected(&self) -> bool;
}

/// Brings a policy into force by the engines at hand: an outcome per setting, in the order given.
///
/// Every engine is asked, also one that the policy gives nothing: it may have something to take back.
pub fn enforce(engines: &mut [Box<dyn Engine>], settings: &[(SettingId, SettingValue)]) -> Vec<Outcome> {
    let mut verdicts = BTreeMap::new();
    for engine in engines {
        let desired: BTreeMap<_, _> =
            settings.iter().filter(|(id, _)| engine.handles(id.profile())).cloned().collect();
        verdicts.extend(enforce_by(engine.as_mut(), desired).into_iter().map(|o| (o.id.clone(), o)));
    }
    settings
        .iter()
        .map(|(id, desired)| verdicts.remove(id).unwrap_or_else(|| no_engine(id.clone(), desired.clone())))
        .collect()
}

fn enforce_by(engine: &mut dyn Engine, desired: BTreeMap<SettingId, SettingValue>) -> Vec<Outcome> {
    let ids: Vec<_> = desired.keys().cloned().collect();
    let found = engine.read_back(&ids);
    let planned = engine.plan(&desired).and_then(|plan| engine.apply(&plan).map(|()| plan.refused));
    let mut observed = engine.read_back(&ids);
    let locked = engine.tamper_protected();
    let failure_of = |id: &SettingId| match &planned {
        Ok(refused) => refused.get(id).cloned(),
        Err(failure) => Some(failure.clone()),
    };
    desired
        .into_iter()
        .map(|(id, desired)| {
            let observed = observed.remove(&id).unwrap_or(Ok(None));
            let failure = failure_of(&id);
            verdict(id, desired, observed, failure)
        })
        .map(|outcome| if locked && is_guarded(&outcome) { kept_by_the_lock(outcome) } else { outcome })
        .map(|outcome| {
            let stood = found.get(&outcome.id).is_some_and(|found| *found == Ok(outcome.desired.clone()));
            let changed = outcome.state == SettingState::Succeeded && !stood;
            Outcome { corrections: changed.into(), ..outcome }
        })
        .collect()
}

/// Whether tamper protection would explain that a value does not stand there.
fn is_guarded(outcome: &Outcome) -> bool {
    let guarded = |setting: &muster_catalog::Setting| setting.tamper_protected != Tamper::No;
    outcome.reason == Some(ErrorCode::ReadBackDiffers)
        && Catalogue::builtin().setting(&outcome.id).is_some_and(guarded)
}

fn kept_by_the_lock(outcome: Outcome) -> Outcome {
    Outcome {
        state: SettingState::TamperProtected,
        reason: Some(ErrorCode::TamperProtected),
        message: format!("{}; tamper protection is on", outcome.message),
        ..outcome
    }
}

/// Takes back what the engines enforce, but for the settings that are to be kept. `enforced` says what that was, as far as
/// it is known: an engine takes back what is its own by its record, also what nobody remembers.
///
/// Tamper protection is never kept: it goes back to the product's default with the agent.
pub fn take_back(
    engines: &mut [Box<dyn Engine>],
    enforced: &[(SettingId, SettingValue)],
    kept: &BTreeSet<SettingId>,
) -> TakenBack {
    let stays = |id: &SettingId| kept.contains(id) && !id.setting().starts_with("tamper_protection");
    let mut result = TakenBack::default();
    for engine in engines {
        let (stay, go): (Vec<_>, Vec<_>) = enforced
            .iter()
            .filter(|(id, _)| engine.handles(id.profile()))
            .cloned()
            .partition(|(id, _)| stays(id));
        let stay: BTreeMap<_, _> = stay.into_iter().collect();
        let planned = engine.plan(&stay).and_then(|plan| engine.apply(&plan));
        let go: Vec<SettingId> = go.into_iter().map(|(id, _)| id).collect();
        let mut observed = engine.read_back(&go);
        for id in go {
            let observed = observed.remove(&id).unwrap_or(Ok(None));
            match planned.as_ref().map_err(Clone::clone).and(observed) {
                Ok(None) => result.reverted.push(id),
                Ok(Some(value)) => result.failed.push((id, format!("{value} stands there still"))),
                Err(failure) => result.failed.push((id, failure.message)),
            }
        }
        if let (Err(failure), true) = (&planned, result.failed.is_empty()) {
            tracing::warn!(problem = failure.message, "an engine could not look for what is its own");
        }
        result.kept.extend(stay.into_keys());
    }
    result
}

/// Succeeded only if the desired value was read back.
fn verdict(
    id: SettingId,
    desired: SettingValue,
    observed: Result<Option<SettingValue>, Failure>,
    failure: Option<Failure>,
) -> Outcome {
    let (observed, unreadable) = match observed {
        Ok(observed) => (observed, None),
        Err(failure) => (None, Some(failure)),
    };
    let failure = failure.or(unreadable).or_else(|| {
        (observed.as_ref() != Some(&desired)).then(|| Failure {
            code: ErrorCode::ReadBackDiffers,
            message: match &observed {
                Some(value) => format!("wanted {desired}, read back {value}"),
                None => format!("wanted {desired}, read back nothing"),
            },
        })
    });
    match failure {
        None => Outcome {
            id,
            desired: Some(desired),
            observed,
            state: SettingState::Succeeded,
            reason: None,
            message: String::new(),
            corrections: 0,
        },
        Some(Failure { code, message }) => {
            let desired = Some(desired);
            let (state, reason) = (SettingState::Error, Some(code));
            Outcome { id, desired, observed, state, reason, message, corrections: 0 }
        }
    }
}

fn no_engine(id: SettingId, desired: SettingValue) -> Outcome {
    let message = format!("no engine on this device handles profile {}", id.profile());
    Outcome {
        id,
        desired: Some(desired),
        observed: None,
        state: SettingState::NotApplicable,
        reason: Some(ErrorCode::EngineMissing),
        message,
        corrections: 0,
    }
}
