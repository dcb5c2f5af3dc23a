//! Page tokens of the inventory: where a page ended, bound to the filter and the order that it was a page of.

use muster_errors::Fault;
use muster_runtime::request::{self, Page};
use sha2::{Digest as _, Sha256};

use crate::queries::Mark;

const FINGERPRINT_BYTES: usize = 8;
type Fingerprint = [u8; FINGERPRINT_BYTES];

/// What a page was of.
pub(super) fn fingerprint(filter: &str, order_by: &str) -> Fingerprint {
    let digest = Sha256::new().chain_update(filter).chain_update([0]).chain_update(order_by).finalize();
    std::array::from_fn(|at| digest[at])
}

/// Which page is asked for.
///
/// # Errors
/// `ARGUMENT_INVALID` for a token that no list gave, or one of another filter or order.
pub(super) fn page(size: i32, token: &str, of: &Fingerprint) -> Result<Page<Mark>, Fault> {
    let Page { rows, mark } = request::page(size, token, read)?;
    let mark = match mark {
        Some((found, _)) if found != *of => {
            let other = "the filter and the order must be the same as for the page before";
            return Err(Fault::invalid_field("page_token", other));
        }
        mark => mark.map(|(_, mark)| mark),
    };
    Ok(Page { rows, mark })
}

/// The token of the next page; empty when there is none.
pub(super) fn token(next: Option<Mark>, of: &Fingerprint) -> String {
    request::page_token(next.map(|Mark { key, number }| [&of[..], &number.to_be_bytes(), &key].concat()))
}

fn read(bytes: &[u8]) -> Option<(Fingerprint, Mark)> {
    let (of, rest) = bytes.split_first_chunk()?;
    let (number, key) = rest.split_first_chunk()?;
    Some((*of, Mark { key: key.to_vec(), number: u32::from_be_bytes(*number) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_filter_and_order_only() {
        let of = fingerprint("platform = LINUX", "hostname");
        let mark = Mark { key: b"web-1".to_vec(), number: 7 };
        let token = token(Some(mark.clone()), &of);
        assert_eq!(page(5, &token, &of), Ok(Page { rows: 5, mark: Some(mark) }));
        assert!(page(5, &token, &fingerprint("platform = LINUX", "")).is_err());
        assert!(page(5, "noise", &of).is_err());
        assert_ne!(fingerprint("a", "b"), fingerprint("ab", ""));
    }
}
