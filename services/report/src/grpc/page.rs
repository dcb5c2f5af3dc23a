//! Page tokens of a policy's devices: the ordinal that a page ended with, bound to the policy and the filter.

use muster_errors::Fault;
use muster_proto::report::v1::PolicyDeviceFilter;
use muster_runtime::request::{self, Page};
use muster_types::PolicyId;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

const FINGERPRINT_BYTES: usize = 8;
pub(super) type Fingerprint = [u8; FINGERPRINT_BYTES];

/// What a page was of.
pub(super) fn fingerprint(policy: PolicyId, filter: &PolicyDeviceFilter) -> Fingerprint {
    let digest =
        Sha256::new().chain_update(policy.as_bytes()).chain_update(filter.encode_to_vec()).finalize();
    std::array::from_fn(|at| digest[at])
}

/// Which page is asked for.
///
/// # Errors
/// `ARGUMENT_INVALID` for a token that no list gave, or one of another policy or filter.
pub(super) fn page(size: i32, token: &str, of: &Fingerprint) -> Result<Page<u32>, Fault> {
    let Page { rows, mark } = request::page(size, token, read)?;
    match mark {
        Some((found, _)) if found != *of => {
            let other = "the policy and the filter must be the same as for the page before";
            Err(Fault::invalid_field("page_token", other))
        }
        mark => Ok(Page { rows, mark: mark.map(|(_, ordinal)| ordinal) }),
    }
}

/// The token of the next page; empty when there is none.
pub(super) fn token(next: Option<u32>, of: &Fingerprint) -> String {
    request::page_token(next.map(|ordinal| [&of[..], &ordinal.to_be_bytes()].concat()))
}

fn read(bytes: &[u8]) -> Option<(Fingerprint, u32)> {
    let (of, ordinal) = bytes.split_first_chunk()?;
    Some((*of, u32::from_be_bytes(ordinal.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_policy_and_filter_only() {
        let (one, other) = (PolicyId::from_uuid(Uuid::from_u128(1)), PolicyId::from_uuid(Uuid::from_u128(2)));
        let stale = PolicyDeviceFilter { stale: Some(true), ..PolicyDeviceFilter::default() };
        let of = fingerprint(one, &stale);
        let given = token(Some(7), &of);
        assert_eq!(page(5, &given, &of), Ok(Page { rows: 5, mark: Some(7) }));
        assert!(page(5, &given, &fingerprint(other, &stale)).is_err());
        assert!(page(5, &given, &fingerprint(one, &PolicyDeviceFilter::default())).is_err());
        assert!(page(5, "noise", &of).is_err());
        assert_eq!(token(None, &of), "");
    }
}
