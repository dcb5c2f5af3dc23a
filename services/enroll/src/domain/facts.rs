//! What a device says of itself, and the digest by which both sides tell whether it changed.

use muster_types::Digest;
use sha2::{Digest as _, Sha256};

/// Longest text in the facts, in bytes.
pub const TEXT_BYTES_MAX: usize = 255;
/// Most security products that facts may name.
pub const SECURITY_PRODUCTS_MAX: usize = 64;

/// Operating system family of a device that can be managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Windows client or server.
    Windows,
    /// Linux.
    Linux,
    /// macOS.
    Macos,
}

/// A security product found on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecurityProduct {
    /// Short id, for example `mdatp`.
    pub id: String,
    /// Version as the product states it; empty when it could not be read.
    pub version: String,
}

/// What the survey of a device found. An empty text was not collected; `Some("")` is absent on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Operating system family.
    pub platform: Platform,
    /// Host name.
    pub hostname: String,
    /// Distribution or edition id.
    pub os_id: String,
    /// Version of the distribution or operating system.
    pub os_version: String,
    /// Its name for people.
    pub os_name: String,
    /// Kernel release.
    pub kernel_release: String,
    /// Processor architecture.
    pub architecture: String,
    /// Version of the agent that did the survey.
    pub agent_version: String,
    /// SHA-256 over the stable hardware identity: one device is recognised again by it.
    pub hardware_digest: Digest,
    /// DMI board vendor.
    pub board_vendor: Option<String>,
    /// DMI product name.
    pub product_name: Option<String>,
    /// Security products found installed, in any order.
    pub security_products: Vec<SecurityProduct>,
}

/// Facts out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidFacts {
    /// Which field, as the contract names it.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl DeviceFacts {
    /// Checks lengths and counts.
    ///
    /// # Errors
    /// [`InvalidFacts`] naming the first field that is out of bounds.
    pub fn check(&self) -> Result<(), InvalidFacts> {
        let texts = [
            ("hostname", &self.hostname),
            ("os_id", &self.os_id),
            ("os_version", &self.os_version),
            ("os_name", &self.os_name),
            ("kernel_release", &self.kernel_release),
            ("architecture", &self.architecture),
            ("agent_version", &self.agent_version),
        ];
        for (field, text) in texts {
            check_text(field, text)?;
        }
        for (field, text) in [("board_vendor", &self.board_vendor), ("product_name", &self.product_name)] {
            text.as_ref().map_or(Ok(()), |text| check_text(field, text))?;
        }
        self.check_products()
    }

    fn check_products(&self) -> Result<(), InvalidFacts> {
        let found = self.security_products.len();
        if found > SECURITY_PRODUCTS_MAX {
            return Err(InvalidFacts {
                field: "security_products".into(),
                problem: format!("holds {found} products, the limit is {SECURITY_PRODUCTS_MAX}"),
            });
        }
        for (i, SecurityProduct { id, version }) in self.security_products.iter().enumerate() {
            let field = |name| format!("security_products[{i}].{name}");
            if id.is_empty() {
                return Err(InvalidFacts { field: field("id"), problem: "must not be empty".into() });
            }
            check_text(&field("id"), id)?;
            check_text(&field("version"), version)?;
        }
        Ok(())
    }

    /// The digest of the facts: equal facts give equal digests, whatever order the products were found in.
    ///
    /// SHA-256 over `muster.facts.v1` and a zero byte, then the fields in the order of the contract's numbers:
    /// - the platform as one byte, its number in the contract;
    /// - a text as its length in bytes (32 bits, big-endian) and its bytes; the hardware digest likewise;
    /// - an optional text as a zero byte when it was not collected, else a one byte and the text;
    /// - the security products as their count (32 bits, big-endian) and, sorted by id and version, both texts each.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let Self {
            platform,
            hostname,
            os_id,
            os_version,
            os_name,
            kernel_release,
            architecture,
            agent_version,
            hardware_digest,
            board_vendor,
            product_name,
            security_products,
        } = self;
        let mut canonical = Canonical(Vec::with_capacity(512));
        canonical.0.extend_from_slice(b"muster.facts.v1\0");
        canonical.0.push(match platform {
            Platform::Windows => 1,
            Platform::Linux => 2,
            Platform::Macos => 3,
        });
        for text in [hostname, os_id, os_version, os_name, kernel_release, architecture, agent_version] {
            canonical.bytes(text.as_bytes());
        }
        canonical.bytes(hardware_digest);
        canonical.optional(board_vendor.as_deref());
        canonical.optional(product_name.as_deref());
        let mut products: Vec<_> = security_products.iter().collect();
        products.sort_unstable();
        canonical.length(products.len());
        for SecurityProduct { id, version } in products {
            canonical.bytes(id.as_bytes());
            canonical.bytes(version.as_bytes());
        }
        Sha256::digest(&canonical.0).into()
    }
}

fn check_text(field: &str, text: &str) -> Result<(), InvalidFacts> {
    let problem = if text.len() > TEXT_BYTES_MAX {
        format!("is {} bytes long, the limit is {TEXT_BYTES_MAX}", text.len())
    } else if text.chars().any(char::is_control) {
        "must not hold control characters".into()
    } else {
        return Ok(());
    };
    Err(InvalidFacts { field: field.into(), problem })
}

/// Bytes that can be read in one way only.
struct Canonical(Vec<u8>);

impl Canonical {
    fn length(&mut self, length: usize) {
        self.0.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.push(u8::from(text.is_some()));
        if let Some(text) = text {
            self.bytes(text.as_bytes());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn a_linux_device() -> DeviceFacts {
        DeviceFacts {
            platform: Platform::Linux,
            hostname: "web-01".into(),
            os_id: "debian".into(),
            os_version: "12".into(),
            os_name: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel_release: "6.1.0-18-amd64".into(),
            architecture: "x86_64".into(),
            agent_version: "0.1.0".into(),
            hardware_digest: [7; 32],
            board_vendor: None,
            product_name: Some("KVM".into()),
            security_products: vec![
                SecurityProduct { id: "mdatp".into(), version: "101.24".into() },
                SecurityProduct { id: "clamav".into(), version: String::new() },
            ],
        }
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_products() {
        let mut turned = a_linux_device();
        turned.security_products.reverse();
        assert_eq!(turned.digest(), a_linux_device().digest());
    }

    #[test]
    fn not_collected_and_absent_have_different_digests() {
        let absent = DeviceFacts { board_vendor: Some(String::new()), ..a_linux_device() };
        assert_ne!(absent.digest(), a_linux_device().digest());
    }

    #[test]
    fn the_digest_stays_what_it_was() {
        let hex: String = a_linux_device().digest().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "2d2f6d867b7c774c88869674a1a7ddedcd6f0473944e3656c242546f854312cc");
    }

    #[test]
    fn facts_out_of_bounds_are_refused_with_the_field() {
        let long = DeviceFacts { hostname: "a".repeat(256), ..a_linux_device() };
        assert_eq!(long.check().map_err(|e| e.field), Err("hostname".into()));
        let unprintable = DeviceFacts { product_name: Some("\u{7}".into()), ..a_linux_device() };
        assert_eq!(unprintable.check().map_err(|e| e.field), Err("product_name".into()));
        let nameless = SecurityProduct { id: String::new(), version: "1".into() };
        let nameless = DeviceFacts { security_products: vec![nameless], ..a_linux_device() };
        assert_eq!(nameless.check().map_err(|e| e.field), Err("security_products[0].id".into()));
        assert_eq!(a_linux_device().check(), Ok(()));
    }
}
