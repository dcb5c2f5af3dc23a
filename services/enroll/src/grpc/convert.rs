//! The contract's messages ↔ what commands and queries take and give.

pub(super) mod device;

use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_pki::{Csr, csr};
use muster_proto::convert::{moment, span, timestamp};
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::{HardwareKey, RegistrationProof};
use muster_runtime::request::numbered_page_token;
use muster_types::enrollment::UnknownEnrollmentCode;
use muster_types::{ResourceName, TenantId, TokenId};

use crate::commands::OnboardDevice;
use crate::domain::enrollment::{self, Outcome, TakenBack};
use crate::domain::facts::DeviceFacts;
use crate::domain::onboarding_token::{self, Issued, Terms};
use crate::domain::tenant_settings::{self, TenantSettings};
use crate::domain::trouble::{self, Trouble};
use crate::filter::InvalidFilter;
use crate::grpc::secret::Secret;
use crate::queries::{Interval, Rows};

/// Shortest time a token may work.
const TTL_MIN: Duration = Duration::from_secs(60);
/// Longest time a token may work.
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Longest time an offboarding order may be good.
const ORDER_TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long an offboarding order is good whose maker does not say.
const ORDER_TTL_DEFAULT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most settings in each list of a confirmed offboarding.
const SETTINGS_MAX: usize = 1_000;
/// Longest text in such a list, in bytes.
const SETTING_BYTES_MAX: usize = 512;
const DIGEST_BYTES: usize = 32;
/// How long a token works whose maker does not say.
const TTL_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most devices that one token may onboard.
const USES_MAX: u32 = 1_000_000;

/// A wish to onboard, as it came.
pub(super) struct Wish {
    pub(super) device: OnboardDevice,
    pub(super) csr_der: Vec<u8>,
    pub(super) hardware_keys: Vec<HardwareKey>,
    pub(super) proof: Option<RegistrationProof>,
}

/// Reads a wish to onboard. What costs least is looked at first: a signature is checked last.
pub(super) fn onboard(tenant: TenantId, request: pb::OnboardRequest) -> Result<Wish, Fault> {
    let pb::OnboardRequest { token, csr_der, facts, proof, troubles: told } = request;
    let (token, secret) = Secret::presented(token).ok_or(onboarding_token::Error::Unknown)?;
    let hardware_keys = facts.as_ref().map(|facts| facts.hardware_keys.clone()).unwrap_or_default();
    let facts = device_facts(facts)?;
    facts.check()?;
    let troubles = troubles(told)?;
    trouble::check(&troubles).map_err(enrollment::Error::from)?;
    let key_digest = signing_request(&csr_der)?.key_digest();
    let secret_hash = secret.hash();
    let device = OnboardDevice { tenant, device: None, token, secret_hash, key_digest, facts, troubles };
    Ok(Wish { device, csr_der, hardware_keys, proof })
}

pub(super) fn device_facts(facts: Option<pb::DeviceFacts>) -> Result<DeviceFacts, Fault> {
    let missing =
        || Fault::new(ErrorCode::FactsInvalid, "facts: must be set").with_field("facts", "must be set");
    Ok(facts.ok_or_else(missing)?.try_into()?)
}

/// What had kept a device from getting through.
pub(super) fn troubles(told: Vec<pb::Trouble>) -> Result<Vec<Trouble>, Fault> {
    let invalid = |at, problem: String| {
        let field = format!("troubles[{at}].code");
        Fault::new(ErrorCode::FactsInvalid, format!("{field}: {problem}")).with_field(field, problem)
    };
    let trouble = |(at, pb::Trouble { code, detail, first_time, last_time }): (usize, pb::Trouble)| {
        let code = code.parse().map_err(|error: UnknownEnrollmentCode| invalid(at, error.to_string()))?;
        Ok(Trouble { code, detail, first_time: first_time.map(moment), last_time: last_time.map(moment) })
    };
    told.into_iter().enumerate().map(trouble).collect()
}

/// What an offboarded device did with its settings. The digest of the order names the order, of which there is one.
pub(super) fn taken_back(request: pb::ConfirmOffboardingRequest) -> Result<TakenBack, Fault> {
    let pb::ConfirmOffboardingRequest { order_digest, reverted_settings, kept_settings, failed_settings } =
        request;
    if order_digest.len() != DIGEST_BYTES {
        return Err(Fault::invalid_field("order_digest", "must be a SHA-256 digest: 32 bytes"));
    }
    let lists = [
        ("reverted_settings", &reverted_settings),
        ("kept_settings", &kept_settings),
        ("failed_settings", &failed_settings),
    ];
    for (field, settings) in lists {
        if settings.len() > SETTINGS_MAX || settings.iter().any(|text| text.len() > SETTING_BYTES_MAX) {
            let problem =
                format!("must be at most {SETTINGS_MAX} texts of at most {SETTING_BYTES_MAX} bytes");
            return Err(Fault::invalid_field(field, problem));
        }
    }
    Ok(TakenBack { reverted: reverted_settings, kept: kept_settings, failed: failed_settings })
}

/// How long an offboarding order shall be good.
pub(super) fn order_ttl(ttl: Option<prost_types::Duration>) -> Result<Duration, Fault> {
    let ttl = ttl.map_or(ORDER_TTL_DEFAULT, span);
    if !(TTL_MIN..=ORDER_TTL_MAX).contains(&ttl) {
        return Err(Fault::invalid_field("ttl", "must be from 1 minute to 30 days"));
    }
    Ok(ttl)
}

/// Checks that a field names the enforcement scope of the tenant served.
pub(super) fn scope_name(served: TenantId, field: &str, name: &str) -> Result<(), Fault> {
    let expected = ResourceName::EnforcementScope(served).to_string();
    if name == expected { Ok(()) } else { Err(Fault::invalid_field(field, format!("expected {expected}"))) }
}

/// An order that cannot be understood.
pub(super) fn order(problem: String) -> Fault {
    Fault::new(ErrorCode::FilterInvalid, format!("order_by: {problem}")).with_field("order_by", problem)
}

impl From<InvalidFilter> for Fault {
    fn from(invalid: InvalidFilter) -> Self {
        let text = invalid.to_string();
        Self::new(ErrorCode::FilterInvalid, format!("filter: {text}"))
            .with("offset", invalid.offset)
            .with_field("filter", text)
    }
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

pub(super) fn authorities(rows: Rows<Interval>) -> pb::ListAuthorityIntervalsResponse {
    let Rows { rows, next } = rows;
    let interval = |interval| {
        let Interval { managed_by, start_time, end_time, code, actor, position } = interval;
        pb::AuthorityInterval {
            managed_by: pb::ManagedBy::from(managed_by).into(),
            start_time: Some(timestamp(start_time)),
            end_time: end_time.map(timestamp),
            enrollment_code: code.as_str().to_owned(),
            actor: actor.to_string(),
            position,
        }
    };
    pb::ListAuthorityIntervalsResponse {
        intervals: rows.into_iter().map(interval).collect(),
        next_page_token: numbered_page_token(next),
    }
}

/// An enforcement scope with what its tenant uses of it.
pub(super) fn scope(tenant: TenantId, settings: &TenantSettings, seats_used: u32) -> pb::EnforcementScope {
    let TenantSettings { scope, version, update_time } = settings;
    let message = pb::EnforcementScope::from(scope);
    pb::EnforcementScope {
        name: ResourceName::EnforcementScope(tenant).to_string(),
        entitlement: message.entitlement.map(|entitlement| pb::Entitlement { seats_used, ..entitlement }),
        update_time: update_time.map(timestamp),
        etag: tenant_settings::etag(*version),
        ..message
    }
}

pub(super) fn tokens(rows: Rows<pb::OnboardingToken>) -> pb::ListOnboardingTokensResponse {
    let Rows { rows, next } = rows;
    pb::ListOnboardingTokensResponse { onboarding_tokens: rows, next_page_token: numbered_page_token(next) }
}

pub(super) const fn status(outcome: Outcome) -> pb::EnrollmentStatus {
    match outcome {
        Outcome::Pending => pb::EnrollmentStatus::Pending,
        Outcome::Succeeded => pb::EnrollmentStatus::Succeeded,
        Outcome::Refused => pb::EnrollmentStatus::Refused,
        Outcome::Offboarding => pb::EnrollmentStatus::Offboarding,
        Outcome::Offboarded => pb::EnrollmentStatus::Offboarded,
        Outcome::Deleted => pb::EnrollmentStatus::Deleted,
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
