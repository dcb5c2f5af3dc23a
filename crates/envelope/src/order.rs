//! Signed orders to leave management.

use muster_errors::ErrorCode;
use muster_proto::convert::{self, Malformed, required};
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, Digest, SettingId, TenantId, Timestamp};
use prost::Message as _;

use crate::document::{SETTINGS_MAX, device_of, setting_id, tenant_of};
use crate::dsse::{sha256, signed};
use crate::{Expected, ORDER_PAYLOAD_TYPE, Refusal, Trust};

/// An order to leave management that a trusted key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The tenant it names.
    pub tenant: TenantId,
    /// The device it names.
    pub device: DeviceId,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// From when on it must not be obeyed any more.
    pub expires_at: Timestamp,
    /// Settings that stay as they are.
    pub kept: Vec<SettingId>,
    /// SHA-256 of its payload: names it.
    pub digest: Digest,
    /// Names the trusted key that signed it; of several, the first.
    pub key_id: String,
}

impl Order {
    /// Reads an order that a trusted key signed.
    ///
    /// # Errors
    /// [`Refusal`] with `ORDER_REFUSED`.
    pub fn open(envelope: &pb::SignedPolicy, trust: &Trust) -> Result<Self, Refusal> {
        let (payload, key_id) =
            signed(envelope, ORDER_PAYLOAD_TYPE, trust).map_err(|refusal| refused(&refusal.message))?;
        let order = pb::OffboardingOrder::decode(payload).map_err(|error| refused(&error.to_string()))?;
        read(order, payload, key_id).map_err(|error| refused(&error.to_string()))
    }

    /// Whether a device may obey it.
    ///
    /// # Errors
    /// [`Refusal`] with `ORDER_REFUSED`.
    pub fn check(&self, expected: &Expected) -> Result<(), Refusal> {
        let Expected { tenant, device, last: _, now, skew } = *expected;
        if (self.tenant, self.device) != (tenant, device) {
            return Err(refused(&format!("it names device {} of tenant {}", self.device, self.tenant)));
        }
        if self.issued_at > now.plus(skew) {
            return Err(refused(&format!("it was signed at {}, and now it is {now}", self.issued_at)));
        }
        if self.expires_at <= now {
            return Err(refused(&format!("it expired at {}", self.expires_at)));
        }
        Ok(())
    }
}

fn refused(problem: &str) -> Refusal {
    Refusal::new(ErrorCode::OrderRefused, format!("the offboarding order: {problem}"))
}

fn read(order: pb::OffboardingOrder, payload: &[u8], key_id: &str) -> Result<Order, Malformed> {
    let pb::OffboardingOrder { tenant, device_id, issue_time, expire_time, kept_settings } = order;
    if kept_settings.len() > SETTINGS_MAX {
        return Err(Malformed::new("kept_settings", format!("holds more than {SETTINGS_MAX}")));
    }
    Ok(Order {
        tenant: tenant_of(&tenant)?,
        device: device_of(&device_id)?,
        issued_at: convert::moment(required(issue_time, "issue_time")?),
        expires_at: convert::moment(required(expire_time, "expire_time")?),
        kept: kept_settings.iter().map(|id| setting_id("kept_settings", id)).collect::<Result<_, _>>()?,
        digest: sha256(payload),
        key_id: key_id.to_owned(),
    })
}
