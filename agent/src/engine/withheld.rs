//! What policies carry and this device does not get: reported beside what it gets.

use muster_errors::ErrorCode;
use muster_types::{SettingId, WithheldReason};

use crate::core::message::{Outcome, SettingState};

/// Adds an outcome for each setting that is withheld; sorted by id, each once.
///
/// A setting of which only a part is withheld is in both lists: a conflict in it shows, unless the rest of it is not in
/// force either; any other part that is withheld leaves the verdict on the rest.
#[must_use]
pub fn with_withheld(mut outcomes: Vec<Outcome>, withheld: &[(SettingId, WithheldReason)]) -> Vec<Outcome> {
    for (id, reason) in withheld {
        match outcomes.binary_search_by(|outcome| outcome.id.cmp(id)) {
            Ok(place) => in_part(&mut outcomes[place], *reason),
            Err(place) => outcomes.insert(place, whole(id.clone(), *reason)),
        }
    }
    outcomes
}

fn in_part(outcome: &mut Outcome, reason: WithheldReason) {
    if reason == WithheldReason::Conflict && outcome.state == SettingState::Succeeded {
        let (state, code, _) = verdict(reason);
        outcome.state = state;
        outcome.reason = Some(code);
        outcome.message = "policies want different values for a part of it; the rest is in force".to_owned();
    }
}

fn whole(id: SettingId, reason: WithheldReason) -> Outcome {
    let (state, code, message) = verdict(reason);
    let (reason, message) = (Some(code), message.to_owned());
    Outcome { id, desired: None, observed: None, state, reason, message, corrections: 0 }
}

fn verdict(reason: WithheldReason) -> (SettingState, ErrorCode, &'static str) {
    let not_applicable = |message| (SettingState::NotApplicable, ErrorCode::SettingNotApplicable, message);
    match reason {
        WithheldReason::Conflict => {
            (SettingState::Conflict, ErrorCode::SettingConflict, "policies want different values")
        }
        WithheldReason::Waived => {
            (SettingState::Waived, ErrorCode::SettingWaived, "a waiver exempts this device")
        }
        WithheldReason::TamperProtected => (
            SettingState::TamperProtected,
            ErrorCode::TamperProtected,
            "tamper protection would not let this channel change it",
        ),
        WithheldReason::Platform => not_applicable("it is for another platform"),
        WithheldReason::Channel => not_applicable("it cannot be delivered on this channel"),
        WithheldReason::DomainController => not_applicable("its profile is refused on domain controllers"),
        WithheldReason::AgentVersion => not_applicable("the security product is too old to know it"),
        WithheldReason::Rules => not_applicable("the rules in force do not apply it"),
    }
}
