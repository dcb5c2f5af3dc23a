//! The targets.

pub(crate) mod bundle;
pub(crate) mod chain;
pub(crate) mod csr;
pub(crate) mod envelope;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod filter;
mod managed;
pub(crate) mod mdatp;
pub(crate) mod report;
pub(crate) mod rule;
pub(crate) mod token;
#[cfg(feature = "tpm")]
pub(crate) mod tpm;
pub(crate) mod wdav;

use std::sync::LazyLock;
use std::time::Duration;

use muster_pki::{Authority, TrustDomain};
use muster_types::Timestamp;
use rcgen::KeyPair;

/// A moment at which what the seeds hold is valid.
const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// An authority to issue by and to believe.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    Authority::create(TrustDomain::local(), mk_key(1), NOW, NOW.plus(YEAR)).expect("an authority can be made")
});

/// A key whose signatures are the same in every process: seeds that one wrote are good in another.
fn mk_key(number: u8) -> KeyPair {
    // PKCS #8 of Ed25519 up to the seed (RFC 8410).
    let header = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [&header[..], &[number; 32]].concat();
    KeyPair::try_from(der).expect("a key of Ed25519")
}
