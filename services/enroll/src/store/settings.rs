//! A tenant's settings as a row.

use muster_proto::enroll::v1 as pb;
use muster_types::Timestamp;
use prost::Message;

use super::text;
use crate::domain::scope::Scope;
use crate::domain::tenant_settings::TenantSettings;
use crate::wire::scope_over;

#[derive(Clone, PartialEq, Message)]
struct SettingsRow {
    #[prost(message, optional, tag = "1")]
    scope: Option<pb::EnforcementScope>,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(sint64, optional, tag = "3")]
    update_micros: Option<i64>,
}

/// A tenant's settings as a row.
#[must_use]
pub fn encode_settings(settings: &TenantSettings) -> Vec<u8> {
    let TenantSettings { scope, version, update_time } = settings;
    let row = SettingsRow {
        scope: Some(scope.into()),
        version: *version,
        update_micros: update_time.map(Timestamp::micros),
    };
    row.encode_to_vec()
}

/// A tenant's settings from their row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_settings(value: &[u8]) -> Result<TenantSettings, String> {
    let SettingsRow { scope, version, update_micros } = SettingsRow::decode(value).map_err(text)?;
    Ok(TenantSettings {
        scope: scope_over(&Scope::default(), scope.unwrap_or_default()).map_err(text)?,
        version,
        update_time: update_micros.map(Timestamp::from_micros),
    })
}
