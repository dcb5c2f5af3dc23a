//! `muster catalog`: offline.

use clap::{Subcommand, ValueEnum};
use muster_catalog::docs::{self, SupportRow};
use muster_catalog::{Catalogue, Channel, Profile, Setting};
use muster_errors::{ErrorCode, Fault};
use muster_types::SettingId;
use serde_json::{Value, json};

use crate::flags::Output;
use crate::output::{Data, Format, print_json, print_text, print_yaml};

/// Most settings that a search shows as a table; programs are given all.
const FOUND_SHOWN_MAX: usize = 30;

/// The settings catalogue.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List profiles: the kinds of policy
    Profiles {
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// List the settings of a profile, or of all
    Settings {
        /// The profile, for example linux-antivirus
        profile: Option<String>,
        /// Only settings that this channel delivers under the current rules
        #[arg(long, value_enum)]
        channel: Option<ChannelName>,
        /// Only settings in which all these words occur, the best first
        #[arg(long, value_name = "WORDS")]
        search: Option<String>,
        /// Also list settings that no policy can set by themselves
        #[arg(long)]
        all: bool,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Say what a setting does, which values it takes, where it lands and who is given it
    Explain {
        /// The setting, for example linux-antivirus/enforcement_level
        setting: String,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Find settings by words in their name, id, key, group or notes
    Search {
        /// The words; all must occur
        #[arg(required = true)]
        words: Vec<String>,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Show what is delivered where: type, profile, platform and channel, under both editions of the rules
    Support {
        /// Only this profile, with the settings that are not delivered
        #[arg(long)]
        profile: Option<String>,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// How policy gets to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChannelName {
    /// Devices without MDM
    Ssm,
    /// Devices in an MDM
    Mdm,
}

impl From<ChannelName> for Channel {
    fn from(name: ChannelName) -> Self {
        match name {
            ChannelName::Ssm => Self::Ssm,
            ChannelName::Mdm => Self::Mdm,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// `PROFILE_UNKNOWN`, `SETTING_UNKNOWN`.
pub fn run(command: Command) -> Result<(), Fault> {
    let catalogue = Catalogue::builtin();
    match command {
        Command::Profiles { output } => profiles(catalogue).print(output.format),
        Command::Settings { profile, channel, search, all, output } => {
            let profile = profile.map(|id| find_profile(catalogue, &id)).transpose()?;
            let wanted = |of: &Profile, setting: &Setting| {
                profile.is_none_or(|profile| profile.id == of.id)
                    && (all || setting.settable())
                    && channel.is_none_or(|channel| delivered(of, setting, channel.into()))
            };
            let found: Vec<_> = match &search {
                Some(words) => {
                    catalogue.search(words).into_iter().map(|hit| (hit.profile, hit.setting)).collect()
                }
                None => catalogue
                    .profiles()
                    .flat_map(|profile| profile.settings.iter().map(move |setting| (profile, setting)))
                    .collect(),
            };
            settings(found.into_iter().filter(|(of, setting)| wanted(of, setting))).print(output.format)
        }
        Command::Explain { setting, output } => {
            let (profile, setting) = find_setting(catalogue, &setting)?;
            match output.format {
                Format::Table => print_text(&docs::describe(profile, setting)),
                Format::Json => print_json(&docs::json(profile, setting)),
                Format::Yaml => print_yaml(&docs::json(profile, setting)),
                Format::Name => print_text(setting.id.as_str()),
            }
        }
        Command::Search { words, output } => {
            let hits = catalogue.search(&words.join(" ")).into_iter();
            let shown = if output.format == Format::Table { FOUND_SHOWN_MAX } else { usize::MAX };
            settings(hits.map(|hit| (hit.profile, hit.setting)).take(shown)).print(output.format)
        }
        Command::Support { profile, output } => {
            let profile = profile.map(|id| find_profile(catalogue, &id)).transpose()?;
            support(catalogue, profile).print(output.format)
        }
    }
}

fn delivered(profile: &Profile, setting: &Setting, channel: Channel) -> bool {
    let current = muster_catalog::RulesAsOf::Current;
    let carried = profile.channels_as_of(current).on(channel).deliverable();
    carried && setting.channels_as_of(current).on(channel).deliverable()
}

fn profiles(catalogue: &Catalogue) -> Data {
    let items = catalogue.profiles().map(|profile| {
        let settings = || profile.settings.iter().filter(|setting| !setting.composed);
        json!({
            "name": profile.id,
            "title": profile.name,
            "policy_type": profile.policy_type,
            "platform": profile.platform.to_string(),
            "settings": settings().count(),
            "on_this_channel": settings().filter(|setting| delivered(profile, setting, Channel::Ssm)).count(),
        })
    });
    let columns = &[
        ("profile", "/name"),
        ("title", "/title"),
        ("platform", "/platform"),
        ("settings", "/settings"),
        ("on this channel", "/on_this_channel"),
    ];
    Data::list("profiles", items.collect(), String::new(), columns)
}

fn settings<'a>(found: impl Iterator<Item = (&'a Profile, &'a Setting)>) -> Data {
    let items = found.map(|(profile, setting)| {
        json!({
            "name": setting.id.as_str(),
            "title": setting.name,
            "type": setting.kind.type_name(),
            "default": setting.default,
            "settable": setting.settable(),
            "on_this_channel": delivered(profile, setting, Channel::Ssm),
        })
    });
    let columns = &[("setting", "/name"), ("title", "/title"), ("type", "/type"), ("default", "/default")];
    Data::list("settings", items.collect(), String::new(), columns)
}

fn support(catalogue: &Catalogue, profile: Option<&Profile>) -> Data {
    let rows = docs::support(catalogue, profile.map(|profile| profile.id.as_str()));
    let items = rows.iter().map(|row| {
        let SupportRow { profile, channel, rules_as_of, delivered, of, domain_controllers, withheld, .. } =
            row;
        let withheld: Vec<Value> = withheld
            .iter()
            .map(|(setting, support)| json!({ "setting": setting.id, "reason": support.explain() }))
            .collect();
        json!({
            "name": profile.id,
            "policy_type": profile.policy_type,
            "platform": profile.platform.to_string(),
            "channel": channel.to_string(),
            "rules_as_of": rules_as_of.to_string(),
            "support": row.words(),
            "delivered": delivered,
            "settings": of,
            "domain_controllers": domain_controllers,
            "withheld": withheld,
        })
    });
    let columns = &[
        ("profile", "/name"),
        ("type", "/policy_type"),
        ("platform", "/platform"),
        ("channel", "/channel"),
        ("rules", "/rules_as_of"),
        ("support", "/support"),
    ];
    Data::list("support", items.collect(), String::new(), columns)
}

fn find_profile<'a>(catalogue: &'a Catalogue, id: &str) -> Result<&'a Profile, Fault> {
    catalogue.profile(id).ok_or_else(|| {
        let hint = match catalogue.profile_meant_by(id) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "`muster catalog profiles` lists them".to_owned(),
        };
        Fault::new(ErrorCode::ProfileUnknown, format!("no profile {id:?}; {hint}"))
    })
}

fn find_setting<'a>(catalogue: &'a Catalogue, text: &str) -> Result<(&'a Profile, &'a Setting), Fault> {
    let id = text.parse::<SettingId>().ok();
    let found = id.and_then(|id| Some((catalogue.profile(id.profile())?, catalogue.setting(&id)?)));
    found.ok_or_else(|| {
        let meant: Vec<_> = catalogue.meant_by(text).iter().map(|id| id.as_str()).collect();
        let hint = if meant.is_empty() {
            "`muster catalog search WORDS` finds settings".to_owned()
        } else {
            format!("did you mean {}?", meant.join(" or "))
        };
        Fault::new(ErrorCode::SettingUnknown, format!("no setting {text:?}; {hint}"))
    })
}
