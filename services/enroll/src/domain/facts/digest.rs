//! The digest of facts.

use muster_types::{Canonical, Digest, HardwareKey};

use super::{ConfigMgr, DeviceFacts, Mdm, Platform, SecurityProduct};

impl DeviceFacts {
    /// The digest of the facts: equal facts give equal digests, whatever order lists were found in.
    ///
    /// SHA-256 over `muster.facts.v1` and a zero byte, then the fields up to number 12 in the order of the contract's
    /// numbers:
    /// - the platform as one byte, its number in the contract;
    /// - a text as its length in bytes (32 bits, big-endian) and its bytes; the hardware digest likewise;
    /// - an optional text as a zero byte when it was not collected, else a one byte and the text;
    /// - the security products as their count (32 bits, big-endian) and, sorted by id and version, both texts each.
    ///
    /// Fields from number 13 on follow in the order of their numbers, each only when it was collected, so that facts
    /// that know nothing of a newer field keep their digest: the number as one byte, then a text as above; a yes or no,
    /// and a choice, as one byte (0 or 1; the number in the contract, 0 when not said); a list as its count and its
    /// items, sorted; the MDM as provider and name; the Configuration Manager client as two yes or no; a hardware key as
    /// its kind and its digest.
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
            edition,
            os_build,
            installed_updates,
            server_os,
            domain_role,
            server_core,
            app_compatibility,
            non_persistent_vdi,
            azure_virtual_desktop,
            language_mode,
            mdm,
            config_mgr,
            onboarded_through_cloud_defender,
            device_tags,
            unified_agent,
            hardware_keys,
            tamper_protection,
        } = self;
        let mut canonical = Fields(Canonical::new(b"muster.facts.v1\0"));
        canonical.0.put(&[match platform {
            Platform::Windows => 1,
            Platform::Linux => 2,
            Platform::Macos => 3,
        }]);
        for text in [hostname, os_id, os_version, os_name, kernel_release, architecture, agent_version] {
            canonical.bytes(text.as_bytes());
        }
        canonical.bytes(hardware_digest);
        canonical.optional(board_vendor.as_deref());
        canonical.optional(product_name.as_deref());
        canonical.products(security_products);

        canonical.text(13, edition.as_deref());
        canonical.text(14, os_build.as_deref());
        canonical.texts(15, installed_updates);
        canonical.byte(16, server_os.map(u8::from));
        canonical.byte(17, domain_role.map(|role| role as u8));
        canonical.byte(18, server_core.map(u8::from));
        canonical.byte(19, app_compatibility.map(u8::from));
        canonical.byte(20, non_persistent_vdi.map(u8::from));
        canonical.byte(21, azure_virtual_desktop.map(u8::from));
        canonical.byte(22, language_mode.map(|mode| mode as u8));
        if let Some(Mdm { provider, name }) = mdm {
            canonical.byte(23, Some(provider.map_or(0, |provider| provider as u8)));
            canonical.bytes(name.as_bytes());
        }
        if let Some(ConfigMgr { present, manages_endpoint_protection }) = config_mgr {
            canonical.byte(24, Some(u8::from(*present)));
            canonical.0.put(&[u8::from(*manages_endpoint_protection)]);
        }
        canonical.byte(25, onboarded_through_cloud_defender.map(u8::from));
        canonical.texts(26, device_tags);
        canonical.byte(27, unified_agent.map(u8::from));
        canonical.keys(28, hardware_keys);
        canonical.byte(29, tamper_protection.map(|tamper| tamper as u8));
        canonical.0.digest()
    }
}

/// Bytes that can be read in one way only: lengths have 32 bits here.
struct Fields(Canonical);

impl Fields {
    fn length(&mut self, length: usize) {
        self.0.put(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.put(bytes);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.put(&[u8::from(text.is_some())]);
        if let Some(text) = text {
            self.bytes(text.as_bytes());
        }
    }

    fn products(&mut self, products: &[SecurityProduct]) {
        let mut products: Vec<_> = products.iter().collect();
        products.sort_unstable();
        self.length(products.len());
        for SecurityProduct { id, version } in products {
            self.bytes(id.as_bytes());
            self.bytes(version.as_bytes());
        }
    }

    fn text(&mut self, number: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.0.put(&[number]);
            self.bytes(text.as_bytes());
        }
    }

    fn byte(&mut self, number: u8, byte: Option<u8>) {
        byte.iter().for_each(|byte| self.0.put(&[number, *byte]));
    }

    fn texts(&mut self, number: u8, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        let mut texts: Vec<_> = texts.iter().collect();
        texts.sort_unstable();
        self.0.put(&[number]);
        self.length(texts.len());
        texts.into_iter().for_each(|text| self.bytes(text.as_bytes()));
    }

    fn keys(&mut self, number: u8, keys: &[HardwareKey]) {
        if keys.is_empty() {
            return;
        }
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort_unstable();
        self.0.put(&[number]);
        self.length(keys.len());
        for HardwareKey { kind, digest } in keys {
            self.0.put(&[*kind as u8]);
            self.bytes(digest);
        }
    }
}
