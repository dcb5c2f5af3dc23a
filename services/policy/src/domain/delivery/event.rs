//! What the log tells.

use muster_types::{Digest, Timestamp};
use roaring::RoaringBitmap;

use crate::domain::share_out;

/// Most bytes of an event, with room to spare to what the log takes.
const EVENT_BYTES_MAX: usize = 500 * 1024;
/// More than an etag with its step takes in an event.
const DELIVERED_BYTES: usize = 64;

/// Policies went out to devices. A device is named with one policy: that it was sent, what came last of it, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What went where, each pair of etag and step once.
    pub delivered: Vec<Delivered>,
    /// When the first of these steps was taken; none in events of versions that did not tell it.
    pub first: Option<Timestamp>,
}

/// Devices that got a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// Etag of the policy.
    pub etag: Digest,
    /// How far it is.
    pub step: Step,
    /// Ordinals of the devices.
    pub devices: RoaringBitmap,
}

/// How far a policy is on its way into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Signed and sent; nobody knows whether it arrived.
    Sent = 1,
    /// The device has it, and the work is not done.
    Applying = 2,
    /// The device does not obey it.
    Refused = 3,
}

/// What was delivered since a time, in events of which none is larger than the log takes.
#[must_use]
pub fn events(delivered: Vec<Delivered>, first: Option<Timestamp>) -> Vec<Event> {
    let (mut events, mut packed, mut bytes) = (Vec::new(), Vec::new(), 0);
    for Delivered { etag, step, devices: mut rest } in delivered {
        while !rest.is_empty() {
            let room = EVENT_BYTES_MAX.saturating_sub(bytes + DELIVERED_BYTES);
            let devices = share_out::take(&mut rest, room);
            if !devices.is_empty() {
                bytes += DELIVERED_BYTES + devices.serialized_size();
                packed.push(Delivered { etag, step, devices });
            }
            if !rest.is_empty() {
                events.push(Event { delivered: std::mem::take(&mut packed), first });
                bytes = 0;
            }
        }
    }
    if !packed.is_empty() {
        events.push(Event { delivered: packed, first });
    }
    events
}
