//! Who else manages the machine: a domain, an MDM, a cloud defender; and the tags it was given locally.
//!
//! Signs are files that the products leave, in tables. A sign of an MDM makes this channel stand down, so the tables name
//! only agents that set a machine's settings, and where one product needs two parts, both must be there.

use std::collections::BTreeSet;

use muster_proto::enroll::v1 as pb;
use serde_json::Value;

use super::homes::{self, HOMES_MAX};
use super::machine::{FILE_BYTES_MAX, Machine};
use crate::engines::mdatp;

/// An MDM's agent.
struct Mdm {
    provider: pb::MdmProvider,
    name: &'static str,
    /// Files of which each group must have one.
    parts: &'static [&'static [&'static str]],
    /// Files in a user's home of which one must tell of a registration; none where being installed is being managed.
    registration: &'static [&'static str],
}

/// Known MDM agents for Linux.
const MDMS: [Mdm; 4] = [
    Mdm {
        provider: pb::MdmProvider::Intune,
        name: "Microsoft Intune",
        parts: &[
            &["opt/microsoft/intune", "usr/bin/intune-portal"],
            &["opt/microsoft/identity-broker", "usr/bin/microsoft-identity-broker"],
        ],
        // The portal writes the first; the agent, as a service, keeps the second. Often one is a link to the other.
        registration: &[".config/intune/registration.toml", ".local/state/intune/registration.toml"],
    },
    other("Workspace ONE", &[&["opt/omnissa/ws1-hub", "opt/vmware/ws1-hub"]]),
    other("JumpCloud", &[&["opt/jc/bin/jumpcloud-agent"]]),
    other(
        "ManageEngine Endpoint Central",
        &[&["usr/local/manageengine/uems_agent", "usr/local/desktopcentralagent"]],
    ),
];

const fn other(name: &'static str, parts: &'static [&'static [&'static str]]) -> Mdm {
    Mdm { provider: pb::MdmProvider::Other, name, parts, registration: &[] }
}

/// What a registration tells once the device is enrolled. Before, it tells of the account (`account_hint`) and of the
/// device in the directory (`aad_device_hint`) alone.
const ENROLLED: &str = "device_hint";
/// Files that only a machine has that joined a domain.
const JOINED: [&str; 3] =
    ["etc/ipa/default.conf", "etc/opt/quest/vas/host.keytab", "var/centrifydc/kset.domain"];
/// The host's own keys in a realm.
const KEYTAB: &str = "etc/krb5.keytab";
/// Folders in which the cloud's agents (of Azure, and of Azure Arc) keep their extensions.
const EXTENSION_FOLDERS: [&str; 3] =
    ["var/lib/waagent", "var/lib/GuestConfig/downloads", "var/lib/GuestConfig/extension_logs"];
/// The extension by which the cloud defender brings the sensor.
const EXTENSION: &str = "AzureDefenderForServers.MDE.Linux";
/// What onboarding leaves on a machine with the sensor.
const ONBOARDED: &str = "etc/opt/microsoft/mdatp/mdatp_onboard.json";
/// Most tags that a machine may set on itself.
const TAGS_MAX: usize = 32;
/// Longest tag, in characters.
const TAG_CHARS_MAX: usize = 200;
/// Largest managed configuration that is read for tags.
const MANAGED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The machine's place in a domain, by what joins leave behind: sssd or realmd, winbind, Kerberos keys, and others.
pub(super) fn domain_role(machine: &Machine, gaps: &mut Vec<String>) -> pb::DomainRole {
    let samba = machine.read("etc/samba/smb.conf", FILE_BYTES_MAX).unwrap_or_default();
    let says = |key, values: &[&str]| {
        value(&samba, key).is_some_and(|found| values.contains(&found.to_lowercase().as_str()))
    };
    if says("server role", &["active directory domain controller", "domain controller"]) {
        return pb::DomainRole::DomainController;
    }
    if machine.hides("etc/sssd/sssd.conf") {
        gaps.push(
            "sssd's configuration cannot be read: whether the machine joined a domain is guessed".to_owned(),
        );
    }
    let joined = JOINED.iter().any(|file| machine.has(file))
        || says("security", &["ads", "domain"])
        || sssd(machine)
        || (machine.has(KEYTAB) && realm(machine));
    if joined { pb::DomainRole::DomainJoined } else { pb::DomainRole::Workgroup }
}

/// Whether sssd takes its users from a domain that the machine joined.
fn sssd(machine: &Machine) -> bool {
    let snippets = machine.names("etc/sssd/conf.d").into_iter().map(|name| format!("etc/sssd/conf.d/{name}"));
    std::iter::once("etc/sssd/sssd.conf".to_owned())
        .chain(snippets.filter(|name| name.ends_with(".conf")))
        .filter_map(|path| machine.read(&path, FILE_BYTES_MAX))
        .any(|text| {
            let provider = value(&text, "id_provider").unwrap_or_default();
            ["ad", "ipa"].contains(&provider) || value(&text, "realmd_tags").is_some()
        })
}

fn realm(machine: &Machine) -> bool {
    let text = machine.read("etc/krb5.conf", FILE_BYTES_MAX).unwrap_or_default();
    value(&text, "default_realm").is_some_and(|realm| !realm.is_empty())
}

/// The first value of a key in a file of `key = value` lines.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case(key).then(|| value.trim())
    })
}

/// The MDM that manages the machine.
pub(super) fn mdm(machine: &Machine, gaps: &mut Vec<String>) -> pb::MdmFacts {
    let managing = MDMS.iter().find(|mdm| {
        mdm.parts.iter().all(|part| part.iter().any(|file| machine.has(file)))
            && registered(machine, mdm, gaps)
    });
    let (provider, name) = managing.map_or((pb::MdmProvider::None, ""), |mdm| (mdm.provider, mdm.name));
    pb::MdmFacts { provider: provider.into(), name: name.to_owned() }
}

/// Whether an MDM that is installed has the machine enrolled.
fn registered(machine: &Machine, mdm: &Mdm, gaps: &mut Vec<String>) -> bool {
    if mdm.registration.is_empty() {
        return true;
    }
    let homes::Search { found, hidden, cut, .. } = machine.search_homes(mdm.registration, enrolled);
    if !found {
        let unread = if hidden == 0 { String::new() } else { format!("; {hidden} homes cannot be read") };
        let left = if cut { format!("; only {HOMES_MAX} homes were looked into") } else { String::new() };
        gaps.push(format!(
            "{} is installed, but no home has a registration: taken as not enrolled{unread}{left}",
            mdm.name
        ));
    }
    found
}

fn enrolled(registration: &str) -> bool {
    value(registration, ENROLLED).is_some_and(|device| {
        !device.trim_matches(|c: char| c.is_whitespace() || "\"'".contains(c)).is_empty()
    })
}

/// Whether the sensor was onboarded by a cloud defender's extension.
pub(super) fn through_cloud_defender(machine: &Machine) -> bool {
    machine.has(ONBOARDED)
        && EXTENSION_FOLDERS
            .iter()
            .any(|folder| machine.names(folder).iter().any(|name| name.contains(EXTENSION)))
}

/// Values of the EDR tag `GROUP`, sorted.
pub(super) fn device_tags(machine: &Machine) -> Vec<String> {
    let bytes = machine.bytes(mdatp::FILE, MANAGED_BYTES_MAX).unwrap_or_default();
    let root: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let tags = root["edr"]["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tags: BTreeSet<String> = tags
        .iter()
        .filter(|tag| tag["key"].as_str().is_some_and(|key| key.eq_ignore_ascii_case("GROUP")))
        .filter_map(|tag| tag["value"].as_str())
        .map(|tag| tag.trim().chars().filter(|c| !c.is_control()).take(TAG_CHARS_MAX).collect())
        .filter(|tag: &String| !tag.is_empty())
        .collect();
    tags.into_iter().take(TAGS_MAX).collect()
}
