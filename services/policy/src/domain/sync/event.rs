//! What happened to devices' syncs.

use muster_types::RequestId;
use roaring::RoaringBitmap;

/// A fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The device was asked to check in at once.
    Requested {
        /// The request; stands in the envelope as the correlation id.
        request: RequestId,
    },
    /// Many devices were.
    ManyRequested {
        /// Their ordinals.
        devices: RoaringBitmap,
        /// The request; stands in the envelope as the correlation id.
        request: RequestId,
    },
}
