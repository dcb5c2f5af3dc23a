//! Policy files: `apiVersion: muster.io/v1`, `kind: Policy`, `metadata`, `spec`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1::{OnUnassign, Policy, Setting};
use muster_types::{SettingId, SettingValue};
use serde::Deserialize;

/// Largest policy file, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Manifest {
    api_version: ApiVersion,
    kind: Kind,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
enum ApiVersion {
    #[serde(rename = "muster.io/v1")]
    V1,
}

#[derive(Debug, Deserialize)]
enum Kind {
    Policy,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    profile: String,
    /// What becomes of the settings on a device that the policy no longer reaches.
    #[serde(default)]
    on_unassign: Unassigned,
    settings: BTreeMap<SettingId, SettingValue>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unassigned {
    #[default]
    Revert,
    Keep,
}

impl From<Unassigned> for OnUnassign {
    fn from(unassigned: Unassigned) -> Self {
        match unassigned {
            Unassigned::Revert => Self::Revert,
            Unassigned::Keep => Self::Keep,
        }
    }
}

/// Reads a policy from a file, or from standard input by the name `-`.
///
/// # Errors
/// `ARGUMENT_INVALID` that names file, line and column.
pub fn read_policy(file: &Path) -> Result<Policy, Fault> {
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let refused = |problem: String| Fault::new(ErrorCode::ArgumentInvalid, format!("{shown}: {problem}"));
    let text = read(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(refused(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    parse_policy(&text).map_err(refused)
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    // One byte more than the limit tells a file at the limit from one over it.
    let limit = FILE_BYTES_MAX + 1;
    if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(limit).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// Reads a policy from the text of a file.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse_policy(text: &str) -> Result<Policy, String> {
    let manifest: Manifest = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let Manifest { api_version: ApiVersion::V1, kind: Kind::Policy, metadata, spec } = manifest;
    let Spec { profile, on_unassign, settings } = spec;
    let settings = settings.into_iter().map(Setting::from).collect();
    let on_unassign = OnUnassign::from(on_unassign).into();
    Ok(Policy { display_name: metadata.name, profile, settings, on_unassign, ..Policy::default() })
}

#[cfg(test)]
mod tests {
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
    fn mistakes_are_told_with_their_place() {
        for (from, to, expected) in [
            ("kind: Policy", "kind: Polizy", "Polizy"),
            ("muster.io/v1", "muster.io/v9", "muster.io/v9"),
            ("  profile:", "  profil:", "profil"),
            ("linux-antivirus/scan_archives: true", "scan archives: true", "scan archives"),
            (
                "    linux-antivirus/scan_archives: true",
                "    linux-antivirus/enforcement_level: passive",
                "enforcement_level",
            ),
        ] {
            let error = parse_policy(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(expected) && error.contains("line"), "{to}: {error}");
        }
    }
}
