//! What a scope makes of the devices there are, with regard to the seats that the tenant has.

use muster_proto::enroll::v1 as pb;
use muster_types::{DeviceId, TenantId};
use roaring::RoaringBitmap;

use super::classes::Changes;
use super::{Devices, Facet};
use crate::domain::scope::Scope;

/// What a change of the enforcement scope would do, in devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preview {
    /// To be managed, and not now.
    pub gained: u32,
    /// Not to be managed any more.
    pub lost: u32,
    /// To get another code, and to stay managed or not managed.
    pub recoded: u32,
}

/// Devices of these statuses take a seat.
const SEATED: [pb::EnrollmentStatus; 3] =
    [pb::EnrollmentStatus::Pending, pb::EnrollmentStatus::Succeeded, pb::EnrollmentStatus::Offboarding];

/// What becomes of seats when all else is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seats {
    /// So many are left.
    Free(u64),
    /// So many too many are taken.
    Short(u64),
}

impl Devices {
    /// How many devices of a tenant take a seat: managed, permitted and on their way, or leaving.
    #[must_use]
    pub fn seats_used(&self, tenant: TenantId) -> u32 {
        let Some(tenant) = self.tables.tenants.find(&tenant) else { return 0 };
        let of_tenant = self.with(Facet::Tenant(tenant));
        let used = SEATED.map(|status| self.with(Facet::Status(status)).intersection_len(of_tenant));
        count(used.iter().sum())
    }

    /// How many seats are used once these devices have one each: those that have one already count once.
    #[must_use]
    pub fn seats_used_with(&self, tenant: TenantId, devices: &[DeviceId]) -> u32 {
        let seated = |id: &&DeviceId| self.number(**id).is_some_and(|number| self.is_seated(number));
        let newcomers = devices.len() - devices.iter().filter(seated).count();
        self.seats_used(tenant).saturating_add(count(newcomers as u64))
    }

    fn is_seated(&self, number: u32) -> bool {
        SEATED.iter().any(|status| self.has(number, Facet::Status(*status)))
    }

    /// The devices whose recorded outcome is not what a scope makes of them. Of those that wait for a seat, the oldest
    /// as far as there are seats.
    #[must_use]
    pub fn differing(&self, tenant: TenantId, scope: &Scope) -> RoaringBitmap {
        let changes = self.changes(tenant, scope);
        let seats = self.seats(tenant, scope, &changes);
        let Changes { gained, lost, recoded, waiting } = changes;
        let differing = match seats {
            Seats::Free(free) => first(&waiting, free.saturating_sub(gained.len())),
            Seats::Short(_) => RoaringBitmap::new(),
        };
        differing | gained | lost | recoded
    }

    /// The newest devices that must give up their seats since more are taken than there are.
    #[must_use]
    pub fn withdrawn(&self, tenant: TenantId, scope: &Scope) -> RoaringBitmap {
        let changes = self.changes(tenant, scope);
        match self.seats(tenant, scope, &changes) {
            Seats::Free(_) => RoaringBitmap::new(),
            Seats::Short(short) => self.newest_seated(tenant, &changes.lost, short),
        }
    }

    /// What a scope would change, were it in force.
    #[must_use]
    pub fn preview(&self, tenant: TenantId, scope: &Scope) -> Preview {
        let changes = self.changes(tenant, scope);
        let seats = self.seats(tenant, scope, &changes);
        let Changes { gained, lost, recoded, waiting } = changes;
        let (free, short) = match seats {
            Seats::Free(free) => (free, 0),
            Seats::Short(short) => (0, short),
        };
        let seated = first(&(&gained | &waiting), free);
        // Of those that would be managed, the ones without a seat get a code that says so.
        let unseated = (&gained - &seated).len();
        Preview {
            gained: count(seated.len()),
            lost: count(lost.len() + short),
            recoded: count(recoded.len() + unseated),
        }
    }

    fn changes(&self, tenant: TenantId, scope: &Scope) -> Changes {
        let Some(tenant) = self.tables.tenants.find(&tenant) else { return Changes::default() };
        self.classes.changes(tenant, scope, self.index.with_tag(&scope.tag))
    }

    fn seats(&self, tenant: TenantId, scope: &Scope, changes: &Changes) -> Seats {
        let Some(seats) = scope.entitlement.seats else { return Seats::Free(u64::MAX) };
        let kept = u64::from(self.seats_used(tenant)).saturating_sub(changes.lost.len());
        let seats = u64::from(seats);
        if kept > seats { Seats::Short(kept - seats) } else { Seats::Free(seats - kept) }
    }

    /// The newest of those that have a seat and would keep it but for others; who is leaving is left to leave.
    fn newest_seated(&self, tenant: TenantId, lost: &RoaringBitmap, short: u64) -> RoaringBitmap {
        let succeeded = self.with(Facet::Status(pb::EnrollmentStatus::Succeeded));
        let pending = self.with(Facet::Status(pb::EnrollmentStatus::Pending));
        let seated = ((succeeded | pending) & self.of_tenant(tenant)) - lost;
        let short = usize::try_from(short).unwrap_or(usize::MAX);
        seated.iter().rev().take(short).collect()
    }
}

fn first(devices: &RoaringBitmap, many: u64) -> RoaringBitmap {
    if many >= devices.len() {
        return devices.clone();
    }
    devices.iter().take(usize::try_from(many).unwrap_or(usize::MAX)).collect()
}

fn count(devices: u64) -> u32 {
    u32::try_from(devices).unwrap_or(u32::MAX)
}
