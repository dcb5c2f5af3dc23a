//! A single policy in a file.

use std::path::{Path, PathBuf};

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1::Policy;
use muster_types::{Clock as _, SystemClock, Timestamp};

use crate::files::mistake::Findings;
use crate::files::set::{self, Object, Set, Spec};
use crate::files::source::Source;

pub use crate::files::source::FILE_BYTES_MAX;

/// Reads a policy from a file, or from standard input by the name `-`.
///
/// # Errors
/// `FILE_INVALID`, or the code that all mistakes have, with file, line and column of each.
pub fn read_policy(file: &Path) -> Result<Policy, Fault> {
    let (set, findings) = set::load(&[PathBuf::from(file)], SystemClock.now());
    findings.settle()?;
    only(set, &file.display().to_string())
}

/// Reads a policy from the text of a file.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse_policy(text: &str) -> Result<Policy, String> {
    let mut findings = Findings::default();
    let source = Source { name: "policy".into(), text: text.to_owned() };
    let set = set::check(&[source], Timestamp::from_micros(0), &mut findings);
    findings.settle().and_then(|()| only(set, "policy")).map_err(|fault| fault.message)
}

fn only(set: Set, file: &str) -> Result<Policy, Fault> {
    let wrong = |found: String| {
        Fault::new(
            ErrorCode::FileInvalid,
            format!("{file}: expected one document of kind Policy, found {found}"),
        )
    };
    let count = set.objects.len();
    match set.objects.into_iter().next() {
        Some(Object { spec: Spec::Policy(spec), name, .. }) if count == 1 => Ok(spec.policy(&name)),
        Some(object) if count == 1 => Err(wrong(format!("kind {}", object.kind()))),
        _ => Err(wrong(format!("{count} documents"))),
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::policy::v1::OnUnassign;
    use muster_types::{SettingId, SettingValue};

    use super::*;

    const GOOD: &str = "
apiVersion: muster.io/v1
kind: Policy
metadata:
  name: Linux baseline
spec:
  profile: linux-antivirus
  settings:
    linux-antivirus/enforcement_level: real_time
    linux-antivirus/scan_archives: true
    linux-antivirus/maximum_on_demand_scan_threads: 2
";

    #[test]
    fn a_policy_file_keeps_the_types_of_its_values() {
        let policy = parse_policy(GOOD).unwrap();
        assert_eq!(
            (policy.display_name.as_str(), policy.profile.as_str()),
            ("Linux baseline", "linux-antivirus")
        );
        assert_eq!(policy.on_unassign(), OnUnassign::Revert);
        let kept = GOOD.replace("  settings:", "  onUnassign: keep\n  settings:");
        assert_eq!(parse_policy(&kept).unwrap().on_unassign(), OnUnassign::Keep);
        let values: Vec<_> = policy
            .settings
            .into_iter()
            .map(|setting| <(SettingId, SettingValue)>::try_from(setting).unwrap().1)
            .collect();
        assert_eq!(
            values,
            [SettingValue::Text("real_time".into()), SettingValue::Integer(2), SettingValue::Boolean(true)]
        );
    }

    #[test]
    fn what_is_not_one_policy_is_refused() {
        let two = format!("{GOOD}---{}", GOOD.replace("baseline", "other"));
        let group =
            "{apiVersion: muster.io/v1, kind: Group, metadata: {name: g}, spec: {static: {devices: []}}}";
        for (text, found) in [(two.as_str(), "2 documents"), (group, "kind Group"), ("", "0 documents")] {
            let refused = parse_policy(text).unwrap_err();
            assert!(refused.contains(found), "{refused}");
        }
    }
}
