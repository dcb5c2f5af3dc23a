//! Which devices of a policy.

use clap::Args;
use muster_proto::report::v1 as pb;

use crate::view::report;

/// Which devices; what is left out does not filter.
#[derive(Debug, Clone, Args)]
pub struct Filter {
    /// Only devices with this verdict: succeeded, error, conflict, pending or not-applicable; may be repeated
    #[arg(long, value_parser = verdict)]
    status: Vec<pb::CheckInStatus>,
    /// Only devices in this finer state, for example never-delivered or refused; may be repeated
    #[arg(long, value_parser = state)]
    state: Vec<pb::DeviceState>,
    /// Only devices whose host name begins with this, in any case
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    host: String,
    /// Only stale devices; with --stale=false only those that are not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    stale: Option<bool>,
    /// Only devices that stand so with this setting of the policy, by its catalogue id
    #[arg(long, value_name = "SETTING", default_value = "", hide_default_value = true)]
    setting: String,
    /// With --setting: only devices with this state of it; may be repeated
    #[arg(long, requires = "setting", value_parser = setting_state)]
    setting_state: Vec<pb::SettingState>,
}

impl Filter {
    /// Whether anything is filtered.
    pub(super) fn is_given(&self) -> bool {
        self.contract() != pb::PolicyDeviceFilter::default()
    }

    /// The contract's filter.
    pub(super) fn contract(&self) -> pb::PolicyDeviceFilter {
        let Self { status, state, host, stale, setting, setting_state } = self.clone();
        pb::PolicyDeviceFilter {
            statuses: status.into_iter().map(Into::into).collect(),
            states: state.into_iter().map(Into::into).collect(),
            host_name_prefix: host,
            stale,
            setting,
            setting_states: setting_state.into_iter().map(Into::into).collect(),
        }
    }
}

fn verdict(text: &str) -> Result<pb::CheckInStatus, String> {
    word(text, report::verdict)
}

fn state(text: &str) -> Result<pb::DeviceState, String> {
    word(text, report::state)
}

fn setting_state(text: &str) -> Result<pb::SettingState, String> {
    word(text, report::setting_state)
}

/// Reads a word of an enum of the contract, with `-` or `_` between its parts.
fn word<E: TryFrom<i32> + Copy>(text: &str, shown: fn(E) -> String) -> Result<E, String> {
    let all = || (1..).map_while(|number| E::try_from(number).ok());
    all().find(|of| shown(*of) == text.replace('-', "_")).ok_or_else(|| {
        let words: Vec<_> = all().map(|of| shown(of).replace('_', "-")).collect();
        format!("expected one of {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_reports_show() {
        assert_eq!(verdict("not-applicable"), Ok(pb::CheckInStatus::NotApplicable));
        assert_eq!(state("never_delivered"), Ok(pb::DeviceState::NeverDelivered));
        assert_eq!(setting_state("waived"), Ok(pb::SettingState::Waived));
        assert!(verdict("good").is_err_and(|told| told.ends_with("pending, not-applicable")));
        assert!(state("unspecified").is_err());
    }
}
