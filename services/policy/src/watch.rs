//! Open watches: who waits for a hint, and how a hint gets there.
//!
//! A device has at most one watch and a watch at most one hint that waits: a newer one replaces it.

use std::sync::Arc;
use std::time::Duration;

use muster_types::{DeviceId, Digest};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::metrics::PolicyMetrics;

/// Watches at once; more are refused, and their devices are only later.
pub const WATCHES_MAX: usize = 200_000;
/// Shortest life of a watch; the longest is twice as long.
const LIFE_MIN: Duration = Duration::from_secs(30 * 60);
/// Check-ins that hints may cause in a second: with more devices to hint, hints ask for a spread.
const CHECK_INS_PER_SECOND_MAX: u64 = 2_000;

/// Why a device should check in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Etag that waits for the device.
    pub etag: Digest,
    /// The device should check in at a random moment within this time.
    pub spread: Duration,
    /// W3C trace context of the change.
    pub traceparent: Option<Arc<str>>,
}

/// The open watches of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    open: Mutex<Open>,
    max: usize,
    metrics: PolicyMetrics,
}

#[derive(Debug, Default)]
struct Open {
    serial: u64,
    by_device: FxHashMap<DeviceId, (u64, watch::Sender<Option<Hint>>)>,
}

/// An open watch. Closes when it is dropped.
#[derive(Debug)]
pub struct Watch {
    device: DeviceId,
    serial: u64,
    hints: watch::Receiver<Option<Hint>>,
    all: Watches,
}

impl Watches {
    /// No watch is open.
    #[must_use]
    pub fn new(metrics: PolicyMetrics) -> Self {
        Self::at_most(WATCHES_MAX, metrics)
    }

    fn at_most(max: usize, metrics: PolicyMetrics) -> Self {
        Self(Arc::new(Shared { open: Mutex::default(), max, metrics }))
    }

    /// Opens a device's watch; one that it has ends. `None` when there are too many.
    #[must_use]
    pub fn open(&self, device: DeviceId) -> Option<Watch> {
        let Shared { open, max, metrics } = &*self.0;
        let mut open = open.lock();
        if open.by_device.len() >= *max && !open.by_device.contains_key(&device) {
            metrics.watch_refused();
            return None;
        }
        let (sender, hints) = watch::channel(None);
        open.serial += 1;
        let serial = open.serial;
        open.by_device.insert(device, (serial, sender));
        metrics.watches_open(open.by_device.len());
        Some(Watch { device, serial, hints, all: self.clone() })
    }

    /// Whether a device has a watch open.
    #[must_use]
    pub fn is_open(&self, device: DeviceId) -> bool {
        self.0.open.lock().by_device.contains_key(&device)
    }

    /// Whether nobody watches, so that there is nobody to hint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.open.lock().by_device.is_empty()
    }

    /// Hints those devices that watch. Never waits for them.
    pub fn hint(&self, hints: Vec<(DeviceId, Hint)>) {
        let open = self.0.open.lock();
        for (device, hint) in hints {
            if let Some((_, sender)) = open.by_device.get(&device) {
                sender.send_replace(Some(hint));
                self.0.metrics.hinted();
            }
        }
    }
}

/// How far the check-ins of so many hinted devices should be spread.
#[must_use]
pub const fn spread(devices: u64) -> Duration {
    Duration::from_secs(devices / CHECK_INS_PER_SECOND_MAX)
}

/// How long a watch lives: 30 to 60 minutes, by the device, so that those opened together do not end together.
#[must_use]
pub fn life(device: DeviceId) -> Duration {
    LIFE_MIN + LIFE_MIN.mul_f64(crate::checkin::share(device))
}

impl Watch {
    /// Waits for the next hint; `None` when a newer watch of the device took over. Safe to cancel.
    pub async fn next(&mut self) -> Option<Hint> {
        loop {
            self.hints.changed().await.ok()?;
            let hint = self.hints.borrow_and_update().clone();
            if hint.is_some() {
                return hint;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut open = self.all.0.open.lock();
        if open.by_device.get(&self.device).is_some_and(|(serial, _)| *serial == self.serial) {
            open.by_device.remove(&self.device);
            self.all.0.metrics.watches_open(open.by_device.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn device(n: u128) -> DeviceId {
        DeviceId::from_uuid(Uuid::from_u128(n))
    }

    fn hint(n: u8) -> Hint {
        Hint { etag: [n; 32], spread: Duration::ZERO, traceparent: None }
    }

    #[tokio::test]
    async fn a_newer_hint_replaces_one_that_waits() {
        let watches = Watches::new(PolicyMetrics::default());
        let mut watch = watches.open(device(1)).unwrap();
        watches.hint(vec![(device(1), hint(1)), (device(2), hint(1))]);
        watches.hint(vec![(device(1), hint(2))]);
        assert_eq!(watch.next().await, Some(hint(2)));
    }

    #[tokio::test]
    async fn a_newer_watch_of_a_device_ends_the_older_one() {
        let watches = Watches::new(PolicyMetrics::default());
        let mut older = watches.open(device(1)).unwrap();
        let mut newer = watches.open(device(1)).unwrap();
        assert_eq!(older.next().await, None);
        drop(older);
        assert!(watches.is_open(device(1)));
        watches.hint(vec![(device(1), hint(1))]);
        assert_eq!(newer.next().await, Some(hint(1)));
        drop(newer);
        assert!(watches.is_empty());
    }

    #[test]
    fn too_many_watches_are_refused_but_not_a_reopened_one() {
        let watches = Watches::at_most(1, PolicyMetrics::default());
        let first = watches.open(device(1));
        assert!(first.is_some());
        assert!(watches.open(device(2)).is_none());
        assert!(watches.open(device(1)).is_some());
    }

    #[test]
    fn watches_live_30_to_60_minutes() {
        for n in 0..100 {
            let life = life(DeviceId::from_uuid(muster_types::id::derive("test", &[&[n]])));
            assert!((LIFE_MIN..=2 * LIFE_MIN).contains(&life), "{life:?}");
        }
    }

    #[test]
    fn few_hints_ask_for_no_spread() {
        assert_eq!(spread(1_999), Duration::ZERO);
        assert_eq!(spread(1_000_000), Duration::from_secs(500));
    }
}
