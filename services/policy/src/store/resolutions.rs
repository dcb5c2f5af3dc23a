//! What the view of what was told keeps in the store.
//!
//! | key | value |
//! |---|---|
//! | `0x01` | how many events told it, and the positions that they resolved |
//! | `0x02`, resolution id | the devices that should have it; maybe nobody |

use muster_types::{Digest, Positions, Version};
use prost::Message;
use roaring::RoaringBitmap;

use super::decoded;
use crate::wire::{bitmap, bytes_of};

const PROGRESS: u8 = 1;
const RESOLUTION: u8 = 2;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// How far it is.
    Progress,
    /// A resolution.
    Resolution(Digest),
}

/// Key of how far it is.
#[must_use]
pub const fn progress_key() -> [u8; 1] {
    [PROGRESS]
}

/// Key of a resolution.
#[must_use]
pub fn resolution_key(id: &Digest) -> [u8; 33] {
    let mut key = [RESOLUTION; 33];
    key[1..].copy_from_slice(id);
    key
}

/// Reads a key.
#[must_use]
pub fn read_key(key: &[u8]) -> Option<Key> {
    match key.split_first()? {
        (&PROGRESS, []) => Some(Key::Progress),
        (&RESOLUTION, id) => id.try_into().ok().map(Key::Resolution),
        _ => None,
    }
}

#[derive(Clone, PartialEq, Message)]
struct StoredProgress {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(string, tag = "2")]
    positions: String,
}

/// How far it is, as a row.
#[must_use]
pub fn encode_progress(version: Version, positions: Positions) -> Vec<u8> {
    StoredProgress { version: version.0, positions: positions.to_string() }.encode_to_vec()
}

/// How far it is, from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_progress(value: &[u8]) -> Result<(Version, Positions), String> {
    let StoredProgress { version, positions } = decoded(value)?;
    Ok((
        Version(version),
        positions.parse().map_err(|error: muster_types::stream::UnknownName| error.to_string())?,
    ))
}

/// Devices as a row. The same devices give the same bytes, whatever way they came in.
#[must_use]
pub fn encode_devices(devices: &RoaringBitmap) -> Vec<u8> {
    let mut canonical = devices.clone();
    canonical.optimize();
    bytes_of(&canonical)
}

/// Devices from their row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_devices(value: &[u8]) -> Result<RoaringBitmap, String> {
    bitmap(value)
}
