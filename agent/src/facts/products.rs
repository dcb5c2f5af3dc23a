//! Security products.

use muster_proto::enroll::v1 as pb;

use super::machine::{Machine, fit};
use super::rpm;

/// Largest package database that is read for versions.
const PACKAGES_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A security product.
struct Product {
    id: &'static str,
    /// Files of which one proves it installed.
    files: &'static [&'static str],
    /// Its package for dpkg and for rpm, which names the version; none where it does not come as one.
    packages: Option<[&'static str; 2]>,
}

const PRODUCTS: [Product; 8] = [
    product("clamav", &["usr/sbin/clamd", "usr/bin/clamscan"], Some(["clamav", "clamav"])),
    product("eset", &["opt/eset/efs/sbin/startd", "opt/eset/eea/sbin/startd"], Some(["efs", "efs"])),
    product("falcon", &["opt/CrowdStrike/falcond"], Some(["falcon-sensor", "falcon-sensor"])),
    product("mdatp", &["opt/microsoft/mdatp/sbin/wdavdaemon"], Some(["mdatp", "mdatp"])),
    product("sentinelone", &["opt/sentinelone/bin/sentinelctl"], Some(["sentinelagent", "SentinelAgent"])),
    product("sophos", &["opt/sophos-spl/base/bin/sophos_watchdog", "opt/sophos-spl/bin/spl-launcher"], None),
    product("trellix", &["opt/McAfee/ens/tp/bin/mfetpd"], Some(["mcafeetp", "McAfeeTP"])),
    product("wazuh", &["var/ossec/bin/wazuh-agentd"], Some(["wazuh-agent", "wazuh-agent"])),
];

const fn product(
    id: &'static str,
    files: &'static [&'static str],
    packages: Option<[&'static str; 2]>,
) -> Product {
    Product { id, files, packages }
}

/// The products of the table that are installed, by id.
pub(super) fn installed(machine: &Machine, gaps: &mut Vec<String>) -> Vec<pb::SecurityProduct> {
    let found: Vec<_> =
        PRODUCTS.iter().filter(|product| product.files.iter().any(|file| machine.has(file))).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let status = machine.read("var/lib/dpkg/status", PACKAGES_BYTES_MAX).unwrap_or_default();
    let version = |[dpkg, rpm]: [&str; 2]| {
        package_version(&status, dpkg)
            .or_else(|| rpm::version(machine, rpm).map(|version| fit(&version)))
            .filter(|version| !version.is_empty())
    };
    let mut told = |product: &Product| {
        let version = product.packages.and_then(version);
        if version.is_none() {
            gaps.push(format!("the version of {} is not known: no minimum applies to it", product.id));
        }
        pb::SecurityProduct { id: product.id.to_owned(), version: version.unwrap_or_default() }
    };
    found.into_iter().map(&mut told).collect()
}

fn package_version(status: &str, package: &str) -> Option<String> {
    let wanted = format!("Package: {package}");
    let paragraph = status.split("\n\n").find(|paragraph| paragraph.lines().any(|line| line == wanted))?;
    paragraph.lines().find_map(|line| line.strip_prefix("Version: ")).map(fit)
}
