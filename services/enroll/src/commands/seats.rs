//! Seats: how many devices a tenant may have managed at a time.
//!
//! A seat is reserved before the append that takes it and counts until the view has folded that append, so that the count
//! of one process is exact. Replicas do not see each other's reservations: together they may give out a few seats too
//! many, which the process manager that decides anew takes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_types::{DeviceId, TenantId};
use parking_lot::Mutex;

use super::sight::Sight;

/// Seats that were given out and are not in the view yet: for each device the position of the append that took it, none
/// while it is under way.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<HashMap<(TenantId, DeviceId), Option<u64>>>);

/// A device's claim to a seat. Dropped before it is settled, it gives back what it took.
pub(super) struct Ticket<'a> {
    pub(super) seats: &'a Seats,
    pub(super) sight: &'a Arc<dyn Sight>,
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    /// How many there are; none: without limit.
    pub(super) limit: Option<u32>,
    /// Only look whether there is one.
    pub(super) rehearsal: bool,
    /// Whether this claim took one.
    pub(super) taken: AtomicBool,
}

impl Ticket<'_> {
    /// Takes a seat, if there is one. Taking it again is no error.
    pub(super) fn take(&self) -> bool {
        let Some(limit) = self.limit else { return true };
        let key = (self.tenant, self.device);
        let mut reserved = self.seats.0.lock();
        if reserved.contains_key(&key) {
            return true;
        }
        let folded = self.sight.position();
        reserved.retain(|_, position| position.is_none_or(|position| position > folded));
        let mine = reserved.keys().filter(|(tenant, _)| *tenant == self.tenant);
        let devices: Vec<_> = mine.map(|(_, device)| *device).chain([self.device]).collect();
        let free = self.sight.seats_used_with(self.tenant, &devices) <= limit;
        if free && !self.rehearsal {
            reserved.insert(key, None);
            self.taken.store(true, Ordering::Relaxed);
        }
        free
    }

    /// Says what came of it: whether the device has a seat, and where in the log that stands if this made it so.
    pub(super) fn settle(self, has_seat: bool, position: Option<u64>) {
        let key = (self.tenant, self.device);
        let mut reserved = self.seats.0.lock();
        if !has_seat {
            reserved.remove(&key);
        } else if let (Some(reservation), Some(_)) = (reserved.get_mut(&key), position) {
            *reservation = position;
        }
        self.taken.store(false, Ordering::Relaxed);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.taken.load(Ordering::Relaxed) {
            self.seats.0.lock().remove(&(self.tenant, self.device));
        }
    }
}
