//! The catalogue as types.

mod delivery;
mod kind;
mod rule;
mod setting;

use std::collections::BTreeMap;

use muster_types::SettingId;

pub use delivery::{Channels, Platform, Support};
pub use kind::{
    BoolWire, EnumValue, Field, FlagValue, ITEMS_MAX, Kind, ObjectSchema, Pattern, TEXT_CHARS_MAX, TextItems,
    UsedWhen, WireScalar,
};
pub use rule::{Condition, Constraint, DependsOn, Rule};
pub use setting::{Confidence, Lands, MergeMode, Setting, Status, Tamper, TamperCondition};

use crate::applicability::Channel;
use crate::platforms::{Edition, VersionNumbers};

/// All profiles.
#[derive(Debug)]
pub struct Catalogue {
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// Of each platform the versions at which settings came, sorted, each once.
    pub(crate) thresholds: BTreeMap<Platform, Vec<VersionNumbers>>,
}

impl Catalogue {
    /// A profile by its id, for example `linux-antivirus`.
    #[must_use]
    pub fn profile(&self, id: &str) -> Option<&Profile> {
        self.profiles.get(id)
    }

    /// All profiles, sorted by id.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// A setting by its id, for example `linux-antivirus/enforcement_level`.
    #[must_use]
    pub fn setting(&self, id: &SettingId) -> Option<&Setting> {
        self.profile(id.profile())?.setting(id.setting())
    }

    /// All settings of all profiles, lists composed of others too ([`Setting::composed`]).
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.profiles().flat_map(|profile| &profile.settings)
    }
}

/// A profile: the settings that one policy may set, on one platform.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The id: the stem of its file.
    pub id: String,
    /// The label that people know.
    pub name: String,
    /// The kind of policy, for example `antivirus`.
    pub policy_type: String,
    /// The platform it is for.
    pub platform: Platform,
    /// Whether devices without MDM, and devices in MDM, can be given it.
    pub channels: Channels,
    /// The same under the rules of 2023-09, where it was different then.
    pub channels_2023_09: Option<Channels>,
    /// The same of domain controllers, where it is different for them.
    pub domain_controllers: Option<Channels>,
    /// File on the device where the merged result lands, on platforms where it is a file.
    pub file: Option<String>,
    /// The vendor's template, with its version.
    pub template_id: Option<String>,
    /// How `settings` is to be read where the profile is a list.
    pub structure: Option<String>,
    /// Most items of all lists of one policy together, where that is bounded.
    pub max_items: Option<u32>,
    /// Facts worth knowing.
    pub notes: Vec<String>,
    /// Where the facts were read, with their date.
    pub sources: Vec<String>,
    /// The settings, in the order of the file.
    pub settings: Vec<Setting>,
    pub(crate) by_name: BTreeMap<String, usize>,
}

impl Profile {
    /// A setting by its id within the profile, for example `enforcement_level`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.by_name.get(name).and_then(|index| self.settings.get(*index))
    }

    /// Which channels carry it under an edition of the rules.
    #[must_use]
    pub fn channels_as_of(&self, as_of: Edition) -> Channels {
        delivery::channels_as_of(self.channels, self.channels_2023_09, as_of)
    }

    /// Whether a channel refuses it on domain controllers alone.
    #[must_use]
    pub fn refused_on_domain_controllers(&self, channel: Channel) -> bool {
        self.domain_controllers.is_some_and(|channels| !channels.on(channel).deliverable())
    }
}
