//! The proof that a view holds what the log gives.
//!
//! The live view moves on meanwhile. Its rows are added up while it is held, with the positions they are of, and a fresh
//! view is folded from the beginning exactly up to there: both are at one position without waiting for each other.

use std::fmt;

use muster_types::{Positions, Service};
use rustc_hash::FxHashMap;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::digest::each_row;
use super::{Dirty, FoldError, Projected, Source, View, ViewDigest};
use crate::chain::ChainVerifier;
use crate::log::SharedLog;
use crate::{Delivery, Envelope, ReadError};

/// Events folded between two words on how far a rebuild is.
pub const TOLD_EVERY: u64 = 100_000;
/// Most rows that a verification names.
pub const NAMED_MAX: usize = 10;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Where both are.
    pub positions: Positions,
    /// Rows of the live view.
    pub rows: u64,
    /// Of the live view's rows.
    pub live: ViewDigest,
    /// Rows that the log gives when it is folded from the beginning.
    pub rebuilt_rows: u64,
    /// Of those rows.
    pub rebuilt: ViewDigest,
    /// Events folded.
    pub events: u64,
    /// Rows that are not what the log gives.
    pub differing: u64,
    /// The first of them, by key.
    pub named: Vec<Difference>,
}

impl Verified {
    /// Whether the view is what the log says.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.live == self.rebuilt
    }
}

/// A row that is not what the log gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Its key.
    pub key: Vec<u8>,
    /// How it differs.
    pub how: How,
}

/// How a row of the live view differs from what the log gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is missing.
    Missing,
    /// The log gives no such row.
    Extra,
    /// It has another value.
    Other,
}

/// The key, as text where it is text, as a UUID where it ends with one, otherwise as hexadecimal digits; then what is wrong.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        match &self.key[..] {
            text if !text.is_empty() && text.iter().all(u8::is_ascii_graphic) => {
                text.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))?;
            }
            [kind @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] if kind.len() < 2 => {
                hex(f, kind)?;
                let id = Uuid::from_slice(&self.key[kind.len()..]).unwrap_or_default();
                write!(f, "{}{id}", if kind.is_empty() { "" } else { ":" })?;
            }
            bytes => hex(f, bytes)?,
        }
        f.write_str(match self.how {
            How::Missing => " is missing",
            How::Extra => " is not in the log",
            How::Other => " has another value",
        })
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
    /// The live view is not folded any more.
    #[error("the view stopped at {positions}: {reason}")]
    Stopped {
        /// Where.
        positions: Positions,
        /// Why.
        reason: String,
    },
    /// Adding rows up panicked.
    #[error("the rows cannot be added up: {0}")]
    Rows(String),
}

/// Compares a live view with what the log gives from the beginning up to the same positions. `told` hears how many events
/// are folded, every [`TOLD_EVERY`].
///
/// Takes the memory of one more view while it runs, and about 40 bytes for each stream of the logs that the view folds.
/// Folding of the live view waits while its rows are added up: about a second for a million rows. Safe to drop.
///
/// # Errors
/// [`VerifyError`] when the log could not be folded.
pub async fn verify<V: View>(
    log: &SharedLog,
    live: &Projected<V>,
    fresh: V,
    told: &(dyn Fn(u64) + Send + Sync),
) -> Result<Verified, VerifyError> {
    if let Some(reason) = live.progress().stopped {
        return Err(VerifyError::Stopped { positions: live.progress().positions, reason });
    }
    let ((live_digest, rows), positions) = aside(live, ViewDigest::counted).await?;
    let mut rebuild = Rebuild::new(log.clone(), fresh);
    rebuild.up_to(&positions, told).await?;
    let (view, (rebuilt, rebuilt_rows)) = added_up(rebuild.view, ViewDigest::counted).await?;
    rebuild.view = view;
    let events = rebuild.events;
    let (differing, named) =
        if live_digest == rebuilt { (0, Vec::new()) } else { name(live, rebuild, told).await? };
    Ok(Verified { positions, rows, live: live_digest, rebuilt_rows, rebuilt, events, differing, named })
}

/// Finds the rows in which a live view differs, at positions that are later by now. All hashes of its rows are held
/// meanwhile. A row that was written anew in between is not found.
async fn name<V: View>(
    live: &Projected<V>,
    mut rebuild: Rebuild<V>,
    told: &(dyn Fn(u64) + Send + Sync),
) -> Result<(u64, Vec<Difference>), VerifyError> {
    let (hashes, positions) = aside(live, |view: &V| {
        let mut hashes = FxHashMap::<Box<[u8]>, u128>::default();
        each_row(view, |key, hash| {
            hashes.insert(key.into(), hash);
        });
        hashes
    })
    .await?;
    rebuild.up_to(&positions, told).await?;
    let (_, mut found) = added_up(rebuild.view, move |view| {
        let (mut left, mut found) = (hashes, Vec::new());
        each_row(view, |key, hash| {
            let how = match left.remove(key) {
                None => How::Missing,
                Some(live) if live == hash => return,
                Some(_) => How::Other,
            };
            found.push(Difference { key: key.to_vec(), how });
        });
        found.extend(left.into_keys().map(|key| Difference { key: key.into(), how: How::Extra }));
        found.sort_unstable();
        found
    })
    .await?;
    let differing = found.len() as u64;
    found.truncate(NAMED_MAX);
    Ok((differing, found))
}

/// Looks at a live view while it is held, beside the tasks of the runtime.
async fn aside<V: View, T: Send + 'static>(
    live: &Projected<V>,
    look: impl FnOnce(&V) -> T + Send + 'static,
) -> Result<(T, Positions), VerifyError> {
    let live = live.clone();
    let looked = spawn_blocking(move || {
        let reading = live.read();
        (look(&reading), reading.positions())
    });
    looked.await.map_err(|error| VerifyError::Rows(error.to_string()))
}

/// Looks at a view that nobody else has.
async fn added_up<V: View, T: Send + 'static>(
    view: V,
    look: impl FnOnce(&V) -> T + Send + 'static,
) -> Result<(V, T), VerifyError> {
    let looked = spawn_blocking(move || {
        let found = look(&view);
        (view, found)
    });
    looked.await.map_err(|error| VerifyError::Rows(error.to_string()))
}

/// Folds the log from the beginning up to the given positions, one source after the other. Waits for a log that cannot
/// be reached.
///
/// # Errors
/// [`VerifyError`] when the log could not be folded.
pub async fn rebuild<V: View>(log: &SharedLog, fresh: V, until: &Positions) -> Result<V, VerifyError> {
    let mut rebuild = Rebuild::new(log.clone(), fresh);
    rebuild.up_to(until, &|_| ()).await?;
    Ok(rebuild.view)
}

/// A view that is folded from the beginning up to positions of one's choice, and then on.
pub struct Rebuild<V> {
    log: SharedLog,
    /// The view as far as it is folded.
    pub view: V,
    folded: Positions,
    chains: [ChainVerifier; 4],
    events: u64,
}

impl<V: View> Rebuild<V> {
    /// Begins with an empty view.
    pub fn new(log: SharedLog, fresh: V) -> Self {
        let chains = Service::ALL.map(|service| ChainVerifier::new(service, false));
        Self { log, view: fresh, folded: Positions::ZERO, chains, events: 0 }
    }

    /// Folds on up to the given positions, one source after the other; see [`rebuild`]. `told` hears how many events are
    /// folded, every [`TOLD_EVERY`].
    ///
    /// # Errors
    /// [`VerifyError`] when the log could not be folded.
    pub async fn up_to(
        &mut self,
        until: &Positions,
        told: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), VerifyError> {
        for &service in V::SOURCES {
            let wanted = until.get(service);
            let mut source = Source::new(self.log.clone(), service, self.folded.get(service), V::NAME);
            while self.folded.get(service) < wanted {
                match source.next().await? {
                    Delivery::Events(events) => self.fold(service, &events, wanted, told)?,
                    Delivery::CaughtUp(head) if head < wanted => {
                        return Err(VerifyError::Short { service, head, wanted });
                    }
                    Delivery::CaughtUp(_) => self.folded.advance(service, wanted),
                }
                tokio::task::yield_now().await;
            }
        }
        self.view.settle(until, &mut Dirty::everything());
        Ok(())
    }

    fn fold(
        &mut self,
        service: Service,
        events: &[Envelope],
        wanted: u64,
        told: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), VerifyError> {
        // Nothing is written behind, so nothing need be remembered as dirty.
        let mut dirty = Dirty::everything();
        for event in events {
            if (self.folded.get(service) + 1..=wanted).contains(&event.position) {
                self.chains[service as usize - 1].check(event)?;
                self.view.apply(event, &mut dirty)?;
                self.folded.advance(service, event.position);
                self.events += 1;
                if self.events.is_multiple_of(TOLD_EVERY) {
                    told(self.events);
                }
            }
        }
        let last = events.last().map_or(0, |last| last.position);
        self.folded.advance(service, last.min(wanted));
        self.view.settle(&self.folded, &mut dirty);
        Ok(())
    }
}

impl<V: fmt::Debug> fmt::Debug for Rebuild<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log: _, view, folded, chains: _, events } = self;
        f.debug_struct("Rebuild").field("view", view).field("folded", folded).field("events", events).finish()
    }
}
