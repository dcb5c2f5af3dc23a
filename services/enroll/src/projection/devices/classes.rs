//! Devices by what their enrollment is decided by, so that a change of the enforcement scope costs one assessment for
//! each kind of device there is, and then as much as there are devices that it touches.

use std::collections::BTreeMap;

use muster_types::EnrollmentCode;
use roaring::RoaringBitmap;

use super::shared::Shared;
use crate::domain::scope::Scope;
use crate::domain::verdict::{Traits, Verdict, assess};

/// Kinds of devices, and in each the devices by recorded code.
#[derive(Debug, Default)]
pub(super) struct Classes {
    traits: Shared<(u32, Traits)>,
    /// By the class's number.
    cells: Vec<BTreeMap<EnrollmentCode, RoaringBitmap>>,
}

/// Where a device stands: its class and its code.
pub(super) type Cell = (u32, EnrollmentCode);

/// What a scope makes of the devices of a tenant that it is not recorded of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Changes {
    /// To be managed, and not now; those that only wait for a seat are not among them.
    pub(super) gained: RoaringBitmap,
    /// Not to be managed any more.
    pub(super) lost: RoaringBitmap,
    /// To get another code, and to stay managed or not managed.
    pub(super) recoded: RoaringBitmap,
    /// To be managed as soon as there are seats.
    pub(super) waiting: RoaringBitmap,
}

impl Classes {
    /// Holds a class once more and tells its number.
    pub(super) fn hold(&mut self, tenant: u32, traits: Traits) -> u32 {
        let number = self.traits.hold((tenant, traits));
        if self.cells.len() <= number as usize {
            self.cells.resize_with(number as usize + 1, BTreeMap::new);
        }
        number
    }

    /// Lets go of a class that no device needs to be moved from any more.
    pub(super) fn let_go(&mut self, class: u32) {
        self.traits.let_go(class);
    }

    /// Moves a device from where it was, if anywhere, to where it is.
    pub(super) fn moved(&mut self, number: u32, before: Option<Cell>, after: Cell) {
        if before == Some(after) {
            return;
        }
        if let Some((class, code)) = before {
            let cells = &mut self.cells[class as usize];
            if let Some(devices) = cells.get_mut(&code) {
                devices.remove(number);
                if devices.is_empty() {
                    cells.remove(&code);
                }
            }
        }
        self.cells[after.0 as usize].entry(after.1).or_default().insert(number);
    }

    /// How many kinds there are.
    pub(super) fn count(&self) -> usize {
        self.traits.iter().count()
    }

    /// What a scope changes. `tagged` are the devices with the scope's tag.
    pub(super) fn changes(&self, tenant: u32, scope: &Scope, tagged: &RoaringBitmap) -> Changes {
        let mut changes = Changes::default();
        let tag = [scope.tag.clone()];
        for (class, (_, traits)) in self.traits.iter().filter(|(_, (of, _))| *of == tenant) {
            let (with, without) = (assess(traits, &tag, scope), assess(traits, &[], scope));
            for (&code, devices) in &self.cells[class as usize] {
                if !is_decided(code) {
                    continue;
                }
                if with.code == without.code {
                    changes.note(code, devices, &with);
                } else {
                    changes.note(code, &(devices & tagged), &with);
                    changes.note(code, &(devices - tagged), &without);
                }
            }
        }
        changes
    }
}

impl Changes {
    fn note(&mut self, recorded: EnrollmentCode, devices: &RoaringBitmap, verdict: &Verdict) {
        let permits = verdict.permits();
        let to = match (holds_seat(recorded), permits) {
            (true, true) if recorded == verdict.code || recorded == EnrollmentCode::Pending => return,
            (false, false) if recorded == verdict.code => return,
            (false, true) if recorded == EnrollmentCode::SeatsExhausted => &mut self.waiting,
            (false, true) => &mut self.gained,
            (true, false) => &mut self.lost,
            (true, true) | (false, false) => &mut self.recoded,
        };
        *to |= devices;
    }
}

/// Whether a device with this code is decided anew when the scope changes: not while it is leaving, and not when it is gone.
const fn is_decided(code: EnrollmentCode) -> bool {
    !matches!(
        code,
        EnrollmentCode::Offboarding
            | EnrollmentCode::Offboarded
            | EnrollmentCode::Deleted
            | EnrollmentCode::Merged
    )
}

/// Whether a device with this code takes a seat: managed, or permitted and on its way.
const fn holds_seat(code: EnrollmentCode) -> bool {
    code.permits() || matches!(code, EnrollmentCode::Pending)
}
