//! What is supported where: type × profile × platform × channel, under each edition of the rules.

use crate::applicability::Channel;
use crate::docs::markdown::line;
use crate::model::{Catalogue, Platform, Profile, Setting, Support};
use crate::platforms::Edition;

/// What a channel delivers of a profile under an edition of the rules.
#[derive(Debug, Clone)]
pub struct SupportRow<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// The channel.
    pub channel: Channel,
    /// The rules.
    pub rules_as_of: Edition,
    /// Whether the profile as a whole is carried.
    pub support: Support,
    /// How many settings are delivered.
    pub delivered: usize,
    /// How many settings the profile has, as the vendor counts them.
    pub of: usize,
    /// Whether domain controllers are given it.
    pub domain_controllers: bool,
    /// The settings that are not delivered though the profile is carried, and why.
    pub withheld: Vec<(&'a Setting, Support)>,
}

impl<'a> SupportRow<'a> {
    pub(super) fn new(profile: &'a Profile, channel: Channel, rules_as_of: Edition) -> Self {
        let support = profile.channels_as_of(rules_as_of).on(channel);
        let settings = || profile.settings.iter().filter(|setting| !setting.composed);
        let withheld: Vec<_> = settings()
            .map(|setting| (setting, setting.delivered(profile, channel, rules_as_of)))
            .filter(|(_, support)| !support.deliverable())
            .collect();
        let of = settings().count();
        let carried = support.deliverable();
        Self {
            profile,
            channel,
            rules_as_of,
            support,
            delivered: of - withheld.len(),
            of,
            domain_controllers: carried && !profile.refused_on_domain_controllers(channel),
            withheld: if carried { withheld } else { Vec::new() },
        }
    }

    /// The row in a few words: `50 of 61 settings`.
    #[must_use]
    pub fn words(&self) -> String {
        if self.support.deliverable() {
            format!("{} of {} settings", self.delivered, self.of)
        } else {
            format!("none, the profile is {}", self.support.explain())
        }
    }
}

/// The whole table, or that of one profile; sorted by profile, channel and rules.
#[must_use]
pub fn support<'a>(catalogue: &'a Catalogue, profile: Option<&str>) -> Vec<SupportRow<'a>> {
    let profiles = catalogue.profiles().filter(|candidate| profile.is_none_or(|id| candidate.id == id));
    profiles
        .flat_map(|profile| {
            Channel::ALL.into_iter().flat_map(move |channel| {
                Edition::ALL.map(|rules_as_of| SupportRow::new(profile, channel, rules_as_of))
            })
        })
        .collect()
}

fn domain_controllers(profile: &Profile, channel: Channel) -> &'static str {
    match profile.platform {
        Platform::Linux | Platform::Macos => "",
        Platform::Windows if profile.refused_on_domain_controllers(channel) => "not applied",
        Platform::Windows => "as others",
    }
}

pub(super) fn page(catalogue: &Catalogue) -> String {
    let mut page = String::from(
        "# What is supported where\n\nOne policy serves devices without MDM and devices in an MDM: the channel is chosen for each device, and what it does not\n\
         carry is reported as not applicable, with the reason. The rules as of 2023-09 or the current ones hold for a tenant as its\n\
         enforcement scope says.\n\n\
         | policy type | profile | platform | devices | 2023-09 | current | domain controllers |\n|---|---|---|---|---|---|---|\n",
    );
    for profile in catalogue.profiles() {
        for channel in Channel::ALL {
            let [earlier, current] = Edition::ALL.map(|as_of| SupportRow::new(profile, channel, as_of));
            let cells = format!(
                "| {} | [{id}]({id}.md) | {} | {} | {} | {} | {} |",
                profile.policy_type,
                profile.platform.name(),
                channel.devices(),
                earlier.words(),
                current.words(),
                domain_controllers(profile, channel),
                id = profile.id
            );
            line(&mut page, &cells);
        }
    }
    page.push_str(
        "\n## Settings that are not delivered to devices without MDM\n\n| setting | 2023-09 | current |\n|---|---|---|\n",
    );
    for profile in catalogue.profiles() {
        for setting in &profile.settings {
            let [earlier, current] =
                Edition::ALL.map(|as_of| setting.delivered(profile, Channel::Ssm, as_of));
            if earlier.deliverable() && current.deliverable() {
                continue;
            }
            let cells = format!(
                "| [{}]({}.md#{}) | {} | {} |",
                setting.id,
                profile.id,
                setting.id.setting(),
                earlier.explain(),
                current.explain()
            );
            line(&mut page, &cells);
        }
    }
    page
}
