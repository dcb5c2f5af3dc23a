//! Which setting can be delivered to which device, and why not.

use std::fmt;

use muster_types::{SettingId, WithheldReason};

use crate::model::{Catalogue, MergeMode, Platform, Profile, Setting, Support, Tamper, TamperCondition};
use crate::platforms::{Edition, VersionNumbers};

/// How policy gets to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Security settings management: by this product, the device is in no MDM.
    Ssm,
    /// By a mobile device management service.
    Mdm,
}

impl Channel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ssm, Self::Mdm];

    /// Which devices these are, after "devices".
    #[must_use]
    pub const fn devices(self) -> &'static str {
        match self {
            Self::Ssm => "without MDM",
            Self::Mdm => "in an MDM",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssm => "ssm",
            Self::Mdm => "mdm",
        })
    }
}

/// What a security product's version lets it know: how many of the catalogue's thresholds for its platform it reaches.
/// Versions between the same two thresholds are one level. It holds for one catalogue, and is not to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AgentLevel(pub(crate) u8);

/// Whether tamper protection guards a device, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TamperLock {
    /// The device did not say.
    #[default]
    Unknown,
    /// Off, or the product has none.
    Off,
    /// On; exclusions can be changed.
    On,
    /// On, for exclusions too.
    OnWithExclusions,
}

impl TamperLock {
    /// Whether it is known to be on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On | Self::OnWithExclusions)
    }
}

/// What of a device decides which settings it can be given. Few devices differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Applicability {
    /// Its operating system.
    pub platform: Platform,
    /// How policy gets to it.
    pub channel: Channel,
    /// Whether it is known to be a domain controller.
    pub domain_controller: bool,
    /// What the version of its security product knows ([`Catalogue::agent_level`]).
    pub agent_level: AgentLevel,
    /// Whether tamper protection guards it.
    pub tamper: TamperLock,
    /// Which edition of the rules holds.
    pub rules_as_of: Edition,
}

impl Applicability {
    /// Whether tamper protection on the device may refuse the setting though it is delivered: only what is read back
    /// says whether it was applied.
    #[must_use]
    pub fn tamper_guards(&self, setting: &Setting) -> bool {
        let locked = match setting.tamper_protected {
            Tamper::Yes => true,
            Tamper::Conditional => setting.tamper_condition.is_none(),
            Tamper::No | Tamper::Switch => false,
        };
        locked && self.tamper.is_on() && self.channel == Channel::Ssm
    }
}

impl Catalogue {
    /// The level of a version of the security product on a platform. Of an unknown version, or one that begins with no
    /// number, nothing is withheld.
    #[must_use]
    pub fn agent_level(&self, platform: Platform, version: Option<&str>) -> AgentLevel {
        let thresholds = self.agent_thresholds(platform);
        let reached = match version.and_then(VersionNumbers::parse) {
            Some(version) => thresholds.partition_point(|threshold| version.reaches(threshold)),
            None => thresholds.len(),
        };
        AgentLevel(u8::try_from(reached).unwrap_or(u8::MAX))
    }

    /// The versions of the security product at which settings of a platform came, sorted, each once.
    #[must_use]
    pub fn agent_thresholds(&self, platform: Platform) -> &[VersionNumbers] {
        self.thresholds.get(&platform).map_or(&[], Vec::as_slice)
    }

    /// The setting, if it can be delivered to such a device. The first of these that holds is the reason why not:
    /// platform, channel or rules, domain controller, agent version, tamper protection.
    ///
    /// # Errors
    /// [`WithheldReason`]: `Platform`, `Channel` (also for what this catalogue lacks, and what cannot be set), `Rules`
    /// (the other edition of the rules would deliver it), `DomainController`, `AgentVersion`, `TamperProtected`.
    pub fn support(&self, id: &SettingId, to: &Applicability) -> Result<&Setting, WithheldReason> {
        let profile = self.profile(id.profile()).ok_or(WithheldReason::Channel)?;
        if profile.platform != to.platform {
            return Err(WithheldReason::Platform);
        }
        let setting = profile.setting(id.setting()).ok_or(WithheldReason::Channel)?;
        if setting.read_only || setting.merge == MergeMode::PartOfItem {
            return Err(WithheldReason::Channel);
        }
        if !setting.delivered(profile, to.channel, to.rules_as_of).deliverable() {
            let elsewhen =
                Edition::ALL.iter().any(|as_of| setting.delivered(profile, to.channel, *as_of).deliverable());
            return Err(if elsewhen { WithheldReason::Rules } else { WithheldReason::Channel });
        }
        if to.domain_controller && profile.refused_on_domain_controllers(to.channel) {
            return Err(WithheldReason::DomainController);
        }
        if to.agent_level < setting.agent_level {
            return Err(WithheldReason::AgentVersion);
        }
        let exclusions = setting.tamper_condition == Some(TamperCondition::ExclusionsLocked);
        if exclusions && to.tamper == TamperLock::OnWithExclusions && to.channel == Channel::Ssm {
            return Err(WithheldReason::TamperProtected);
        }
        Ok(setting)
    }

    /// Why a setting is withheld from such a device, as a sentence; `None` where it can be delivered.
    #[must_use]
    pub fn why_withheld(&self, id: &SettingId, to: &Applicability) -> Option<String> {
        let reason = self.support(id, to).err()?;
        let found = self.profile(id.profile()).and_then(|profile| Some((profile, self.setting(id)?)));
        let Some((profile, setting)) = found else {
            return Some(format!("This version's catalogue has no setting {id}."));
        };
        Some(sentence(reason, profile, setting, to))
    }
}

fn sentence(reason: WithheldReason, profile: &Profile, setting: &Setting, to: &Applicability) -> String {
    let Applicability { platform, channel, rules_as_of, .. } = *to;
    let id = &setting.id;
    let devices = channel.devices();
    match reason {
        WithheldReason::Platform => {
            format!("{id} is for {}; the device runs {}.", profile.platform.name(), platform.name())
        }
        WithheldReason::Channel if setting.read_only => format!("{id} can be read, not set."),
        WithheldReason::Channel if setting.merge == MergeMode::PartOfItem => {
            format!("{id} is a field of a list's items; it is set within the list.")
        }
        WithheldReason::Channel => {
            let support = setting.delivered(profile, channel, rules_as_of);
            format!("{id} cannot be delivered to devices {devices}: it is {}.", support.explain())
        }
        WithheldReason::Rules => format!(
            "{id} is not applied to devices {devices} under the {} rules; the {} rules apply it.",
            rules_as_of,
            rules_as_of.other()
        ),
        WithheldReason::DomainController => {
            format!("{id} is of profile {}, which is not applied on domain controllers.", profile.id)
        }
        WithheldReason::AgentVersion => format!(
            "{id} needs version {} or later of the security product; the device has an older one.",
            setting.min_agent.as_deref().unwrap_or_default()
        ),
        WithheldReason::TamperProtected => format!(
            "Tamper protection on the device locks exclusions, and {id} is one that this channel may not change then."
        ),
        // Of one device's policies, not of the setting: `support` never answers these.
        WithheldReason::Conflict => format!("Policies want different values of {id}."),
        WithheldReason::Waived => format!("A waiver exempts the device from {id}."),
    }
}

impl Setting {
    /// Whether a channel carries the setting under an edition of the rules: what its profile's delivery allows, and its
    /// own.
    pub(crate) fn delivered(&self, profile: &Profile, channel: Channel, as_of: Edition) -> Support {
        let of_profile = profile.channels_as_of(as_of).on(channel);
        if of_profile.deliverable() { self.channels_as_of(as_of).on(channel) } else { of_profile }
    }
}
