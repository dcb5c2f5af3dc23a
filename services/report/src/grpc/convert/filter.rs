//! Which devices of a policy.

use muster_errors::{ErrorCode, Fault};
use muster_proto::report::v1 as pb;
use muster_types::SettingId;

use super::words::{check_in, device_state, named, setting_state};
use crate::domain::device_status::{CheckIn, SettingState};
use crate::domain::standing::{DeviceFilter, DeviceState};

/// Longest prefix of a host name, in bytes.
const HOST_NAME_PREFIX_BYTES_MAX: usize = 255;

/// Refuses a field of a filter.
pub(in super::super) fn filter_invalid(field: &str, problem: &str) -> Fault {
    let field = format!("filter.{field}");
    Fault::new(ErrorCode::FilterInvalid, format!("{field}: {problem}")).with_field(field, problem)
}

/// A filter that is well-formed; whether the policy has its setting is not checked here.
pub(in super::super) fn filter(filter: pb::PolicyDeviceFilter) -> Result<DeviceFilter, Fault> {
    let pb::PolicyDeviceFilter { statuses, states, host_name_prefix, stale, setting, setting_states } =
        filter;
    if host_name_prefix.len() > HOST_NAME_PREFIX_BYTES_MAX {
        let problem = format!("must be at most {HOST_NAME_PREFIX_BYTES_MAX} bytes");
        return Err(filter_invalid("host_name_prefix", &problem));
    }
    if setting.is_empty() && !setting_states.is_empty() {
        return Err(filter_invalid("setting_states", "needs `setting`"));
    }
    let setting: Option<SettingId> = match setting.as_str() {
        "" => None,
        setting => Some(setting.parse().map_err(|_| filter_invalid("setting", "is no id of a setting"))?),
    };
    Ok(DeviceFilter {
        verdicts: words("statuses", &CheckIn::ALL, &statuses, |it| check_in(it).into())?,
        states: words("states", &DeviceState::ALL, &states, |it| device_state(it).into())?,
        host_name_prefix,
        stale,
        setting,
        setting_states: words("setting_states", &SettingState::ALL, &setting_states, |it| {
            setting_state(it).into()
        })?,
    })
}

fn words<T: Copy>(field: &str, all: &[T], numbers: &[i32], of: impl Fn(T) -> i32) -> Result<Vec<T>, Fault> {
    let each = numbers.iter().enumerate().map(|(at, number)| {
        named(all, *number, &of)
            .ok_or_else(|| filter_invalid(&format!("{field}[{at}]"), &format!("{number} means nothing")))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(of: pb::PolicyDeviceFilter) -> String {
        let fault = filter(of).unwrap_err();
        assert_eq!(fault.code, ErrorCode::FilterInvalid);
        fault.fields[0].field.clone()
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_named() {
        let none = pb::PolicyDeviceFilter::default;
        assert_eq!(filter(none()), Ok(DeviceFilter::default()));
        assert_eq!(refused(pb::PolicyDeviceFilter { statuses: vec![1, 0], ..none() }), "filter.statuses[1]");
        assert_eq!(refused(pb::PolicyDeviceFilter { states: vec![12], ..none() }), "filter.states[0]");
        let long = "x".repeat(HOST_NAME_PREFIX_BYTES_MAX + 1);
        assert_eq!(
            refused(pb::PolicyDeviceFilter { host_name_prefix: long, ..none() }),
            "filter.host_name_prefix"
        );
        assert_eq!(
            refused(pb::PolicyDeviceFilter { setting_states: vec![1], ..none() }),
            "filter.setting_states"
        );
        assert_eq!(
            refused(pb::PolicyDeviceFilter { setting: "nonsense".into(), ..none() }),
            "filter.setting"
        );
    }
}
