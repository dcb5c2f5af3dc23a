//! What is to be told.

use muster_types::{Positions, Timestamp};
use roaring::RoaringBitmap;

use super::Resolution;

/// What some devices should have now. Of it is told what was not told before.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Positions of the logs that were resolved.
    pub positions: Positions,
    /// What devices came to; each resolution once, each device at most once.
    pub come: Vec<Come>,
    /// Devices that should have nothing: gone, or managed elsewhere.
    pub none: RoaringBitmap,
    /// What touched devices, and when it was decided.
    pub causes: Vec<Cause>,
    /// When it was decided of devices that no cause names.
    pub otherwise: Timestamp,
}

/// Devices that should have a resolution.
#[derive(Debug, Clone)]
pub struct Come {
    /// Which.
    pub resolution: Resolution,
    /// Their ordinals.
    pub devices: RoaringBitmap,
}

/// Why devices were resolved again.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// Their ordinals.
    pub devices: RoaringBitmap,
    /// When it was decided; of several changes the earliest.
    pub time: Timestamp,
}
