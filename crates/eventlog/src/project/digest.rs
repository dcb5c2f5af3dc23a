//! What a view's rows add up to, and the proof that the log gives the same again.

use std::fmt;

use muster_types::{Positions, Service};
use sha2::{Digest as _, Sha256};

use super::{Dirty, FoldError, Projected, Source, View};
use crate::chain::ChainVerifier;
use crate::log::SharedLog;
use crate::{Delivery, ReadError};

/// The sum of the hashes of all rows of a view. Two views with the same rows have the same, in whatever order
/// the rows came to be; a change of a row changes it by the difference of two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewDigest(u128);

impl ViewDigest {
    /// Of no rows.
    pub const EMPTY: Self = Self(0);

    /// Of all rows of a view.
    #[must_use]
    pub fn of<V: View>(view: &V) -> Self {
        let mut digest = Self::EMPTY;
        view.row_keys(&mut |key| {
            if let Some(value) = view.encode_row(key) {
                digest.add(key, &value);
            }
        });
        digest
    }

    /// Takes a row in.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(row(key, value));
    }

    /// Takes a row out that was in.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(row(key, value));
    }

    /// The digest as stored.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// A stored digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for ViewDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The first 128 bits of SHA-256 over key, length of the value, and value. The length of the key comes first, so that no
/// byte can move from one to the other.
fn row(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update((value.len() as u64).to_be_bytes());
    hasher.update(value);
    hasher.finalize()[..16].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

/// What a verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Of the view's rows.
    pub live: ViewDigest,
    /// Of the rows that the log gives when it is folded from the beginning.
    pub rebuilt: ViewDigest,
    /// Where both are.
    pub positions: Positions,
}

impl Verified {
    /// Whether the view is what the log says.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.live == self.rebuilt
    }
}

/// The log could not be folded from the beginning.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// It ends before the position.
    #[error("the {service} log ends at {head}, before position {wanted}")]
    Short {
        /// Whose part.
        service: Service,
        /// Where it ends.
        head: u64,
        /// Up to where it should be folded.
        wanted: u64,
    },
}

/// Compares a live view with what the log gives from the beginning up to the same positions.
///
/// # Errors
/// [`VerifyError`] when the log could not be folded.
pub async fn verify<V: View>(
    log: &SharedLog,
    live: &Projected<V>,
    fresh: V,
) -> Result<Verified, VerifyError> {
    let (live, positions) = live.digest();
    let rebuilt = ViewDigest::of(&rebuild(log, fresh, &positions).await?);
    Ok(Verified { live, rebuilt, positions })
}

/// Folds the log from the beginning up to the given positions, one source after the other. Waits for a log that cannot
/// be reached.
///
/// # Errors
/// [`VerifyError`] when the log could not be folded.
pub async fn rebuild<V: View>(log: &SharedLog, fresh: V, until: &Positions) -> Result<V, VerifyError> {
    let mut view = fresh;
    let mut folded = Positions::ZERO;
    for &service in V::SOURCES {
        let wanted = until.get(service);
        let mut source = Source::new(log.clone(), service, 0, V::NAME);
        let mut chain = ChainVerifier::new(service, false);
        while folded.get(service) < wanted {
            // Nothing is written behind, so nothing need be remembered as dirty.
            let mut dirty = Dirty::everything();
            match source.next().await? {
                Delivery::Events(events) => {
                    for event in &events {
                        if (folded.get(service) + 1..=wanted).contains(&event.position) {
                            chain.check(event)?;
                            view.apply(event, &mut dirty)?;
                            folded.advance(service, event.position);
                        }
                    }
                    let last = events.last().map_or(0, |last| last.position);
                    folded.advance(service, last.min(wanted));
                    view.settle(&folded, &mut dirty);
                }
                Delivery::CaughtUp(head) if head < wanted => {
                    return Err(VerifyError::Short { service, head, wanted });
                }
                Delivery::CaughtUp(_) => folded.advance(service, wanted),
            }
            tokio::task::yield_now().await;
        }
    }
    view.settle(until, &mut Dirty::everything());
    Ok(view)
}
