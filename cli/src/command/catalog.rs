//! `muster catalog`: offline.

use clap::Subcommand;
use muster_catalog::Catalogue;
use muster_errors::{ErrorCode, Fault};
use muster_types::SettingId;
use serde_json::json;

use crate::flags::Output;
use crate::output::{Data, print_text};

/// The settings catalogue.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List profiles: the kinds of policy
    Profiles {
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// List a profile's settings
    Settings {
        /// The profile, for example linux-antivirus
        profile: String,
        /// Also list settings that this channel cannot deliver
        #[arg(long)]
        all: bool,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Say what a setting does, which values it takes and where it lands
    Explain {
        /// The setting, for example linux-antivirus/enforcement_level
        setting: String,
    },
}

/// Runs the command.
///
/// # Errors
/// `PROFILE_UNKNOWN`, `SETTING_UNKNOWN`.
pub fn run(command: Command) -> Result<(), Fault> {
    let catalogue = Catalogue::builtin();
    match command {
        Command::Profiles { output } => {
            let items = catalogue.profiles().map(|profile| {
                json!({
                    "name": profile.id,
                    "title": profile.name,
                    "platform": profile.platform.to_string(),
                    "settings": profile.settings.len(),
                    "on_this_channel": profile.settings.iter().filter(|setting| setting.settable()).count(),
                })
            });
            let columns = &[
                ("profile", "/name"),
                ("title", "/title"),
                ("platform", "/platform"),
                ("settings", "/settings"),
                ("on this channel", "/on_this_channel"),
            ];
            Data::list("profiles", items.collect(), String::new(), columns).print(output.format)
        }
        Command::Settings { profile, all, output } => {
            let profile = catalogue.profile(&profile).ok_or_else(|| {
                let message = format!("no profile {profile:?}; `muster catalog profiles` lists them");
                Fault::new(ErrorCode::ProfileUnknown, message)
            })?;
            let items = profile.settings.iter().filter(|setting| all || setting.settable()).map(|setting| {
                json!({
                    "name": setting.id.as_str(),
                    "title": setting.name,
                    "type": setting.kind.type_name(),
                    "default": setting.default,
                    "on_this_channel": setting.settable(),
                })
            });
            let columns =
                &[("setting", "/name"), ("title", "/title"), ("type", "/type"), ("default", "/default")];
            Data::list("settings", items.collect(), String::new(), columns).print(output.format)
        }
        Command::Explain { setting } => {
            let unknown = |reason: String| Fault::new(ErrorCode::SettingUnknown, reason);
            let id: SettingId = setting
                .parse()
                .map_err(|error: muster_types::setting::InvalidSettingId| unknown(error.to_string()))?;
            let setting = catalogue.setting(&id).ok_or_else(|| {
                unknown(format!(
                    "no setting {id}; `muster catalog settings {} --all` lists them",
                    id.profile()
                ))
            })?;
            print_text(&setting.describe())
        }
    }
}
