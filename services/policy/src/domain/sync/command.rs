//! What may be asked of devices' syncs.

use muster_types::RequestId;
use roaring::RoaringBitmap;

/// A wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Ask the device to check in at once.
    Request {
        /// The request.
        request: RequestId,
    },
    /// Ask many devices to check in at once.
    RequestMany {
        /// Their ordinals.
        devices: RoaringBitmap,
        /// The request.
        request: RequestId,
    },
}
