//! What requests of every service have in common: names of resources, ids of requests, pages of lists.
//!
//! A fault names the field that is wrong, which is why readers of names take the field they read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_errors::Fault;
use muster_types::id::InvalidId;
use muster_types::name::InvalidResourceName;
use muster_types::{
    DeviceId, DirectoryDeviceId, GroupId, PolicyId, RequestId, ResourceName, TenantId, TokenId,
    TrustAnchorId, WaiverId,
};

/// Most rows of a page.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Rows of a page whose reader does not say.
pub const PAGE_ROWS_DEFAULT: usize = 100;

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<M> {
    /// How many rows, 1 to [`PAGE_ROWS_MAX`].
    pub rows: usize,
    /// What the page before ended with; none on the first page.
    pub mark: Option<M>,
}

/// The request's id, from its field `request_id`; a new one when it brings none.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is no UUID.
pub fn id(text: &str) -> Result<RequestId, Fault> {
    if text.is_empty() {
        return Ok(RequestId::generate());
    }
    text.parse().map_err(|error: InvalidId| Fault::invalid_field("request_id", error.to_string()))
}

/// The tenant that a list or a new resource is of, from the field `parent`; there is one on this server.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of the tenant served.
pub fn parent(served: TenantId, text: &str) -> Result<TenantId, Fault> {
    let ResourceName::Tenant(tenant) = name(served, "parent", text)? else {
        return Err(Fault::invalid_field("parent", "expected tenants/{tenant}"));
    };
    Ok(tenant)
}

/// The device that a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of a device of the tenant served.
pub fn device(served: TenantId, field: &str, text: &str) -> Result<DeviceId, Fault> {
    let ResourceName::Device(_, device) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/devices/{device}"));
    };
    Ok(device)
}

/// The group that a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of a group of the tenant served.
pub fn group(served: TenantId, field: &str, text: &str) -> Result<GroupId, Fault> {
    let ResourceName::Group(_, group) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/groups/{group}"));
    };
    Ok(group)
}

/// The policy that a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of a policy of the tenant served.
pub fn policy(served: TenantId, field: &str, text: &str) -> Result<PolicyId, Fault> {
    let ResourceName::Policy(_, policy) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/policies/{policy}"));
    };
    Ok(policy)
}

/// The waiver that a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of a waiver of the tenant served.
pub fn waiver(served: TenantId, field: &str, text: &str) -> Result<WaiverId, Fault> {
    let ResourceName::Waiver(_, waiver) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/waivers/{waiver}"));
    };
    Ok(waiver)
}

/// The onboarding token that a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of an onboarding token of the tenant served.
pub fn onboarding_token(served: TenantId, field: &str, text: &str) -> Result<TokenId, Fault> {
    let ResourceName::OnboardingToken(_, token) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/onboardingTokens/{token}"));
    };
    Ok(token)
}

/// The device whose registration a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of a registration of the tenant served.
pub fn registration(served: TenantId, field: &str, text: &str) -> Result<DeviceId, Fault> {
    let ResourceName::Registration(_, device) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/registrations/{device}"));
    };
    Ok(device)
}

/// The trust anchor that a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of a trust anchor of the tenant served.
pub fn trust_anchor(served: TenantId, field: &str, text: &str) -> Result<TrustAnchorId, Fault> {
    let ResourceName::TrustAnchor(_, anchor) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/trustAnchors/{anchor}"));
    };
    Ok(anchor)
}

/// The directory device that a field names.
///
/// # Errors
/// `ARGUMENT_INVALID` when it is not the name of a directory device of the tenant served.
pub fn directory_device(served: TenantId, field: &str, text: &str) -> Result<DirectoryDeviceId, Fault> {
    let ResourceName::DirectoryDevice(_, device) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/directoryDevices/{id}"));
    };
    Ok(device)
}

fn name(served: TenantId, field: &str, text: &str) -> Result<ResourceName, Fault> {
    let wrong = |error: InvalidResourceName| Fault::invalid_field(field, error.to_string());
    let name: ResourceName = text.parse().map_err(wrong)?;
    if name.tenant() != served {
        return Err(Fault::invalid_field(field, format!("this server serves the tenant {served}")));
    }
    Ok(name)
}

/// Which page of a list is asked for; `read` reads the mark in a token, none when the list never gave it.
///
/// # Errors
/// `ARGUMENT_INVALID` for a negative size and for a token that no list gave.
pub fn page<M>(size: i32, token: &str, read: impl FnOnce(&[u8]) -> Option<M>) -> Result<Page<M>, Fault> {
    let rows = match usize::try_from(size) {
        Ok(0) => PAGE_ROWS_DEFAULT,
        Ok(rows) => rows.min(PAGE_ROWS_MAX),
        Err(_) => return Err(Fault::invalid_field("page_size", "must not be negative")),
    };
    if token.is_empty() {
        return Ok(Page { rows, mark: None });
    }
    let mark = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| read(&bytes));
    let mark = mark.ok_or_else(|| Fault::invalid_field("page_token", "not a token that a list gave"))?;
    Ok(Page { rows, mark: Some(mark) })
}

/// [`page`] of a list whose marks are numbers.
///
/// # Errors
/// Those of [`page`].
pub fn numbered_page(size: i32, token: &str) -> Result<Page<u32>, Fault> {
    page(size, token, |bytes| bytes.try_into().ok().map(u32::from_be_bytes))
}

/// The token of the next page, from what this one ended with; empty when it is the last.
#[must_use]
pub fn page_token(next: Option<impl AsRef<[u8]>>) -> String {
    next.map(|mark| URL_SAFE_NO_PAD.encode(mark)).unwrap_or_default()
}

/// [`page_token`] of a list whose marks are numbers.
#[must_use]
pub fn numbered_page_token(next: Option<u32>) -> String {
    page_token(next.map(u32::to_be_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens_round_trip_and_noise_is_refused() {
        let token = numbered_page_token(Some(7));
        assert_eq!(numbered_page(0, &token), Ok(Page { rows: PAGE_ROWS_DEFAULT, mark: Some(7) }));
        assert_eq!(numbered_page(5_000, ""), Ok(Page { rows: PAGE_ROWS_MAX, mark: None }));
        assert_eq!(numbered_page_token(None), "");
        assert!(numbered_page(0, "noise").is_err());
        assert!(numbered_page(-1, "").is_err());
    }

    #[test]
    fn names_of_another_tenant_or_kind_are_refused_by_the_field_they_stand_in() {
        assert_eq!(parent(TenantId::DEFAULT, "tenants/default"), Ok(TenantId::DEFAULT));
        assert!(parent(TenantId::DEFAULT, "tenants/other").is_err());
        let fault = device(TenantId::DEFAULT, "add_devices[1]", "tenants/default").unwrap_err();
        assert_eq!(fault.fields[0].field, "add_devices[1]");
    }

    #[test]
    fn a_request_keeps_its_id_and_gets_one_when_it_brings_none() {
        let given = RequestId::generate();
        assert_eq!(id(&given.to_string()), Ok(given));
        assert_ne!(id("").unwrap(), id("").unwrap());
        assert!(id("noise").is_err());
    }
}
