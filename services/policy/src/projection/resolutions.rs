//! What the log was told of what devices should have: this service's own events, folded.

use std::mem::take;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, Service, Version};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::domain::resolution::Told;
use crate::store::resolutions::{self as store, Key};

/// Events whose devices are kept apart; those of more are taken together, as if others had told them.
const MENTIONS_MAX: usize = 256;

/// The view.
#[derive(Debug, Default)]
pub struct Resolutions {
    told: Told,
    version: Version,
    mentions: Mutex<Option<Vec<Mention>>>,
}

/// Devices that an event told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// Its place in the stream; [`Version::NONE`] of several events taken together.
    pub version: Version,
    /// Ordinals.
    pub devices: RoaringBitmap,
}

impl Resolutions {
    /// What was told.
    #[must_use]
    pub const fn told(&self) -> &Told {
        &self.told
    }

    /// How many events told it: what the next one is appended after.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Takes the devices that were told of since this was last asked; none are known the first time.
    #[must_use]
    pub fn take_mentions(&self) -> Vec<Mention> {
        self.mentions.lock().replace(Vec::new()).unwrap_or_default()
    }

    fn mention(&mut self, version: Version, devices: RoaringBitmap) {
        let Some(mentions) = self.mentions.get_mut() else { return };
        if mentions.len() >= MENTIONS_MAX {
            let all = take(mentions).into_iter().fold(RoaringBitmap::new(), |all, one| all | one.devices);
            mentions.push(Mention { version: Version::NONE, devices: all });
        }
        mentions.push(Mention { version, devices });
    }
}

impl View for Resolutions {
    const NAME: &'static str = "resolutions";
    const CONTRACT: u32 = 2;
    const SOURCES: &'static [Service] = &[Service::Policy];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::Resolution {
            return Ok(());
        }
        self.version = event.version;
        dirty.mark(store::progress_key());
        let decoded = Told::decode(event).map_err(|reason| FoldError::new(event, reason))?;
        let Some(decoded) = decoded else { return Ok(()) };
        self.told.fold(&decoded, &mut |id| dirty.mark(store::resolution_key(id)));
        let devices = decoded.resolved.into_iter().fold(decoded.none, |all, one| all | one.devices);
        self.mention(event.version, devices);
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        if self.version > Version::NONE {
            row(&store::progress_key());
        }
        self.told.ids().for_each(|id| row(&store::resolution_key(id)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        match store::read_key(key)? {
            Key::Progress => (self.version > Version::NONE)
                .then(|| store::encode_progress(self.version, self.told.positions())),
            Key::Resolution(id) => self.told.devices(&id).map(store::encode_devices),
        }
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match store::read_key(key).ok_or("not the key of a row")? {
            Key::Progress => {
                let (version, positions) = store::decode_progress(value)?;
                self.version = version;
                self.told.put_positions(positions);
            }
            Key::Resolution(id) => self.told.put(id, store::decode_devices(value)?),
        }
        Ok(())
    }
}
