//! What has to be asked again, from the view to what asks.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::membership::Marks;

/// What has to be asked again.
#[derive(Debug, Default)]
pub struct Marked {
    marks: Mutex<Marks>,
    folded: Notify,
    followed: AtomicBool,
}

impl Marked {
    /// Lets every change from now on be marked. To be called while the view is held, by who asks about everything that was
    /// known by then.
    pub fn follow(&self) {
        self.followed.store(true, Ordering::Release);
    }

    /// Whether changes are marked.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.followed.load(Ordering::Acquire)
    }

    /// Adds marks, and tells who waits that something was folded.
    pub fn add(&self, marks: Marks) {
        if !marks.is_empty() {
            self.marks.lock().merge(marks);
        }
        self.folded.notify_one();
    }

    /// Takes all marks. While the view is held, they are all those of what it has folded.
    #[must_use]
    pub fn take(&self) -> Marks {
        std::mem::take(&mut self.marks.lock())
    }

    /// Waits until something was folded since the last wait. Safe to cancel.
    pub async fn folded(&self) {
        self.folded.notified().await;
    }
}
