//! The file as it is written. A key that is not named here is a mistake.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Edition, Excluded, ServerCore, WindowsClass};
use crate::model::Confidence;

/// The one form of file there is.
pub(super) const SCHEMA: &str = "platforms/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlatformsFile {
    pub(super) schema: String,
    pub(super) sources: BTreeMap<String, SourceFile>,
    pub(super) windows: Vec<WindowsFile>,
    pub(super) linux: Vec<LinuxFile>,
    pub(super) macos: Vec<MacosFile>,
    pub(super) excluded: Vec<ExcludedFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceFile {
    pub(super) title: String,
    pub(super) date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowsFile {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) class: WindowsClass,
    pub(super) as_of: Vec<Edition>,
    pub(super) from_branch: u32,
    pub(super) below_branch: Option<u32>,
    pub(super) minimums: Vec<MinimumFile>,
    #[serde(default)]
    pub(super) unified_agent: bool,
    pub(super) server_core: Option<ServerCore>,
    pub(super) source: String,
    pub(super) confidence: Confidence,
    pub(super) notes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MinimumFile {
    pub(super) branch: u32,
    pub(super) update: String,
    pub(super) revision: u32,
    pub(super) confidence: Confidence,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinuxFile {
    pub(super) id: String,
    pub(super) as_of: Vec<Edition>,
    pub(super) minimum_sensor: String,
    pub(super) distributions: Option<Vec<DistributionFile>>,
    pub(super) source: String,
    pub(super) confidence: Confidence,
    pub(super) notes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DistributionFile {
    pub(super) name: String,
    pub(super) ids: Vec<String>,
    pub(super) minimum: String,
    pub(super) except: Option<RangeFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeFile {
    pub(super) from: String,
    pub(super) below: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MacosFile {
    pub(super) id: String,
    pub(super) as_of: Vec<Edition>,
    pub(super) minimum_sensor: String,
    pub(super) minimum_release: Option<String>,
    pub(super) source: String,
    pub(super) confidence: Confidence,
    pub(super) notes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExcludedFile {
    pub(super) what: Excluded,
    pub(super) as_of: Vec<Edition>,
    pub(super) source: String,
    pub(super) confidence: Confidence,
    pub(super) notes: Option<String>,
}
