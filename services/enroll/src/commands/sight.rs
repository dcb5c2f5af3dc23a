//! What commands look up in the views.

use std::sync::Arc;

use muster_types::{DeviceId, TenantId, Version};

use crate::domain::scope::Scope;

/// What commands look up in the views. It may be behind the log: what that leads to is put right by the process manager
/// that decides anew.
pub trait Sight: Send + Sync + 'static {
    /// A tenant's enforcement scope, and the version of the settings that hold it; 0 for the default.
    fn scope(&self, tenant: TenantId) -> (Arc<Scope>, Version);

    /// How many seats of a tenant are used once these devices have one each: those that have one already count once.
    fn seats_used_with(&self, tenant: TenantId, devices: &[DeviceId]) -> u32;

    /// Position of enroll's log that the seats are counted at. Asked before the count, so that it is never too new.
    fn position(&self) -> u64;
}

/// Commands without views: the scope is what this process wrote or the log says, and seats are those it gave.
#[derive(Debug, Default)]
pub struct Blind;

impl Sight for Blind {
    fn scope(&self, _: TenantId) -> (Arc<Scope>, Version) {
        (Arc::default(), Version::NONE)
    }

    fn seats_used_with(&self, _: TenantId, devices: &[DeviceId]) -> u32 {
        u32::try_from(devices.len()).unwrap_or(u32::MAX)
    }

    fn position(&self) -> u64 {
        0
    }
}
