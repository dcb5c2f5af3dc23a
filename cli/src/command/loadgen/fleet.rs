//! Made-up devices: believable, of every documented platform, and always the same for a seed.

use fastrand::Rng;
use muster_proto::enroll::v1 as pb;
use muster_types::{HardwareKey, HardwareKeyKind};
use sha2::{Digest as _, Sha256};

use super::{Fleet, Kind};

/// A release of Windows: name, edition, branch of builds, a revision that is new enough, one that is too old.
type Windows = (&'static str, &'static str, &'static str, u32, u32);

const CLIENTS: [Windows; 4] = [
    ("Windows 10 Enterprise 22H2", "Enterprise", "10.0.19045", 4651, 2600),
    ("Windows 10 Pro 21H2", "Professional", "10.0.19044", 3086, 1320),
    ("Windows 11 Enterprise 22H2", "Enterprise", "10.0.22621", 3880, 1200),
    ("Windows 11 Pro 24H2", "Professional", "10.0.26100", 2033, 2033),
];
const SERVERS: [Windows; 5] = [
    ("Windows Server 2012 R2 Standard", "ServerStandard", "6.3.9600", 21620, 21620),
    ("Windows Server 2016 Datacenter", "ServerDatacenter", "10.0.14393", 7159, 7159),
    ("Windows Server 2019 Datacenter", "ServerDatacenter", "10.0.17763", 6189, 4010),
    ("Windows Server 2022 Standard", "ServerStandard", "10.0.20348", 2655, 1500),
    ("Windows Server 2025 Datacenter", "ServerDatacenter", "10.0.26100", 2033, 2033),
];
/// Distributions: os-release id, version, name, kernel.
const DISTRIBUTIONS: [(&str, &str, &str, &str); 9] = [
    ("ubuntu", "22.04", "Ubuntu 22.04.5 LTS", "5.15.0-119-generic"),
    ("ubuntu", "24.04", "Ubuntu 24.04.1 LTS", "6.8.0-45-generic"),
    ("debian", "12", "Debian GNU/Linux 12 (bookworm)", "6.1.0-25-amd64"),
    ("rhel", "8.10", "Red Hat Enterprise Linux 8.10 (Ootpa)", "4.18.0-553.el8_10.x86_64"),
    ("rhel", "9.4", "Red Hat Enterprise Linux 9.4 (Plow)", "5.14.0-427.el9_4.x86_64"),
    ("centos", "7.9", "CentOS Linux 7 (Core)", "3.10.0-1160.el7.x86_64"),
    ("sles", "15.5", "SUSE Linux Enterprise Server 15 SP5", "5.14.21-150500.55-default"),
    ("ol", "9.4", "Oracle Linux Server 9.4", "5.15.0-209.161.7.1.el9uek.x86_64"),
    ("amzn", "2", "Amazon Linux 2", "4.14.352-267.564.amzn2.x86_64"),
];
/// Releases of macOS: version, name, build.
const MACS: [(&str, &str, &str); 4] = [
    ("11.7.10", "macOS Big Sur", "20G1427"),
    ("12.7.6", "macOS Monterey", "21H1320"),
    ("13.6.9", "macOS Ventura", "22G830"),
    ("14.6.1", "macOS Sonoma", "23G93"),
];
const MODELS: [(&str, &str); 4] = [
    ("Dell Inc.", "Latitude 5440"),
    ("LENOVO", "21F8CTO1WW"),
    ("HP", "ProLiant DL380 Gen10"),
    ("Microsoft Corporation", "Virtual Machine"),
];

/// The facts of a fleet's device by its number, counted from 0.
pub(super) fn device(fleet: &Fleet, number: u32) -> pb::DeviceFacts {
    let mut rng = Rng::with_seed(fleet.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(number));
    let kind = fleet.mix.at(rng.u32(..));
    let bad = rng.u8(0..100) < fleet.unsupported;
    let managed = rng.u8(0..100) < fleet.mdm;
    let mut facts = match kind {
        Kind::Windows => windows(&mut rng, &CLIENTS, bad),
        Kind::WindowsServer => server(&mut rng, bad),
        Kind::DomainController => {
            pb::DeviceFacts { domain_role: pb::DomainRole::DomainController.into(), ..server(&mut rng, bad) }
        }
        Kind::Linux => linux(&mut rng, bad),
        Kind::Macos => macos(&mut rng, bad),
    };
    let provider = if managed { pb::MdmProvider::Intune } else { pb::MdmProvider::None };
    let name = if managed { "MS DM Server" } else { "" };
    facts.mdm = Some(pb::MdmFacts { provider: provider.into(), name: name.to_owned() });
    facts.config_mgr = Some(pb::ConfigMgrFacts::default());
    identify(&mut facts, fleet.seed, number, kind);
    facts
}

/// What makes a device this one.
fn identify(facts: &mut pb::DeviceFacts, seed: u64, number: u32, kind: Kind) {
    let prefix = match kind {
        Kind::Windows => "WS",
        Kind::WindowsServer => "SRV",
        Kind::DomainController => "DC",
        Kind::Linux => "lnx",
        Kind::Macos => "mac",
    };
    facts.hostname = format!("{prefix}-{seed:x}-{number:06}");
    let uuid =
        Sha256::digest([b"made-up device".as_slice(), &seed.to_be_bytes(), &number.to_be_bytes()].concat());
    facts.hardware_digest = uuid.to_vec();
    let hex: String = uuid[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = [
        HardwareKey::of(HardwareKeyKind::SmbiosUuid, &hex),
        HardwareKey::of(HardwareKeyKind::Serial, &format!("MU{}", &hex[..10])),
    ];
    facts.hardware_keys = keys
        .into_iter()
        .flatten()
        .map(|key| muster_proto::identity::v1::HardwareKey {
            kind: key.kind as i32,
            digest: key.digest.to_vec(),
        })
        .collect();
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

fn base(rng: &mut Rng, platform: pb::Platform, sensor: &str, version: &str) -> pb::DeviceFacts {
    let (vendor, product) = pick(rng, &MODELS);
    pb::DeviceFacts {
        platform: platform.into(),
        architecture: "x86_64".to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        board_vendor: Some(vendor.to_owned()),
        product_name: Some(product.to_owned()),
        security_products: vec![pb::SecurityProduct { id: sensor.to_owned(), version: version.to_owned() }],
        onboarded_through_cloud_defender: Some(false),
        ..pb::DeviceFacts::default()
    }
}

fn windows(rng: &mut Rng, releases: &[Windows], bad: bool) -> pb::DeviceFacts {
    let (name, edition, branch, good_revision, old_revision) = pick(rng, releases);
    let revision = if bad { old_revision } else { good_revision };
    let joined = rng.u8(0..4) > 0;
    let role = if joined { pb::DomainRole::DomainJoined } else { pb::DomainRole::Workgroup };
    let mut facts = pb::DeviceFacts {
        os_id: "windows".to_owned(),
        os_version: branch.to_owned(),
        os_name: name.to_owned(),
        os_build: Some(format!("{branch}.{revision}")),
        edition: Some(edition.to_owned()),
        server_os: Some(false),
        domain_role: role.into(),
        server_core: Some(false),
        non_persistent_vdi: Some(false),
        azure_virtual_desktop: Some(false),
        powershell_language_mode: pb::PowershellLanguageMode::Full.into(),
        ..base(rng, pb::Platform::Windows, "sense", "10.8760.26100.1")
    };
    if bad && good_revision == old_revision {
        // No revision of this release is too old: something else must be wrong with it.
        match rng.u8(0..3) {
            0 => facts.non_persistent_vdi = Some(true),
            1 => facts.powershell_language_mode = pb::PowershellLanguageMode::Constrained.into(),
            _ => facts.azure_virtual_desktop = Some(true),
        }
    }
    facts
}

fn server(rng: &mut Rng, bad: bool) -> pb::DeviceFacts {
    let mut facts = windows(rng, &SERVERS, bad);
    facts.server_os = Some(true);
    let down_level = facts.os_version == "6.3.9600" || facts.os_version == "10.0.14393";
    facts.unified_agent = down_level.then_some(true);
    facts
}

fn linux(rng: &mut Rng, bad: bool) -> pb::DeviceFacts {
    let (id, version, name, kernel) = pick(rng, &DISTRIBUTIONS);
    let sensor = if bad { "101.23042.0003" } else { "101.24072.0001" };
    pb::DeviceFacts {
        os_id: id.to_owned(),
        os_version: version.to_owned(),
        os_name: name.to_owned(),
        kernel_release: kernel.to_owned(),
        domain_role: pb::DomainRole::Workgroup.into(),
        ..base(rng, pb::Platform::Linux, "mdatp", sensor)
    }
}

fn macos(rng: &mut Rng, bad: bool) -> pb::DeviceFacts {
    let (version, name, build) = pick(rng, &MACS);
    let sensor = if bad { "101.23042.0001" } else { "101.24072.0009" };
    pb::DeviceFacts {
        os_id: "macos".to_owned(),
        os_version: version.to_owned(),
        os_name: format!("{name} {version}"),
        os_build: Some(build.to_owned()),
        architecture: "aarch64".to_owned(),
        board_vendor: Some("Apple Inc.".to_owned()),
        product_name: Some("Mac14,2".to_owned()),
        ..base(rng, pb::Platform::Macos, "mdatp", sensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(mix: &str, unsupported: u8) -> Fleet {
        let mix = mix.parse().expect("a good mix");
        Fleet { devices: 1_000, mix, unsupported, mdm: 0, seed: 7 }
    }

    #[test]
    fn the_same_seed_makes_the_same_devices() {
        let fleet = fleet("windows=1,windows-server=1,domain-controller=1,linux=1,macos=1", 10);
        let once: Vec<_> = (0..100).map(|number| device(&fleet, number)).collect();
        let again: Vec<_> = (0..100).map(|number| device(&fleet, number)).collect();
        assert_eq!(once, again);
    }

    #[test]
    fn no_two_devices_are_one() {
        let fleet = fleet("linux=1", 0);
        let digests: std::collections::BTreeSet<_> =
            (0..1_000).map(|number| device(&fleet, number).hardware_digest).collect();
        assert_eq!(digests.len(), 1_000);
    }

    #[test]
    fn every_release_occurs() {
        let fleet = fleet("windows=1,windows-server=1,linux=1,macos=1", 0);
        let names: std::collections::BTreeSet<_> =
            (0..1_000).map(|number| device(&fleet, number).os_name).collect();
        assert_eq!(names.len(), CLIENTS.len() + SERVERS.len() + DISTRIBUTIONS.len() + MACS.len());
    }
}
