//! Words of the contract ↔ those of the domain.

use muster_proto::report::v1 as pb;

use crate::domain::device_status::{CheckIn, SettingState};
use crate::domain::standing::{DeviceState, Stage, StragglerReason};

pub(super) const fn check_in(verdict: CheckIn) -> pb::CheckInStatus {
    match verdict {
        CheckIn::Succeeded => pb::CheckInStatus::Succeeded,
        CheckIn::Error => pb::CheckInStatus::Error,
        CheckIn::Conflict => pb::CheckInStatus::Conflict,
        CheckIn::Pending => pb::CheckInStatus::Pending,
        CheckIn::NotApplicable => pb::CheckInStatus::NotApplicable,
    }
}

pub(super) const fn device_state(state: DeviceState) -> pb::DeviceState {
    match state {
        DeviceState::Confirmed => pb::DeviceState::Confirmed,
        DeviceState::Failed => pb::DeviceState::Failed,
        DeviceState::Refused => pb::DeviceState::Refused,
        DeviceState::TamperProtected => pb::DeviceState::TamperProtected,
        DeviceState::Conflict => pb::DeviceState::Conflict,
        DeviceState::NeverDelivered => pb::DeviceState::NeverDelivered,
        DeviceState::Delivered => pb::DeviceState::Delivered,
        DeviceState::Applying => pb::DeviceState::Applying,
        DeviceState::Unknown => pb::DeviceState::Unknown,
        DeviceState::Unsupported => pb::DeviceState::Unsupported,
        DeviceState::Waived => pb::DeviceState::Waived,
    }
}

pub(super) const fn setting_state(state: SettingState) -> pb::SettingState {
    match state {
        SettingState::Succeeded => pb::SettingState::Succeeded,
        SettingState::Error => pb::SettingState::Error,
        SettingState::Conflict => pb::SettingState::Conflict,
        SettingState::Pending => pb::SettingState::Pending,
        SettingState::NotApplicable => pb::SettingState::NotApplicable,
        SettingState::Waived => pb::SettingState::Waived,
        SettingState::TamperProtected => pb::SettingState::TamperProtected,
    }
}

pub(super) const fn stage(stage: Option<Stage>) -> pb::SettingStage {
    match stage {
        None => pb::SettingStage::Unspecified,
        Some(Stage::NeverDelivered) => pb::SettingStage::NeverDelivered,
        Some(Stage::Delivered) => pb::SettingStage::Delivered,
        Some(Stage::Confirmed) => pb::SettingStage::Confirmed,
    }
}

pub(super) const fn straggler(reason: StragglerReason) -> pb::StragglerReason {
    match reason {
        StragglerReason::Offline => pb::StragglerReason::Offline,
        StragglerReason::Refused => pb::StragglerReason::Refused,
        StragglerReason::Conflict => pb::StragglerReason::Conflict,
        StragglerReason::Unsupported => pb::StragglerReason::Unsupported,
        StragglerReason::TamperProtected => pb::StragglerReason::TamperProtected,
        StragglerReason::Applying => pb::StragglerReason::Applying,
        StragglerReason::Failed => pb::StragglerReason::Failed,
    }
}

/// What a number of the contract means; none for what is not said or not known.
pub(super) fn named<T: Copy>(all: &[T], number: i32, of: impl Fn(T) -> i32) -> Option<T> {
    all.iter().copied().find(|it| of(*it) == number)
}
