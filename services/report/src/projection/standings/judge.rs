//! The judgement on one device: what it should have, beside what was sent to it and what it said.

use muster_types::WithheldReason;

use super::devices::Said;
use super::due::{Desired, Due, Step};
use super::pool::{NONE, held};
use super::resolutions::Resolution;
use super::statuses::{Entry, List};
use super::{Column, SettingIds};
use crate::domain::device_status::SettingState;
use crate::domain::standing::DeviceState;

/// How a setting stands that is not simply read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Outcome {
    Failed,
    TamperProtected,
    Conflict,
    /// What the device said is of another value than the one desired now.
    Unmet,
    Applying,
    Unsupported,
    Waived,
}

impl Outcome {
    pub(super) const ALL: [Self; 7] = [
        Self::Failed,
        Self::TamperProtected,
        Self::Conflict,
        Self::Unmet,
        Self::Applying,
        Self::Unsupported,
        Self::Waived,
    ];

    pub(super) const fn of_withheld(reason: WithheldReason) -> Self {
        match reason {
            WithheldReason::Conflict => Self::Conflict,
            WithheldReason::Waived => Self::Waived,
            WithheldReason::TamperProtected => Self::TamperProtected,
            WithheldReason::Platform
            | WithheldReason::Channel
            | WithheldReason::DomainController
            | WithheldReason::AgentVersion
            | WithheldReason::Rules => Self::Unsupported,
        }
    }

    const fn of_state(state: SettingState) -> Option<Self> {
        match state {
            SettingState::Succeeded => None,
            SettingState::Error => Some(Self::Failed),
            SettingState::TamperProtected => Some(Self::TamperProtected),
            SettingState::Conflict => Some(Self::Conflict),
            SettingState::Pending => Some(Self::Applying),
            SettingState::NotApplicable => Some(Self::Unsupported),
            SettingState::Waived => Some(Self::Waived),
        }
    }

    /// The state that it shows as; `refused` says whether the device refuses what it should have.
    pub(super) const fn state(self, refused: bool) -> SettingState {
        match self {
            Self::Unmet if refused => SettingState::Error,
            Self::Failed => SettingState::Error,
            Self::TamperProtected => SettingState::TamperProtected,
            Self::Conflict => SettingState::Conflict,
            Self::Unmet | Self::Applying => SettingState::Pending,
            Self::Unsupported => SettingState::NotApplicable,
            Self::Waived => SettingState::Waived,
        }
    }

    /// The state of a device whose gravest setting this is.
    pub(super) const fn device_state(self, class: Class) -> DeviceState {
        match self {
            Self::Failed => DeviceState::Failed,
            Self::TamperProtected => DeviceState::TamperProtected,
            Self::Conflict => DeviceState::Conflict,
            Self::Unmet => class.pending(),
            Self::Applying => DeviceState::Applying,
            Self::Unsupported => DeviceState::Unsupported,
            Self::Waived => DeviceState::Waived,
        }
    }
}

/// How far a device is with what it should have, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub(super) enum Class {
    /// What it should have is not known.
    #[default]
    Unknown,
    /// It should have nothing.
    Idle,
    Never,
    Delivered,
    Applying,
    /// Its status is of what it should have.
    Spoken,
    Refused,
}

impl Class {
    pub(super) const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Idle,
        Self::Never,
        Self::Delivered,
        Self::Applying,
        Self::Spoken,
        Self::Refused,
    ];

    /// The class of a device; `etag` is that of its resolution, if it has one.
    pub(super) fn of(due: &Due, said: Option<&Said>, etag: Option<u32>) -> Self {
        let Some(etag) = etag else {
            return if due.desired == Desired::Nothing { Self::Idle } else { Self::Unknown };
        };
        let spoken = said.filter(|said| said.etag == etag);
        let refuses = said.is_some_and(|said| said.refused != NONE);
        let delivery = due.delivery.filter(|delivery| delivery.etag == etag);
        let turned_down = delivery.is_some_and(|delivery| {
            // What it obeys since is no longer refused.
            let obeys = spoken.is_some_and(|said| !refuses && said.time >= delivery.time);
            delivery.step == Step::Refused && !obeys
        });
        match delivery {
            _ if turned_down || (refuses && spoken.is_none()) => Self::Refused,
            _ if spoken.is_some() => Self::Spoken,
            Some(delivery) if delivery.step == Step::Sent => Self::Delivered,
            Some(_) => Self::Applying,
            None => Self::Never,
        }
    }

    /// The state of a device that pends.
    pub(super) const fn pending(self) -> DeviceState {
        match self {
            Self::Unknown => DeviceState::Unknown,
            Self::Idle => DeviceState::Unsupported,
            Self::Never => DeviceState::NeverDelivered,
            Self::Delivered => DeviceState::Delivered,
            Self::Applying | Self::Spoken => DeviceState::Applying,
            Self::Refused => DeviceState::Refused,
        }
    }
}

/// What a device said, to be looked up by setting in rising order.
pub(super) struct Spoken<'a> {
    pub(super) entries: &'a Column<Option<Entry>>,
    pub(super) settings: &'a SettingIds,
    pub(super) sorted: &'a [u32],
}

impl<'a> Spoken<'a> {
    pub(super) fn of(list: &'a List, entries: &'a Column<Option<Entry>>, settings: &'a SettingIds) -> Self {
        Self { entries, settings, sorted: &list.sorted }
    }

    /// The entry of a setting that comes after all asked for before.
    pub(super) fn next(&mut self, setting: u32) -> Option<&'a Entry> {
        while let Some((first, rest)) = self.sorted.split_first() {
            let entry = held(self.entries, *first);
            if entry.setting == setting {
                self.sorted = rest;
                return Some(entry);
            }
            if held(self.settings, entry.setting) > held(self.settings, setting) {
                return None;
            }
            self.sorted = rest;
        }
        None
    }
}

/// How a setting in force stands, by what the device said of it; `None` when it was read back. `current` says whether the
/// status is of what the device should have now.
pub(super) fn outcome(entry: Option<&Entry>, value: u32, current: bool) -> Option<Outcome> {
    match entry {
        Some(entry) if current || entry.desired == value => Outcome::of_state(entry.state),
        None if current => Some(Outcome::Applying),
        Some(_) | None => Some(Outcome::Unmet),
    }
}

/// The settings in force that were not read back, with how they stand.
pub(super) fn exceptions(
    resolution: &Resolution,
    mut spoken: Spoken<'_>,
    current: bool,
) -> Vec<(u32, Outcome)> {
    let wanted = resolution.settings.iter();
    let outcomes = wanted.filter_map(|wanted| {
        let outcome = outcome(spoken.next(wanted.setting), wanted.value, current)?;
        Some((wanted.setting, outcome))
    });
    outcomes.collect()
}

/// The state of a device over some settings: `in_force` is how many they are that are in force, `outcomes` how those that are
/// not read back and those that are withheld stand, `withheld` how many the latter are. A silent device has said nothing.
pub(super) fn state(
    class: Class,
    silent: bool,
    in_force: usize,
    withheld: usize,
    outcomes: &(impl Iterator<Item = Outcome> + Clone),
) -> DeviceState {
    if matches!(class, Class::Unknown | Class::Idle | Class::Refused) {
        return class.pending();
    }
    let unmet = silent && in_force > 0;
    let gravest = outcomes.clone().chain(unmet.then_some(Outcome::Unmet)).min();
    match gravest {
        Some(Outcome::Unsupported | Outcome::Waived) if outcomes.clone().count() < in_force + withheld => {
            DeviceState::Confirmed
        }
        Some(gravest) => gravest.device_state(class),
        None if in_force + withheld > 0 || class == Class::Spoken => DeviceState::Confirmed,
        None => class.pending(),
    }
}
