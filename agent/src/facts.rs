//! The survey: what this machine is, read from its files below a root (`/`, or a folder in tests).
//!
//! Nothing is executed and nothing leaves the machine but what the contract names: the machine id, the product UUID and
//! the serial number only as a digest.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use muster_proto::enroll::v1 as pb;
use muster_types::Digest;
use sha2::{Digest as _, Sha256};

/// Largest part of a file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Largest package database that is read for versions.
const PACKAGES_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest text in the facts, in bytes.
const TEXT_BYTES_MAX: usize = 255;
/// Version of this agent, as the platform rules read it: the crate's, three numbers with dots.
pub const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Security products: id, files of which one proves it installed, Debian package that names the version.
const PRODUCTS: [(&str, &[&str], &str); 8] = [
    ("clamav", &["usr/sbin/clamd", "usr/bin/clamscan"], "clamav"),
    ("eset", &["opt/eset/efs/sbin/startd", "opt/eset/eea/sbin/startd"], "efs"),
    ("falcon", &["opt/CrowdStrike/falcond"], "falcon-sensor"),
    ("mdatp", &["opt/microsoft/mdatp/sbin/wdavdaemon"], "mdatp"),
    ("sentinelone", &["opt/sentinelone/bin/sentinelctl"], "sentinelagent"),
    ("sophos", &["opt/sophos-spl/base/bin/sophos_watchdog", "opt/sophos-spl/bin/spl-launcher"], ""),
    ("trellix", &["opt/McAfee/ens/tp/bin/mfetpd"], "mcafeetp"),
    ("wazuh", &["var/ossec/bin/wazuh-agentd"], "wazuh-agent"),
];

/// What was found, and what was missed.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The facts as they are sent.
    pub facts: pb::DeviceFacts,
    /// What could not be found and matters, for people.
    pub gaps: Vec<String>,
}

/// Surveys the machine whose file system begins at `root`.
#[must_use]
pub fn survey(root: &Path) -> Survey {
    let machine = Machine { root: root.to_owned() };
    let os = machine.os_release();
    let os_value = |key: &str| os.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let mut gaps = Vec::new();
    let hostname = machine
        .text("proc/sys/kernel/hostname")
        .or_else(|| machine.text("etc/hostname"))
        .unwrap_or_else(|| "localhost".to_owned());
    let hardware_digest = machine.hardware_digest(&hostname, &mut gaps).to_vec();
    if os.is_empty() {
        gaps.push("no os-release: the distribution is not known".to_owned());
    }
    let facts = pb::DeviceFacts {
        platform: pb::Platform::Linux.into(),
        hostname,
        os_id: os_value("ID").unwrap_or_else(|| "linux".to_owned()),
        os_version: os_value("VERSION_ID").unwrap_or_default(),
        os_name: os_value("PRETTY_NAME").or_else(|| os_value("NAME")).unwrap_or_default(),
        kernel_release: machine.text("proc/sys/kernel/osrelease").unwrap_or_default(),
        architecture: std::env::consts::ARCH.to_owned(),
        agent_version: AGENT_VERSION.to_owned(),
        hardware_digest,
        // Present and empty: looked for, and absent.
        board_vendor: Some(machine.dmi("board_vendor").unwrap_or_default()),
        product_name: Some(machine.dmi("product_name").unwrap_or_default()),
        security_products: machine.security_products(),
        ..pb::DeviceFacts::default()
    };
    Survey { facts, gaps }
}

/// Random id of the machine's boot; `None` where the kernel shows none.
#[must_use]
pub fn boot_id(root: &Path) -> Option<[u8; 16]> {
    let machine = Machine { root: root.to_owned() };
    let text = machine.text("proc/sys/kernel/random/boot_id")?;
    uuid::Uuid::parse_str(&text).ok().map(uuid::Uuid::into_bytes)
}

struct Machine {
    root: PathBuf,
}

impl Machine {
    fn read(&self, path: &str, bytes_max: u64) -> Option<String> {
        let mut bytes = Vec::new();
        let file = File::open(self.root.join(path)).ok()?;
        file.take(bytes_max).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line, trimmed and cut; `None` when there is none.
    fn text(&self, path: &str) -> Option<String> {
        let content = self.read(path, FILE_BYTES_MAX)?;
        let line = content.lines().next().unwrap_or_default().trim();
        (!line.is_empty()).then(|| cut(line))
    }

    fn dmi(&self, name: &str) -> Option<String> {
        self.text(&format!("sys/class/dmi/id/{name}"))
    }

    fn os_release(&self) -> Vec<(String, String)> {
        let content = self
            .read("etc/os-release", FILE_BYTES_MAX)
            .or_else(|| self.read("usr/lib/os-release", FILE_BYTES_MAX))
            .unwrap_or_default();
        content.lines().filter_map(assignment).collect()
    }

    /// SHA-256 over what stays the same as long as it is the same machine.
    fn hardware_digest(&self, hostname: &str, gaps: &mut Vec<String>) -> Digest {
        let machine_id = self.text("etc/machine-id").or_else(|| self.text("var/lib/dbus/machine-id"));
        let (uuid, serial) = (self.dmi("product_uuid"), self.dmi("product_serial"));
        if machine_id.is_none() {
            let instead =
                if uuid.is_some() || serial.is_some() { "DMI alone" } else { "the host name alone" };
            gaps.push(format!("no machine id: the device is recognised again by {instead}"));
        }
        let only_name = machine_id.is_none() && uuid.is_none() && serial.is_none();
        let parts =
            [machine_id, uuid, serial, only_name.then(|| hostname.to_owned())].map(Option::unwrap_or_default);
        let mut hasher = Sha256::new();
        hasher.update(b"muster.hardware.v1\0");
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().into()
    }

    fn security_products(&self) -> Vec<pb::SecurityProduct> {
        let found: Vec<_> = PRODUCTS
            .iter()
            .filter(|(_, files, _)| files.iter().any(|file| self.root.join(file).exists()))
            .collect();
        if found.is_empty() {
            return Vec::new();
        }
        let packages = self.read("var/lib/dpkg/status", PACKAGES_BYTES_MAX).unwrap_or_default();
        found
            .into_iter()
            .map(|(id, _, package)| pb::SecurityProduct {
                id: (*id).to_owned(),
                version: package_version(&packages, package).unwrap_or_default(),
            })
            .collect()
    }
}

/// A line `KEY=value` of os-release, without its quotes.
fn assignment(line: &str) -> Option<(String, String)> {
    let (key, value) = line.trim().split_once('=')?;
    let value = value.trim();
    let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    (!key.starts_with('#')).then(|| (key.to_owned(), cut(bare.unwrap_or(value))))
}

fn package_version(status: &str, package: &str) -> Option<String> {
    let wanted = format!("Package: {package}");
    let paragraph = status.split("\n\n").find(|paragraph| paragraph.lines().any(|line| line == wanted))?;
    paragraph.lines().find_map(|line| line.strip_prefix("Version: ")).map(cut)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    const MACHINE: &[(&str, &str)] = &[
        (
            "etc/os-release",
            "# made\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian GNU/Linux 12 (bookworm)'\n",
        ),
        ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
        ("proc/sys/kernel/hostname", "web-01\n"),
        ("etc/machine-id", "0123456789abcdef\n"),
        ("sys/class/dmi/id/board_vendor", "ACME\n"),
        ("sys/class/dmi/id/product_name", "Box 3\n"),
        ("sys/class/dmi/id/product_uuid", "u-1\n"),
        ("opt/microsoft/mdatp/sbin/wdavdaemon", ""),
        ("usr/bin/clamscan", ""),
        (
            "var/lib/dpkg/status",
            "Package: mdatp\nStatus: install ok installed\nVersion: 101.24092.0001\n\nPackage: x\nVersion: 1\n",
        ),
    ];

    #[test]
    fn a_machine_is_told_by_its_files() {
        let dir = root(MACHINE);
        let Survey { facts, gaps } = survey(dir.path());
        assert_eq!(gaps, Vec::<String>::new());
        assert_eq!((facts.os_id.as_str(), facts.os_version.as_str()), ("debian", "12"));
        assert_eq!(facts.os_name, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!((facts.hostname.as_str(), facts.kernel_release.as_str()), ("web-01", "6.1.0-18-amd64"));
        assert_eq!(facts.board_vendor.as_deref(), Some("ACME"));
        let products: Vec<_> =
            facts.security_products.iter().map(|p| (p.id.as_str(), p.version.as_str())).collect();
        assert_eq!(products, [("clamav", ""), ("mdatp", "101.24092.0001")]);
        assert_eq!(facts.hardware_digest.len(), 32);
    }

    #[test]
    fn a_missing_board_vendor_is_absent_and_no_error() {
        let dir = root(MACHINE);
        fs::remove_file(dir.path().join("sys/class/dmi/id/board_vendor")).unwrap();
        assert_eq!(survey(dir.path()).facts.board_vendor.as_deref(), Some(""));
    }

    #[test]
    fn without_a_machine_id_it_falls_back_and_says_so() {
        let dir = root(MACHINE);
        let before = survey(dir.path()).facts.hardware_digest;
        fs::remove_file(dir.path().join("etc/machine-id")).unwrap();
        let without = survey(dir.path());
        assert_ne!(without.facts.hardware_digest, before);
        assert_eq!(without.gaps, ["no machine id: the device is recognised again by DMI alone"]);
        let bare = survey(root(&[]).path());
        assert!(bare.gaps.iter().any(|gap| gap.ends_with("by the host name alone")), "{:?}", bare.gaps);
        assert_eq!(bare.facts.hostname, "localhost");
    }

    #[test]
    fn the_digest_tells_its_parts_apart() {
        let digest = |uuid, serial| {
            let files =
                [("sys/class/dmi/id/product_uuid", uuid), ("sys/class/dmi/id/product_serial", serial)];
            survey(root(&files).path()).facts.hardware_digest
        };
        assert_ne!(digest("ab", "c"), digest("a", "bc"));
    }
}
