//! The contract's messages ↔ what commands and queries take and give.

use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_pki::{Csr, csr};
use muster_proto::convert::{span, timestamp};
use muster_proto::enroll::v1 as pb;
use muster_runtime::request::numbered_page_token;
use muster_types::{ResourceName, TenantId, TokenId};
use prost::Message as _;

use crate::commands::OnboardDevice;
use crate::domain::enrollment::Outcome;
use crate::domain::facts::DeviceFacts;
use crate::domain::onboarding_token::{self, Issued, Terms};
use crate::grpc::secret::Secret;
use crate::projection::devices::Device;
use crate::queries::Rows;

/// Shortest time a token may work.
const TTL_MIN: Duration = Duration::from_secs(60);
/// Longest time a token may work.
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long a token works whose maker does not say.
const TTL_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most devices that one token may onboard.
const USES_MAX: u32 = 1_000_000;

/// A request to onboard, and its certificate signing request as it came.
pub(super) fn onboard(
    tenant: TenantId,
    request: pb::OnboardRequest,
) -> Result<(OnboardDevice, Vec<u8>), Fault> {
    let pb::OnboardRequest { token, csr_der, facts, proof: _, troubles: _ } = request;
    let (token, secret) = Secret::presented(token).ok_or(onboarding_token::Error::Unknown)?;
    let facts = device_facts(facts)?;
    let key_digest = signing_request(&csr_der)?.key_digest();
    Ok((OnboardDevice { tenant, token, secret_hash: secret.hash(), key_digest, facts }, csr_der))
}

pub(super) fn device_facts(facts: Option<pb::DeviceFacts>) -> Result<DeviceFacts, Fault> {
    let missing =
        || Fault::new(ErrorCode::FactsInvalid, "facts: must be set").with_field("facts", "must be set");
    Ok(facts.ok_or_else(missing)?.try_into()?)
}

fn signing_request(der: &[u8]) -> Result<Csr, Fault> {
    csr::parse(der).map_err(|error| {
        let message = error.to_string();
        Fault::new(ErrorCode::CsrMalformed, message.clone()).with_field("csr_der", message)
    })
}

/// How long a token shall work.
pub(super) fn ttl(ttl: Option<prost_types::Duration>) -> Result<Duration, Fault> {
    let ttl = ttl.map_or(TTL_DEFAULT, span);
    if !(TTL_MIN..=TTL_MAX).contains(&ttl) {
        return Err(Fault::invalid_field("ttl", "must be from 1 minute to 365 days"));
    }
    Ok(ttl)
}

/// How many devices a token shall onboard.
pub(super) fn uses_max(uses_max: u32) -> Result<u32, Fault> {
    match uses_max {
        0 => Ok(1),
        1..=USES_MAX => Ok(uses_max),
        _ => Err(Fault::invalid_field("uses_max", format!("must be from 1 to {USES_MAX}"))),
    }
}

pub(super) fn devices(Rows { rows, next }: Rows<Device>) -> Result<pb::ListDevicesResponse, Fault> {
    Ok(pb::ListDevicesResponse {
        devices: rows.into_iter().map(device).collect::<Result<_, _>>()?,
        next_page_token: numbered_page_token(next),
        total_size: None,
    })
}

pub(super) fn tokens(rows: Rows<pb::OnboardingToken>) -> pb::ListOnboardingTokensResponse {
    let Rows { rows, next } = rows;
    pb::ListOnboardingTokensResponse { onboarding_tokens: rows, next_page_token: numbered_page_token(next) }
}

pub(super) fn device(device: Device) -> Result<pb::Device, Fault> {
    let Device {
        tenant,
        id,
        facts,
        facts_digest,
        key_digest: _,
        managed_by,
        outcome,
        reason,
        spiffe_id,
        onboard_time,
        facts_change_time,
    } = device;
    let facts = pb::DeviceFacts::decode(&*facts)
        .map_err(|_| Fault::new(ErrorCode::Internal, format!("the facts of device {id} are damaged")))?;
    Ok(pb::Device {
        name: ResourceName::Device(tenant, id).to_string(),
        facts: Some(facts),
        managed_by: managed_by.map_or(pb::ManagedBy::Unspecified, Into::into).into(),
        enrollment_status: status(outcome).into(),
        enrollment_code: reason.into(),
        spiffe_id: spiffe_id.into(),
        onboard_time: Some(timestamp(onboard_time)),
        facts_change_time: Some(timestamp(facts_change_time)),
        facts_digest: facts_digest.to_vec(),
        ..Default::default()
    })
}

pub(super) const fn status(outcome: Outcome) -> pb::EnrollmentStatus {
    match outcome {
        Outcome::Pending => pb::EnrollmentStatus::Pending,
        Outcome::Succeeded => pb::EnrollmentStatus::Succeeded,
        Outcome::Refused => pb::EnrollmentStatus::Refused,
    }
}

pub(super) fn token(tenant: TenantId, id: TokenId, issued: &Issued) -> pb::OnboardingToken {
    let Issued { secret_hash: _, create_time, expire_time, terms, uses, last_use_time, revoke_time } = issued;
    let Terms { uses_max, tags, platforms, display_name } = terms;
    pb::OnboardingToken {
        name: ResourceName::OnboardingToken(tenant, id).to_string(),
        create_time: Some(timestamp(*create_time)),
        expire_time: Some(timestamp(*expire_time)),
        uses_max: *uses_max,
        uses: *uses,
        revoke_time: revoke_time.map(timestamp),
        last_use_time: last_use_time.map(timestamp),
        tags: tags.iter().map(ToString::to_string).collect(),
        platforms: platforms.iter().map(|it| pb::Platform::from(*it).into()).collect(),
        display_name: display_name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_for_a_minute_to_a_year() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        assert_eq!(ttl(None), Ok(TTL_DEFAULT));
        assert_eq!(ttl(seconds(60)), Ok(TTL_MIN));
        assert!(ttl(seconds(59)).is_err());
        assert!(ttl(seconds(-5)).is_err());
        assert!(ttl(seconds(366 * 24 * 60 * 60)).is_err());
        assert!(uses_max(USES_MAX + 1).is_err());
    }
}
