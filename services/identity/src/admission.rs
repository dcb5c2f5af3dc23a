//! How many renewals are let in: per device in a while, and of all at once.
//!
//! A certificate costs a signature and a durable append. A device that asks in a loop, or a fleet whose clocks agree,
//! must not keep others from being onboarded.

use std::sync::Arc;
use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_types::{DeviceId, Timestamp};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most renewals under way at once.
pub const RENEWALS_AT_ONCE_MAX: usize = 256;
/// Most renewals of a device in a [`WINDOW`].
pub const RENEWALS_PER_DEVICE_MAX: u32 = 8;
/// How long renewals of a device count.
pub const WINDOW: Duration = Duration::from_secs(600);
/// Devices whose renewals are counted; when there are more, counting begins anew for all.
pub const DEVICES_MAX: usize = 100_000;

/// The budget of renewals.
#[derive(Debug)]
pub struct Renewals {
    at_once: Arc<Semaphore>,
    devices: Mutex<FxHashMap<DeviceId, (Timestamp, u32)>>,
}

impl Default for Renewals {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(RENEWALS_AT_ONCE_MAX)), devices: Mutex::default() }
    }
}

impl Renewals {
    /// Lets a renewal in; it is under way until the permit is dropped.
    ///
    /// # Errors
    /// `OVERLOADED` when the device asked too often, or too many ask at once.
    pub fn admit(&self, device: DeviceId, now: Timestamp) -> Result<OwnedSemaphorePermit, Fault> {
        let permit = self.at_once.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{RENEWALS_AT_ONCE_MAX} renewals are under way, the limit; try again");
            Fault::new(ErrorCode::Overloaded, message)
        })?;
        if self.counted(device, now) > RENEWALS_PER_DEVICE_MAX {
            let message = format!(
                "the device asked for more than {RENEWALS_PER_DEVICE_MAX} certificates in {} minutes",
                WINDOW.as_secs() / 60
            );
            return Err(Fault::new(ErrorCode::Overloaded, message).with("limit", "device"));
        }
        Ok(permit)
    }

    fn counted(&self, device: DeviceId, now: Timestamp) -> u32 {
        let mut devices = self.devices.lock();
        if devices.len() >= DEVICES_MAX && !devices.contains_key(&device) {
            devices.clear();
        }
        let (since, count) = devices.entry(device).or_insert((now, 0));
        if now.since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn device(number: u128) -> DeviceId {
        DeviceId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_device_that_asks_in_a_loop_is_refused_until_the_window_is_over_and_others_are_not() {
        let (renewals, start) = (Renewals::default(), Timestamp::from_micros(1));
        for _ in 0..RENEWALS_PER_DEVICE_MAX {
            assert!(renewals.admit(device(1), start).is_ok());
        }
        let refused = renewals.admit(device(1), start).map(|_| ()).map_err(|fault| fault.code);
        assert_eq!(refused, Err(ErrorCode::Overloaded));
        assert!(renewals.admit(device(2), start).is_ok());
        assert!(renewals.admit(device(1), start.plus(WINDOW)).is_ok());
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let (renewals, now) = (Renewals::default(), Timestamp::from_micros(1));
        let mut under_way: Vec<_> =
            (0..RENEWALS_AT_ONCE_MAX as u128).map(|number| renewals.admit(device(number), now)).collect();
        assert!(under_way.iter().all(Result::is_ok));
        assert!(renewals.admit(device(1_000), now).is_err());
        under_way.pop();
        assert!(renewals.admit(device(1_000), now).is_ok());
    }
}
