//! The platform rules, applied to a device. The first reason in this order counts: what is never managed
//! (NON_PERSISTENT_VDI, AZURE_VIRTUAL_DESKTOP, ARCHITECTURE_32_BIT, DOMAIN_CONTROLLER_EXCLUDED), then FACTS_INCOMPLETE,
//! PLATFORM_UNSUPPORTED, OS_TOO_OLD, SERVER_CORE_UNSUPPORTED, UNIFIED_AGENT_MISSING, AGENT_TOO_OLD, and last
//! CONSTRAINED_LANGUAGE, which an admin can lift.

use muster_catalog::platforms::{
    Distribution, Edition, Excluded, Minimum, Platforms, ServerCore, VersionNumbers, WindowsClass,
    WindowsRule,
};
use muster_types::EnrollmentCode;

use super::{Build, DeviceClass, Sensor, Traits, Verdict};
use crate::domain::facts::knowledge_base_number;
use crate::domain::scope::RulesAsOf;

/// Why the platform rules refuse a device; `None` when they do not.
pub(super) fn refusal(traits: &Traits, rules: RulesAsOf) -> Option<Verdict> {
    let edition = match rules {
        RulesAsOf::September2023 => Edition::September2023,
        RulesAsOf::Current => Edition::Current,
    };
    let platforms = Platforms::builtin();
    let refused = never(traits, platforms, edition)
        .or_else(|| match traits.class {
            DeviceClass::UnknownWindows => {
                incomplete("whether the device is a Windows client or server (server_os)")
            }
            DeviceClass::WindowsClient => windows(traits, platforms, edition, WindowsClass::Client),
            DeviceClass::WindowsServer | DeviceClass::DomainController => {
                windows(traits, platforms, edition, WindowsClass::Server)
            }
            DeviceClass::Linux => linux(traits, platforms, edition),
            DeviceClass::Macos => macos(traits, platforms, edition),
        })
        .or_else(|| constrained(traits, platforms, edition));
    refused.map(|(code, message)| Verdict::refused(code, message))
}

/// The numbers of those updates that any platform rule names, sorted.
pub(super) fn named_updates(installed: &[String]) -> Box<[u32]> {
    let numbers = installed.iter().filter_map(|update| knowledge_base_number(update));
    let mut named: Vec<u32> = numbers.filter(|number| Platforms::builtin().names_update(*number)).collect();
    named.sort_unstable();
    named.dedup();
    named.into()
}

type Refused = Option<(EnrollmentCode, String)>;

fn refused(code: EnrollmentCode, message: impl Into<String>) -> Refused {
    Some((code, message.into()))
}

fn incomplete(missing: &str) -> Refused {
    refused(EnrollmentCode::FactsIncomplete, format!("the device did not report {missing}"))
}

fn never(traits: &Traits, platforms: &Platforms, edition: Edition) -> Refused {
    let controller = traits.class == DeviceClass::DomainController;
    let table = [
        (
            traits.non_persistent_vdi,
            Excluded::NonPersistentVdi,
            EnrollmentCode::NonPersistentVdi,
            "the device is a virtual desktop that is thrown away after use",
        ),
        (
            traits.azure_virtual_desktop,
            Excluded::AzureVirtualDesktop,
            EnrollmentCode::AzureVirtualDesktop,
            "the device is a session host of Azure Virtual Desktop",
        ),
        (
            traits.thirty_two_bit,
            Excluded::Architecture32Bit,
            EnrollmentCode::Architecture32Bit,
            "the device runs 32-bit Windows",
        ),
        (
            controller,
            Excluded::DomainController,
            EnrollmentCode::DomainControllerExcluded,
            "the device is a domain controller, which the platform rules of 2023-09 do not support",
        ),
    ];
    let found = table.into_iter().find(|(is, what, _, _)| *is && platforms.excludes(edition, *what));
    found.map(|(_, _, code, message)| (code, message.to_owned()))
}

fn constrained(traits: &Traits, platforms: &Platforms, edition: Edition) -> Refused {
    let windows = !matches!(traits.class, DeviceClass::Linux | DeviceClass::Macos);
    if windows && traits.constrained_language && platforms.excludes(edition, Excluded::ConstrainedLanguage) {
        return refused(
            EnrollmentCode::ConstrainedLanguage,
            "PowerShell on the device is in ConstrainedLanguage mode",
        );
    }
    None
}

fn windows(traits: &Traits, platforms: &Platforms, edition: Edition, class: WindowsClass) -> Refused {
    let Some(build) = traits.build else {
        return incomplete("its build (os_build), for example 10.0.19045.2846");
    };
    let Some(rule) = platforms.windows(edition, class, build.branch) else {
        let oldest = platforms.releases(edition, class).next()?;
        let (name, from) = (&oldest.name, oldest.from_branch);
        let message = format!("build {build} is older than {name} ({from}), the oldest release supported");
        return refused(EnrollmentCode::OsTooOld, message);
    };
    update(traits, rule, build).or_else(|| server_core(traits, rule)).or_else(|| unified_agent(traits, rule))
}

/// Whether the build has the update that its branch needs.
fn update(traits: &Traits, rule: &WindowsRule, build: Build) -> Refused {
    let installed = |minimum: &Minimum| traits.updates.binary_search(&minimum.update).is_ok();
    if rule.minimums.iter().any(installed) {
        return None;
    }
    // Newer than every branch named: `None`, the branch has the update from the start.
    let needed = rule.minimums.iter().find(|minimum| minimum.branch >= build.branch)?;
    let Minimum { branch, revision, update, confidence: _ } = *needed;
    if branch == build.branch {
        match build.revision {
            Some(found) if found >= revision => return None,
            Some(_) => {}
            None => {
                let missing = format!(
                    "the revision of build {branch} (os_build), nor KB{update} among its installed updates"
                );
                return incomplete(&missing);
            }
        }
    }
    let message = format!("{} {build} is below {branch}.{revision} (KB{update})", rule.name);
    refused(EnrollmentCode::OsTooOld, message)
}

fn server_core(traits: &Traits, rule: &WindowsRule) -> Refused {
    if !traits.server_core {
        return None;
    }
    let name = &rule.name;
    let message = match rule.server_core {
        ServerCore::Supported => return None,
        ServerCore::AppCompatibility if traits.app_compatibility => return None,
        ServerCore::AppCompatibility => {
            format!("Server Core of {name} needs the App Compatibility feature on demand")
        }
        ServerCore::Unsupported => format!("Server Core of {name} is not supported"),
    };
    refused(EnrollmentCode::ServerCoreUnsupported, message)
}

fn unified_agent(traits: &Traits, rule: &WindowsRule) -> Refused {
    if !rule.unified_agent {
        return None;
    }
    match traits.unified_agent {
        Some(true) => None,
        Some(false) => {
            let message = format!("{} needs the unified agent, which the device does not run", rule.name);
            refused(EnrollmentCode::UnifiedAgentMissing, message)
        }
        None => incomplete("whether it runs the unified agent (unified_agent)"),
    }
}

fn linux(traits: &Traits, platforms: &Platforms, edition: Edition) -> Refused {
    let rule = platforms.linux(edition)?;
    let distributions = rule.distributions.as_deref();
    distributions
        .and_then(|distributions| distribution(traits, distributions))
        .or_else(|| sensor(traits, &rule.minimum_sensor))
}

fn distribution(traits: &Traits, supported: &[Distribution]) -> Refused {
    let found = &*traits.distribution;
    if found.is_empty() {
        return incomplete("its distribution (os_id)");
    }
    let Some(rule) = supported.iter().find(|rule| rule.ids.iter().any(|id| id == found)) else {
        let message = format!("the distribution {found} is none of those that the rules of 2023-09 name");
        return refused(EnrollmentCode::PlatformUnsupported, message);
    };
    let Distribution { name, ids: _, minimum, except } = rule;
    let Some(release) = traits.release else {
        return incomplete(&format!("the version of {name} (os_version)"));
    };
    let excepted = except.is_some_and(|(from, below)| release.reaches(&from) && !release.reaches(&below));
    if release.reaches(minimum) && !excepted {
        return None;
    }
    refused(EnrollmentCode::OsTooOld, format!("{name} {release} is below {minimum}"))
}

fn macos(traits: &Traits, platforms: &Platforms, edition: Edition) -> Refused {
    let rule = platforms.macos(edition)?;
    let release = rule.minimum_release.and_then(|minimum| match traits.release {
        None => incomplete("the version of macOS (os_version)"),
        Some(release) if release.reaches(&minimum) => None,
        Some(release) => {
            refused(EnrollmentCode::OsTooOld, format!("macOS {release} is below macOS {minimum}"))
        }
    });
    release.or_else(|| sensor(traits, &rule.minimum_sensor))
}

/// A device without a sensor is managed by this product's own engines; one whose sensor does not tell its version is
/// taken at its word, since not every package format can be asked.
fn sensor(traits: &Traits, minimum: &VersionNumbers) -> Refused {
    match traits.sensor {
        Sensor::Version(version) if !version.reaches(minimum) => {
            refused(EnrollmentCode::AgentTooOld, format!("the sensor {version} is below {minimum}"))
        }
        Sensor::None | Sensor::Unreadable | Sensor::Version(_) => None,
    }
}
