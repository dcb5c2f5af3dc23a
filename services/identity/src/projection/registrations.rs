//! Devices and their ordinals: the k-th device that was ever trusted has the ordinal k - 1.

use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{DeviceId, Service};
use rustc_hash::FxHashMap;

use crate::{store, wire};

/// The view.
#[derive(Debug, Default)]
pub struct Registrations {
    devices: Vec<DeviceId>,
    ordinals: FxHashMap<DeviceId, u32>,
}

impl Registrations {
    /// A device's ordinal.
    #[must_use]
    pub fn ordinal(&self, device: DeviceId) -> Option<u32> {
        self.ordinals.get(&device).copied()
    }

    /// The device with an ordinal.
    #[must_use]
    pub fn device(&self, ordinal: u32) -> Option<DeviceId> {
        self.devices.get(ordinal as usize).copied()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.devices.len()).expect("a view of 4 billion rows does not fit in memory")
    }

    fn push(&mut self, device: DeviceId) -> u32 {
        let ordinal = self.count();
        self.ordinals.insert(device, ordinal);
        self.devices.push(device);
        ordinal
    }
}

impl View for Registrations {
    const NAME: &'static str = "registrations";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let device = DeviceId::from_uuid(event.stream.id);
        if event.kind.as_str() == wire::kind::TRUST_ESTABLISHED && !self.ordinals.contains_key(&device) {
            let ordinal = self.push(device);
            dirty.mark(store::ordinal_key(ordinal));
        }
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..self.count()).for_each(|ordinal| row(&store::ordinal_key(ordinal)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.device(store::ordinal(key)?).map(|device| device.as_bytes().to_vec())
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        if store::ordinal(key) != Some(self.count()) {
            return Err(format!("the device with ordinal {} is missing", self.count()));
        }
        self.push(DeviceId::from_slice(value).map_err(|error| error.to_string())?);
        Ok(())
    }
}
