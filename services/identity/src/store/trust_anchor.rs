//! Rows of trust anchors.

use muster_types::{Timestamp, TrustAnchorId};
use prost::Message;

use crate::domain::trust_anchor::{Added, Kind};
use crate::projection::trust_anchors::AnchorRow;

/// First byte of a trust anchor's key.
const TRUST_ANCHOR: u8 = 4;

/// Key of a trust anchor.
#[must_use]
pub fn trust_anchor_key(id: TrustAnchorId) -> [u8; 17] {
    let mut key = [TRUST_ANCHOR; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// Reads the key of a trust anchor.
#[must_use]
pub fn trust_anchor(key: &[u8]) -> Option<TrustAnchorId> {
    TrustAnchorId::from_slice(key.strip_prefix(&[TRUST_ANCHOR])?).ok()
}

#[derive(Clone, PartialEq, Message)]
struct TrustAnchorValue {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(string, tag = "2")]
    display_name: String,
    /// 1: corporate authority, 2: SPIRE, 3: directory, 4: TPM.
    #[prost(uint32, tag = "3")]
    kind: u32,
    #[prost(bytes = "vec", repeated, tag = "4")]
    certificates_der: Vec<Vec<u8>>,
    #[prost(string, tag = "5")]
    directory_tenant_id: String,
    #[prost(sint64, tag = "6")]
    create_micros: i64,
}

/// A trust anchor as a row; removed ones have none.
#[must_use]
pub fn encode_trust_anchor(row: &AnchorRow) -> Vec<u8> {
    let AnchorRow { tenant, id: _, added, certificates: _ } = row;
    let Added { display_name, kind, certificates_der, directory_tenant_id, create_time, removed: _ } = added;
    let value = TrustAnchorValue {
        tenant: tenant.to_string(),
        display_name: display_name.clone(),
        kind: match kind {
            Kind::CorporateCa => 1,
            Kind::Spire => 2,
            Kind::Directory => 3,
            Kind::Tpm => 4,
        },
        certificates_der: certificates_der.clone(),
        directory_tenant_id: directory_tenant_id.clone(),
        create_micros: create_time.micros(),
    };
    value.encode_to_vec()
}

/// A trust anchor from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_trust_anchor(id: TrustAnchorId, value: &[u8]) -> Result<AnchorRow, String> {
    let TrustAnchorValue { tenant, display_name, kind, certificates_der, directory_tenant_id, create_micros } =
        TrustAnchorValue::decode(value).map_err(|error| error.to_string())?;
    let tenant = tenant.parse().map_err(|error: muster_types::name::InvalidTenant| error.to_string())?;
    let added = Added {
        display_name,
        kind: match kind {
            1 => Kind::CorporateCa,
            2 => Kind::Spire,
            3 => Kind::Directory,
            4 => Kind::Tpm,
            other => return Err(format!("not a kind of trust anchor: {other}")),
        },
        certificates_der,
        directory_tenant_id,
        create_time: Timestamp::from_micros(create_micros),
        removed: false,
    };
    Ok(AnchorRow::new(tenant, id, added))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_what_is_no_row_is_told() {
        let id = TrustAnchorId::from_uuid(uuid::Uuid::from_u128(7));
        assert_eq!(trust_anchor(&trust_anchor_key(id)), Some(id));
        assert!(decode_trust_anchor(id, &[0xff]).is_err());
        assert!(decode_trust_anchor(id, &[]).is_err());
    }
}
