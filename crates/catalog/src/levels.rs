//! The versions of the security product at which settings came, as levels.

use std::collections::BTreeMap;

use crate::applicability::AgentLevel;
use crate::load::{Findings, Mistake};
use crate::model::{Platform, Profile};
use crate::platforms::VersionNumbers;

/// Most distinct versions of one platform that settings may name.
const THRESHOLDS_MAX: usize = 250;

/// Gathers the versions of every platform, and gives each setting its level.
pub(crate) fn of(
    profiles: &mut BTreeMap<String, Profile>,
    mistakes: &mut Vec<Mistake>,
) -> BTreeMap<Platform, Vec<VersionNumbers>> {
    let mut thresholds: BTreeMap<Platform, Vec<VersionNumbers>> = BTreeMap::new();
    for profile in profiles.values() {
        let mut findings = Findings::of_file(&profile.id, mistakes);
        let of_platform = thresholds.entry(profile.platform).or_default();
        for setting in &profile.settings {
            let Some(min_agent) = setting.min_agent.as_deref() else { continue };
            match VersionNumbers::parse(min_agent) {
                Some(version) if version.to_string() == min_agent => of_platform.push(version),
                Some(_) | None => {
                    findings.enter(setting.id.setting());
                    findings.add("min_agent", format!("{min_agent:?} is no version of up to four numbers"));
                    findings.leave();
                }
            }
        }
        of_platform.sort_unstable();
        of_platform.dedup();
        if of_platform.len() > THRESHOLDS_MAX {
            findings.add("min_agent", format!("a platform has at most {THRESHOLDS_MAX} distinct ones"));
        }
    }
    for profile in profiles.values_mut() {
        let of_platform = thresholds.get(&profile.platform).map_or(&[][..], Vec::as_slice);
        for setting in &mut profile.settings {
            setting.agent_level = level(of_platform, setting.min_agent.as_deref());
        }
    }
    thresholds
}

/// The least level of a device that knows what came with a version.
fn level(thresholds: &[VersionNumbers], min_agent: Option<&str>) -> AgentLevel {
    let Some(version) = min_agent.and_then(VersionNumbers::parse) else { return AgentLevel::default() };
    let below = thresholds.partition_point(|threshold| *threshold <= version);
    AgentLevel(u8::try_from(below).unwrap_or(u8::MAX))
}
