//! Which ways of delivery carry what, on which platform.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::applicability::Channel;
use crate::platforms::Edition;

/// An operating system that has profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// Linux.
    Linux,
    /// macOS.
    Macos,
    /// Windows, client and server.
    Windows,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "linux",
            Self::Macos => "macos",
            Self::Windows => "windows",
        })
    }
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Linux, Self::Macos, Self::Windows];

    /// Its name as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Macos => "macOS",
            Self::Windows => "Windows",
        }
    }
}

/// Which ways of delivery can carry something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    /// Security settings management: the device is in no MDM.
    pub ssm: Support,
    /// The device is in an MDM.
    pub mdm: Support,
}

impl Channels {
    /// What holds on a channel.
    #[must_use]
    pub const fn on(self, channel: Channel) -> Support {
        match channel {
            Channel::Ssm => self.ssm,
            Channel::Mdm => self.mdm,
        }
    }
}

pub(crate) const fn channels_as_of(
    current: Channels,
    in_2023_09: Option<Channels>,
    as_of: Edition,
) -> Channels {
    match (as_of, in_2023_09) {
        (Edition::September2023, Some(channels)) => channels,
        (Edition::September2023, None) | (Edition::Current, _) => current,
    }
}

/// Whether a channel can carry something, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// It does.
    Supported,
    /// It does, since 2025.
    #[serde(rename = "supported_since_2025")]
    SupportedSince2025,
    /// The documents say so; the vendor's catalogue does not mark it.
    SupportedPerDocsNotTaggedInDump,
    /// The template has it; the documents are silent.
    LikelySupported,
    /// It does, but should not be used.
    Deprecated,
    /// The profile as a whole is not carried.
    NotSupported,
    /// The documents name it as not carried.
    Unsupported,
    /// The channel's profile lacks it.
    NotInSsmProfile,
    /// It would mean nothing on this channel.
    NotUseful,
    /// A key of the managed JSON file that no profile offers.
    JsonOnly,
    /// A key of the managed property list that no profile offers.
    PlistOnly,
    /// The channel does not exist on this platform.
    #[serde(rename = "n/a")]
    NotApplicable,
}

impl Support {
    /// Whether the channel delivers it.
    #[must_use]
    pub const fn deliverable(self) -> bool {
        match self {
            Self::Supported
            | Self::SupportedSince2025
            | Self::SupportedPerDocsNotTaggedInDump
            | Self::LikelySupported
            | Self::Deprecated => true,
            Self::NotSupported
            | Self::Unsupported
            | Self::NotInSsmProfile
            | Self::NotUseful
            | Self::JsonOnly
            | Self::PlistOnly
            | Self::NotApplicable => false,
        }
    }

    /// The same for people, as a fragment after "it is".
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::SupportedSince2025 => "supported since 2025",
            Self::SupportedPerDocsNotTaggedInDump => "supported (by the documentation)",
            Self::LikelySupported => "likely supported (in the template, documentation silent)",
            Self::Deprecated => "deprecated",
            Self::NotSupported => "not supported",
            Self::Unsupported => "documented as not applied",
            Self::NotInSsmProfile => "not in the profile",
            Self::NotUseful => "without meaning here",
            Self::JsonOnly => "a key of the managed JSON file only",
            Self::PlistOnly => "a key of the managed property list only",
            Self::NotApplicable => "not applicable",
        }
    }
}
