//! What a device gets: policies and orders, encoded and signed.

use std::sync::Arc;
use std::time::Duration;

use muster_envelope::{ORDER_PAYLOAD_TYPE, POLICY_PAYLOAD_TYPE};
use muster_pki::{PolicySignature, PolicySigner};
use muster_proto::convert::timestamp;
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, Digest, TenantId, Timestamp};
use parking_lot::RwLock;
use prost::Message as _;
use rustc_hash::FxHashMap;

use crate::domain::resolve::{Effective, InForce, Withheld};

/// Results whose encoding is kept; when there are more, all are forgotten and those still asked for come back.
const SHARED_MAX: usize = 4_096;

/// A policy to sign for one device.
#[derive(Debug, Clone, Copy)]
pub struct ToSign<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// What is resolved for it.
    pub effective: &'a Effective,
    /// How far the logs were folded when it was resolved, all positions added up. Positions only grow: a restart folds the
    /// same logs again and serves no device before it has caught up, and a replica that is behind signs a lower
    /// version, which a device that is further refuses, keeping what it has. So what a device obeys never goes back.
    pub version: u64,
    /// The moment now.
    pub now: Timestamp,
    /// How long the device may take it.
    pub life: Duration,
}

/// Policy documents in the making: what all devices with the same result share is encoded once.
#[derive(Debug, Default)]
pub struct Documents(RwLock<FxHashMap<Digest, Arc<[u8]>>>);

impl Documents {
    /// Signs a policy.
    #[must_use]
    pub fn sign(&self, signer: &PolicySigner, policy: ToSign<'_>) -> pb::SignedPolicy {
        enveloped(signer, POLICY_PAYLOAD_TYPE, self.encode(policy))
    }

    /// An encoded `PolicyDocument`: what is the device's own, and then what it shares. Fields in the order of their
    /// numbers, as if it were encoded in one go.
    fn encode(&self, policy: ToSign<'_>) -> Vec<u8> {
        let ToSign { tenant, device, effective, version, now, life } = policy;
        let shared = self.shared(effective);
        let own = pb::PolicyDocument {
            tenant: tenant.to_string(),
            device_id: device.as_bytes().to_vec(),
            etag: effective.etag.to_vec(),
            version,
            issue_time: Some(timestamp(now)),
            expire_time: Some(timestamp(now.plus(life))),
            settings: Vec::new(),
            withheld: Vec::new(),
        };
        let mut payload = Vec::with_capacity(own.encoded_len() + shared.len());
        own.encode(&mut payload).expect("a vector grows");
        payload.extend_from_slice(&shared);
        payload
    }

    /// The fields of a document that an etag names: settings, and what is withheld.
    fn shared(&self, effective: &Effective) -> Arc<[u8]> {
        if let Some(shared) = self.0.read().get(&effective.etag) {
            return shared.clone();
        }
        let shared: Arc<[u8]> = pb::PolicyDocument {
            settings: effective.settings.iter().map(setting).collect(),
            withheld: effective.withheld.iter().filter_map(withheld).collect(),
            ..pb::PolicyDocument::default()
        }
        .encode_to_vec()
        .into();
        let mut all = self.0.write();
        if all.len() >= SHARED_MAX {
            all.clear();
        }
        all.insert(effective.etag, shared.clone());
        shared
    }
}

fn withheld(withheld: &Withheld) -> Option<pb::Withheld> {
    let Withheld { id, reason, candidates: _ } = withheld;
    let told = || pb::Withheld { id: id.to_string(), reason: pb::WithheldReason::from(*reason).into() };
    reason.is_told().then(told)
}

/// An order to leave management, to sign for one device.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// Until when it is good.
    pub expire: Timestamp,
    /// Ids of settings that stay.
    pub kept: &'a [String],
    /// The moment now.
    pub now: Timestamp,
}

/// Signs an order.
#[must_use]
pub fn sign_order(signer: &PolicySigner, order: Order<'_>) -> pb::SignedPolicy {
    let Order { tenant, device, expire, kept, now } = order;
    let payload = pb::OffboardingOrder {
        tenant: tenant.to_string(),
        device_id: device.as_bytes().to_vec(),
        issue_time: Some(timestamp(now)),
        expire_time: Some(timestamp(expire)),
        kept_settings: kept.to_vec(),
    }
    .encode_to_vec();
    enveloped(signer, ORDER_PAYLOAD_TYPE, payload)
}

fn enveloped(signer: &PolicySigner, payload_type: &str, payload: Vec<u8>) -> pb::SignedPolicy {
    let signatures = signer.sign(payload_type, &payload).into_iter().map(|by| {
        let PolicySignature { key_id, signature } = by;
        pb::Signature { key_id, signature }
    });
    pb::SignedPolicy {
        payload_type: payload_type.to_owned(),
        signatures: signatures.collect(),
        payload: payload.into(),
    }
}

fn setting(setting: &InForce) -> pb::Setting {
    let InForce { id, value, sources: _, losers: _, mode: _, tamper_guarded: _ } = setting;
    (id.clone(), value.clone()).into()
}

#[cfg(test)]
mod tests {
    use muster_types::WithheldReason;

    use super::*;

    #[test]
    fn a_document_in_two_parts_is_encoded_as_if_in_one() {
        let text = |text: &str| muster_types::SettingValue::Text(text.into());
        let in_force = |id: &str| InForce {
            id: id.parse().unwrap(),
            value: text("on"),
            sources: vec![],
            losers: vec![],
            mode: muster_catalog::MergeMode::Conflict,
            tamper_guarded: false,
        };
        let withheld = |id: &str, reason| Withheld { id: id.parse().unwrap(), reason, candidates: vec![] };
        let effective = Effective {
            settings: vec![in_force("p/a"), in_force("p/b")],
            withheld: vec![
                withheld("p/b", WithheldReason::Conflict),
                withheld("p/c", WithheldReason::Channel),
                withheld("p/d", WithheldReason::Platform),
            ],
            ..Effective::default()
        };
        let policy = ToSign {
            tenant: TenantId::DEFAULT,
            device: DeviceId::from_uuid(muster_types::id::derive("test", &[b"1"])),
            effective: &effective,
            version: 7,
            now: Timestamp::from_micros(5),
            life: Duration::from_secs(60),
        };
        let documents = Documents::default();
        let payload = documents.encode(policy);
        let document = pb::PolicyDocument::decode(&payload[..]).unwrap();
        assert_eq!(document.encode_to_vec(), payload);
        let ids = |told: &[pb::Withheld]| told.iter().map(|told| told.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&document.withheld), ["p/b", "p/c"]);
        assert_eq!(document.settings.len(), 2);
        assert_eq!(documents.encode(policy), payload, "from what is kept");
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let documents = Documents::default();
        for n in 0..=u64::try_from(SHARED_MAX).unwrap() {
            let mut effective = Effective::default();
            effective.etag[..8].copy_from_slice(&n.to_be_bytes());
            documents.shared(&effective);
        }
        assert_eq!(documents.0.read().len(), 1);
    }
}
