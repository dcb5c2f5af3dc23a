//! Whom a rule would let in, and why.

use muster_types::{DeviceId, Positions};
use roaring::RoaringBitmap;

use super::Queries;
use crate::domain::group::Verdict;
use crate::domain::membership::Index;
use crate::domain::rule::{Attribute, Described, Explained, Property, Rule, Truth};

/// Most devices of a kind that are named.
pub const NAMED_MAX: usize = 10;

/// Whom a rule would let in.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Devices that would be in.
    pub inside: Share<DeviceId>,
    /// Devices that would be out.
    pub outside: Share<DeviceId>,
    /// Devices of which it cannot be known.
    pub unknown: Share<Unknown>,
    /// What the rule says of the device asked for.
    pub explained: Option<DeviceExplained>,
    /// Up to where everything was taken into account.
    pub positions: Positions,
    /// Whom a group would have, if that was asked.
    pub members: Option<RoaringBitmap>,
}

/// A part of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share<T> {
    /// How many.
    pub count: u64,
    /// Some of them, at most [`NAMED_MAX`].
    pub some: Vec<T>,
}

/// A device of which a rule cannot say whether it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The device.
    pub device: DeviceId,
    /// What the rule needs and was not collected.
    pub missing: Vec<Property>,
}

/// What a rule says of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceExplained {
    /// The device.
    pub device: DeviceId,
    /// What the rule says.
    pub result: Truth,
    /// What each part of it says, with what the device has of the property that it tests.
    pub parts: Vec<(Explained, Option<Attribute>)>,
}

impl Queries {
    /// Asks a rule about the fleet, about one device, and about whom a group would have that has these members now:
    /// those of which it is unknown whether they are in stay what they were. Folding waits meanwhile: well under a second for a million
    /// devices.
    ///
    /// # Errors
    /// The device, when it is not registered.
    pub fn preview(
        &self,
        rule: &Rule,
        device: Option<DeviceId>,
        members: Option<&RoaringBitmap>,
    ) -> Result<Preview, DeviceId> {
        let membership = self.membership.read();
        let index = membership.fleet().index();
        let Verdict { within: _, inside, unknown } = index.verdict(rule);
        let outside = index.present() - &inside - &unknown;
        let explained = device.map(|device| explained(index, rule, device).ok_or(device)).transpose()?;
        Ok(Preview {
            inside: share(&inside, |ordinal| index.device(ordinal)),
            outside: share(&outside, |ordinal| index.device(ordinal)),
            unknown: share(&unknown, |ordinal| unknown_device(index, rule, ordinal)),
            explained,
            positions: membership.positions(),
            members: members.map(|members| &inside | (members & &unknown)),
        })
    }

    /// What is missing of devices of which a rule cannot say whether they are in.
    #[must_use]
    pub fn missing(&self, rule: &Rule, ordinals: &[u32]) -> Vec<Unknown> {
        let membership = self.membership.read();
        let index = membership.fleet().index();
        ordinals.iter().filter_map(|ordinal| unknown_device(index, rule, *ordinal)).collect()
    }
}

fn share<T>(ordinals: &RoaringBitmap, of: impl Fn(u32) -> Option<T>) -> Share<T> {
    Share { count: ordinals.len(), some: ordinals.iter().filter_map(of).take(NAMED_MAX).collect() }
}

fn unknown_device(index: &Index, rule: &Rule, ordinal: u32) -> Option<Unknown> {
    Some(Unknown { device: index.device(ordinal)?, missing: index.missing(rule, ordinal) })
}

fn explained(index: &Index, rule: &Rule, device: DeviceId) -> Option<DeviceExplained> {
    let ordinal = index.ordinal(device).filter(|ordinal| index.present().contains(*ordinal))?;
    let described = index.described(ordinal);
    let has = |property: Property, of: &Described| {
        of.told().find(|(told, _)| *told == property).map(|(_, attribute)| attribute.clone())
    };
    let parts = rule.explain(&described).into_iter().map(|part| {
        let attribute = part.property.and_then(|property| has(property, &described));
        (part, attribute)
    });
    Some(DeviceExplained { device, result: rule.says_of(&described), parts: parts.collect() })
}
