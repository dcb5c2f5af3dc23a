//! Security products.

use muster_proto::enroll::v1 as pb;

use super::machine::{Machine, fit};

/// Largest package database that is read for versions.
const PACKAGES_BYTES_MAX: u64 = 32 * 1024 * 1024;

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

/// The products of the table that are installed, by id.
pub(super) fn installed(machine: &Machine) -> Vec<pb::SecurityProduct> {
    let found: Vec<_> =
        PRODUCTS.iter().filter(|(_, files, _)| files.iter().any(|file| machine.has(file))).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let packages = machine.read("var/lib/dpkg/status", PACKAGES_BYTES_MAX).unwrap_or_default();
    found
        .into_iter()
        .map(|(id, _, package)| pb::SecurityProduct {
            id: (*id).to_owned(),
            version: package_version(&packages, package).unwrap_or_default(),
        })
        .collect()
}

fn package_version(status: &str, package: &str) -> Option<String> {
    let wanted = format!("Package: {package}");
    let paragraph = status.split("\n\n").find(|paragraph| paragraph.lines().any(|line| line == wanted))?;
    paragraph.lines().find_map(|line| line.strip_prefix("Version: ")).map(fit)
}
