//! The views of a service, to verify them by.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{Projected, Verified, VerifyError, View, verify};
use crate::log::SharedLog;

type Told = Arc<dyn Fn(u64) + Send + Sync>;
type Verify = Box<dyn Fn(Told) -> BoxFuture<'static, Result<Verified, VerifyError>> + Send + Sync>;

/// The views that one service follows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Views(Arc<Mutex<Vec<Arc<Registered>>>>);

/// A view that is followed.
pub struct Registered {
    name: &'static str,
    verify: Verify,
    differing: Mutex<Option<u64>>,
}

impl Views {
    /// Registers a live view; `fresh` makes an empty one, as for [`super::start`].
    pub fn register<V: View>(
        &self,
        log: SharedLog,
        live: Projected<V>,
        fresh: impl Fn() -> V + Send + Sync + 'static,
    ) {
        let verify: Verify = Box::new(move |told| {
            let (log, live, mut fresh) = (log.clone(), live.clone(), fresh());
            fresh.detach();
            Box::pin(async move { verify(&log, &live, fresh, &*told).await })
        });
        self.0.lock().push(Arc::new(Registered { name: V::NAME, verify, differing: Mutex::new(None) }));
    }

    /// All of them, in the order in which they were registered.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Registered>> {
        self.0.lock().clone()
    }
}

impl Registered {
    /// Its [`View::NAME`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Compares it with what the log gives; see [`verify`].
    ///
    /// # Errors
    /// [`VerifyError`] when the log could not be folded.
    pub async fn verify(&self, told: impl Fn(u64) + Send + Sync + 'static) -> Result<Verified, VerifyError> {
        let verified = (self.verify)(Arc::new(told)).await?;
        *self.differing.lock() = Some(if verified.holds() { 0 } else { verified.differing.max(1) });
        Ok(verified)
    }

    /// Rows that differed when it was last verified; `None` when it never was.
    #[must_use]
    pub fn differing(&self) -> Option<u64> {
        *self.differing.lock()
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registered").field(&self.name).finish()
    }
}
