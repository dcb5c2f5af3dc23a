//! Words that statuses, resolutions and devices share: ids of settings, values, digests and short texts.

use std::sync::Arc;

use muster_proto::policy::v1 as policy;
use muster_types::{Digest, SettingId, SettingValue, TenantId};
use prost::Message as _;

use super::pool::{NONE, Pool};

/// The words, by number.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) settings: Pool<SettingId>,
    /// Values in their one encoding, so that equal ones have the same number.
    values: Pool<Arc<[u8]>>,
    pub(super) digests: Pool<Digest>,
    pub(super) texts: Pool<Arc<str>>,
    /// Few, and never forgotten.
    tenants: Vec<TenantId>,
}

impl Words {
    /// The number of a value, held once more; [`NONE`] of none.
    pub(super) fn value(&mut self, value: Option<&SettingValue>) -> u32 {
        let Some(value) = value else { return NONE };
        let encoded = policy::SettingValue::from(value.clone()).encode_to_vec();
        let hash = self.values.hash(&encoded[..]);
        let found = self.values.find(hash, |other| **other == *encoded);
        let at = found.unwrap_or_else(|| self.values.insert(hash, encoded.into()));
        self.values.hold(at);
        at
    }

    pub(super) fn value_of(&self, at: u32) -> Option<SettingValue> {
        if at == NONE {
            return None;
        }
        policy::SettingValue::decode(&**self.values.of(at)).ok()?.try_into().ok()
    }

    pub(super) fn release_value(&mut self, at: u32) {
        if at != NONE {
            self.values.release(at);
        }
    }

    /// The number of a text, held once more; [`NONE`] of an empty one.
    pub(super) fn text(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NONE;
        }
        let hash = self.texts.hash(text);
        let found = self.texts.find(hash, |other| **other == *text);
        let at = found.unwrap_or_else(|| self.texts.insert(hash, text.into()));
        self.texts.hold(at);
        at
    }

    pub(super) fn text_of(&self, at: u32) -> &str {
        if at == NONE { "" } else { self.texts.of(at) }
    }

    pub(super) fn release_text(&mut self, at: u32) {
        if at != NONE {
            self.texts.release(at);
        }
    }

    pub(super) fn release_digest(&mut self, at: u32) {
        if at != NONE {
            self.digests.release(at);
        }
    }

    pub(super) fn tenant(&mut self, tenant: TenantId) -> u16 {
        let at = self.tenants.iter().position(|known| *known == tenant).unwrap_or_else(|| {
            self.tenants.push(tenant);
            self.tenants.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    pub(super) fn tenant_of(&self, at: u16) -> Option<TenantId> {
        self.tenants.get(usize::from(at)).copied()
    }
}
