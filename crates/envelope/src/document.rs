//! Signed policies.

use std::sync::Arc;

use muster_errors::ErrorCode;
use muster_proto::convert::{self, Malformed, required};
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, Digest, SettingId, SettingValue, TenantId, Timestamp, WithheldReason, setting};
use prost::Message as _;

use crate::dsse::signed;
use crate::{Expected, POLICY_PAYLOAD_TYPE, Refusal, Trust};

/// Most settings of one policy, and most that are withheld.
pub const SETTINGS_MAX: usize = 10_000;

/// A policy that a trusted key signed and that is sound in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The tenant it names.
    pub tenant: TenantId,
    /// The device it names.
    pub device: DeviceId,
    /// Names what is set and what is withheld; belongs to both.
    pub etag: Digest,
    /// Never goes down for a device.
    pub version: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// From when on it must not be taken any more.
    pub expires_at: Timestamp,
    /// What to set, sorted by id, each once.
    pub settings: Vec<(SettingId, SettingValue)>,
    /// What policies carry and the device does not get, sorted by id, each once.
    pub withheld: Vec<(SettingId, WithheldReason)>,
    /// Names the trusted key that signed it; of several, the first.
    pub key_id: String,
    /// The envelope it came in, encoded.
    pub signed: Arc<[u8]>,
}

impl Document {
    /// Reads a policy that a trusted key signed.
    ///
    /// # Errors
    /// [`Refusal`] with `POLICY_UNSIGNED` or `POLICY_MALFORMED`.
    pub fn open(envelope: &pb::SignedPolicy, trust: &Trust) -> Result<Self, Refusal> {
        let (payload, key_id) = signed(envelope, POLICY_PAYLOAD_TYPE, trust)?;
        let document = pb::PolicyDocument::decode(payload)
            .map_err(|error| Refusal::malformed(format!("the policy cannot be read: {error}")))?;
        let etag = <Digest>::try_from(&*document.etag).ok();
        let read = read(document, key_id.to_owned(), envelope).map_err(Refusal::from);
        let sound = read.and_then(|document| document.is_whole().map(|()| document));
        sound.map_err(|refusal| Refusal { etag, ..refusal })
    }

    /// The etag belongs to what the policy says.
    fn is_whole(&self) -> Result<(), Refusal> {
        let settings = self.settings.iter().map(|(id, value)| (id, value));
        let withheld = self.withheld.iter().map(|(id, reason)| (id, *reason));
        if setting::etag_of_result(settings, withheld) == self.etag {
            return Ok(());
        }
        Err(Refusal::malformed("its etag does not belong to its settings"))
    }

    /// Whether a device may obey it.
    ///
    /// # Errors
    /// [`Refusal`] with `POLICY_WRONG_DEVICE`, `POLICY_NOT_YET_VALID`, `POLICY_EXPIRED` or `POLICY_ROLLED_BACK`.
    pub fn check(&self, expected: &Expected) -> Result<(), Refusal> {
        let Expected { tenant, device, last, now, skew } = *expected;
        let refuse = |code, message: String| Err(Refusal { code, message, etag: Some(self.etag) });
        if (self.tenant, self.device) != (tenant, device) {
            let message = format!(
                "it names device {} of tenant {}, and this is {device} of {tenant}",
                self.device, self.tenant
            );
            return refuse(ErrorCode::PolicyWrongDevice, message);
        }
        if self.issued_at > now.plus(skew) {
            let message = format!("it was signed at {}, and now it is {now}", self.issued_at);
            return refuse(ErrorCode::PolicyNotYetValid, message);
        }
        if self.expires_at <= now {
            return refuse(ErrorCode::PolicyExpired, format!("it expired at {}", self.expires_at));
        }
        let rolled_back = |(version, etag): (u64, Digest)| {
            self.version < version || (self.version == version && self.etag != etag)
        };
        if let Some((version, _)) = last.filter(|last| rolled_back(*last)) {
            let message = format!("its version is {}, and version {version} came before", self.version);
            return refuse(ErrorCode::PolicyRolledBack, message);
        }
        Ok(())
    }
}

fn read(
    document: pb::PolicyDocument,
    key_id: String,
    envelope: &pb::SignedPolicy,
) -> Result<Document, Malformed> {
    let pb::PolicyDocument { tenant, device_id, etag, version, issue_time, expire_time, settings, withheld } =
        document;
    Ok(Document {
        tenant: tenant_of(&tenant)?,
        device: device_of(&device_id)?,
        etag: etag.try_into().map_err(|_| Malformed::new("etag", "must be 32 bytes"))?,
        version,
        issued_at: convert::moment(required(issue_time, "issue_time")?),
        expires_at: convert::moment(required(expire_time, "expire_time")?),
        settings: sorted("settings", settings, TryInto::try_into)?,
        withheld: sorted("withheld", withheld, withheld_setting)?,
        key_id,
        signed: envelope.encode_to_vec().into(),
    })
}

/// Converts a list that must be sorted by id, each once.
fn sorted<M, T>(
    field: &str,
    messages: Vec<M>,
    convert: impl Fn(M) -> Result<(SettingId, T), Malformed>,
) -> Result<Vec<(SettingId, T)>, Malformed> {
    if messages.len() > SETTINGS_MAX {
        return Err(Malformed::new(field, format!("holds more than {SETTINGS_MAX}")));
    }
    let converted = messages.into_iter().enumerate().map(|(place, message)| {
        convert(message).map_err(|malformed| malformed.within(&format!("{field}[{place}]")))
    });
    let converted: Vec<_> = converted.collect::<Result<_, _>>()?;
    if !converted.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(Malformed::new(field, "must be sorted by id, each once"));
    }
    Ok(converted)
}

fn withheld_setting(withheld: pb::Withheld) -> Result<(SettingId, WithheldReason), Malformed> {
    let known = withheld.reason();
    let pb::Withheld { id, reason } = withheld;
    if i32::from(known) != reason {
        return Err(Malformed::new("reason", format!("{reason} is none that is known here")));
    }
    let reason = WithheldReason::try_from(known)?;
    if !reason.is_told() {
        return Err(Malformed::new("reason", "devices are not told of settings of other platforms"));
    }
    Ok((setting_id("id", &id)?, reason))
}

pub(crate) fn setting_id(field: &str, id: &str) -> Result<SettingId, Malformed> {
    let invalid = |error: setting::InvalidSettingId| Malformed::new(field, error.to_string());
    id.parse().map_err(invalid)
}

pub(crate) fn tenant_of(tenant: &str) -> Result<TenantId, Malformed> {
    tenant.parse().map_err(|e: muster_types::name::InvalidTenant| Malformed::new("tenant", e.to_string()))
}

pub(crate) fn device_of(device_id: &[u8]) -> Result<DeviceId, Malformed> {
    DeviceId::from_slice(device_id).map_err(|e| Malformed::new("device_id", e.to_string()))
}
