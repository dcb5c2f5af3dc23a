//! Open connections of devices, by device.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;
use muster_types::{DeviceId, Timestamp};
use parking_lot::Mutex;

use super::{Cut, Reason};

/// Where a connection's certificate stands. It only moves on: what ended stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The table was not asked yet.
    Unknown,
    /// It counts.
    Good,
    /// It does not count any more.
    Ended(Reason),
}

impl Standing {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Good => 1,
            Self::Ended(reason) => 1 + reason as u8,
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Unknown,
            1 => Self::Good,
            ended => {
                let reason = Reason::ALL.into_iter().find(|reason| *reason as u8 + 1 == ended);
                Self::Ended(reason.unwrap_or(Reason::Revoked))
            }
        }
    }
}

/// A connection that shows a certificate of a device.
#[derive(Debug)]
pub(crate) struct Link {
    device: DeviceId,
    issued: Timestamp,
    standing: AtomicU8,
    closing: AtomicBool,
    reader: AtomicWaker,
}

impl Link {
    pub(crate) const fn device(&self) -> DeviceId {
        self.device
    }

    pub(crate) const fn issued(&self) -> Timestamp {
        self.issued
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing::from_byte(self.standing.load(Ordering::Acquire))
    }

    /// Moves on to a standing, unless it is further already.
    pub(crate) fn settle(&self, standing: Standing) {
        self.standing.fetch_max(standing.to_byte(), Ordering::AcqRel);
    }

    /// Whether the connection must close. Wakes `reader` when it must later.
    pub(crate) fn is_closing(&self, reader: &Waker) -> bool {
        self.reader.register(reader);
        self.closing.load(Ordering::Acquire)
    }

    /// Whether it was not closing before.
    fn close(&self) -> bool {
        let first = !self.closing.swap(true, Ordering::AcqRel);
        self.reader.wake();
        first
    }
}

/// The open connections of a process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Links(Arc<Mutex<HashMap<DeviceId, Vec<Arc<Link>>>>>);

impl Links {
    pub(super) fn open(&self, device: DeviceId, issued: Timestamp) -> Held {
        let link = Arc::new(Link {
            device,
            issued,
            standing: AtomicU8::new(Standing::Unknown.to_byte()),
            closing: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        self.0.lock().entry(device).or_default().push(link.clone());
        Held { link, links: self.clone() }
    }

    /// Ends the connections of a device whose certificates a cut ends, and says how many.
    pub(super) fn cut(&self, device: DeviceId, cut: Cut) -> u64 {
        let open = self.0.lock();
        let ended = open.get(&device).into_iter().flatten().filter(|link| cut.ends(link.issued));
        ended.fold(0, |count, link| {
            link.settle(Standing::Ended(cut.reason()));
            count + u64::from(link.close())
        })
    }
}

/// A registered connection; no longer so when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    link: Arc<Link>,
    links: Links,
}

impl Held {
    pub(crate) const fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.links.0.lock();
        if let Some(links) = open.get_mut(&self.link.device) {
            links.retain(|link| !Arc::ptr_eq(link, &self.link));
            if links.is_empty() {
                open.remove(&self.link.device);
            }
        }
    }
}
