//! The columns of an export, by name.

use std::borrow::Cow;

use clap::ValueEnum;
use muster_catalog::Catalogue;
use muster_proto::report::v1 as pb;

use super::Header;
use crate::view::{id, report};

/// A set of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Columns {
    /// Muster's own names, and all there is to say
    #[default]
    Muster,
    /// The names and words of Intune's report `DeviceStatusesByConfigurationProfile`
    Intune,
}

/// What a row holds in a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    Time(Option<prost_types::Timestamp>),
}

/// A column: its name, and what a row holds in it.
pub(super) type Column = (&'static str, for<'a> fn(&'a Header, &'a pb::PolicyDevice) -> Cell<'a>);

const MUSTER: &[Column] = &[
    ("device_id", |_, row| text(id(&row.device))),
    ("host_name", |_, row| text(&row.host_name)),
    ("status", |_, row| owned(report::verdict(row.status()))),
    ("state", |_, row| owned(report::state(row.state()))),
    ("reason", |_, row| text(&row.reason)),
    ("stale", |_, row| Cell::Flag(row.stale)),
    ("desired_time", |_, row| Cell::Time(row.desired_time)),
    ("report_time", |_, row| Cell::Time(row.report_time)),
    ("last_seen_time", |_, row| Cell::Time(row.last_seen_time)),
    ("platform", |_, row| text(&row.platform)),
    ("os_version", |_, row| text(&row.os_version)),
    ("manufacturer", |_, row| text(&row.manufacturer)),
    ("model", |_, row| text(&row.model)),
    ("policy_id", |header, _| text(id(&header.policy))),
    ("policy_name", |header, _| text(&header.display_name)),
    ("policy_revision", |header, _| Cell::Number(header.revision)),
    ("position", |header, _| text(&header.position)),
];

/// What Muster does not have stays empty: users of devices, and filters with ids. Templates have no versions here; a policy
/// has its revision.
const INTUNE: &[Column] = &[
    ("AssignmentFilterIds", |_, _| text("")),
    ("DeviceName", |_, row| text(&row.host_name)),
    ("IntuneDeviceId", |_, row| text(id(&row.device))),
    ("Manufacturer", |_, row| text(&row.manufacturer)),
    ("Model", |_, row| text(&row.model)),
    ("PolicyId", |header, _| text(id(&header.policy))),
    ("PolicyName", |header, _| text(&header.display_name)),
    ("PolicyStatus", |_, row| Cell::Number(intune_number(row.status()))),
    ("PspdpuLastModifiedTimeUtc", |_, row| Cell::Time(row.report_time)),
    ("ReportStatus", |_, row| text(intune_word(row.status()))),
    ("TemplateVersion", |header, _| Cell::Number(header.revision)),
    ("UnifiedPolicyPlatformType", |header, _| text(platform(&header.profile))),
    ("UnifiedPolicyType", |header, _| text(policy_type(&header.profile))),
    ("UPN", |_, _| text("")),
];

impl Columns {
    /// The columns, in their order.
    pub(super) const fn all(self) -> &'static [Column] {
        match self {
            Self::Muster => MUSTER,
            Self::Intune => INTUNE,
        }
    }
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

const fn owned<'a>(text: String) -> Cell<'a> {
    Cell::Text(Cow::Owned(text))
}

/// The words of its check-in report.
const fn intune_word(status: pb::CheckInStatus) -> &'static str {
    match status {
        pb::CheckInStatus::Unspecified => "",
        pb::CheckInStatus::Succeeded => "Succeeded",
        pb::CheckInStatus::Error => "Error",
        pb::CheckInStatus::Conflict => "Conflict",
        pb::CheckInStatus::Pending => "Pending",
        pb::CheckInStatus::NotApplicable => "Not applicable",
    }
}

/// The numbers of its `complianceStatus`, in which what is pending is unknown.
const fn intune_number(status: pb::CheckInStatus) -> u64 {
    match status {
        pb::CheckInStatus::Unspecified | pb::CheckInStatus::Pending => 0,
        pb::CheckInStatus::NotApplicable => 1,
        pb::CheckInStatus::Succeeded => 2,
        pb::CheckInStatus::Error => 5,
        pb::CheckInStatus::Conflict => 6,
    }
}

fn platform(profile: &str) -> &'static str {
    Catalogue::builtin().profile(profile).map_or("", |profile| profile.platform.name())
}

fn policy_type(profile: &str) -> &str {
    Catalogue::builtin().profile(profile).map_or(profile, |profile| &profile.name)
}
