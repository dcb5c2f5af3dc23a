//! Devices by what lists are filtered by.

use std::collections::BTreeMap;

use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::RegistrationKind;
use muster_types::EnrollmentCode;
use roaring::RoaringBitmap;

/// Something that a device has exactly one of. The contract's names, since lists are asked for by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    /// The tenant it is in, as numbered here.
    Tenant(u32),
    /// Outcome of its enrollment.
    Status(pb::EnrollmentStatus),
    /// Enrollment code.
    Code(EnrollmentCode),
    /// Who manages it.
    ManagedBy(pb::ManagedBy),
    /// What kind of device it is.
    DeviceType(pb::DeviceType),
    /// Operating system family.
    Platform(pb::Platform),
    /// What its registration rests on.
    Registration(RegistrationKind),
}

/// How many facets a device has.
pub(super) const FACETS: usize = 7;

/// Numbers of devices by facet and by tag.
#[derive(Debug, Default)]
pub(super) struct Index {
    facets: BTreeMap<Facet, RoaringBitmap>,
    tags: BTreeMap<Box<str>, RoaringBitmap>,
    /// Devices with any tag.
    tagged: RoaringBitmap,
    nobody: RoaringBitmap,
}

impl Index {
    /// Devices with a facet.
    pub(super) fn with(&self, facet: Facet) -> &RoaringBitmap {
        self.facets.get(&facet).unwrap_or(&self.nobody)
    }

    /// Devices with a tag.
    pub(super) fn with_tag(&self, tag: &str) -> &RoaringBitmap {
        self.tags.get(tag).unwrap_or(&self.nobody)
    }

    /// Devices with any tag.
    pub(super) fn tagged(&self) -> &RoaringBitmap {
        &self.tagged
    }

    /// Moves a device from the facets it had, if any, to those it has.
    pub(super) fn moved(&mut self, number: u32, before: Option<&[Facet; FACETS]>, after: &[Facet; FACETS]) {
        for (at, facet) in after.iter().enumerate() {
            let was = before.map(|before| before[at]);
            if was == Some(*facet) {
                continue;
            }
            if let Some(was) = was {
                drop_from(&mut self.facets, &was, number);
            }
            self.facets.entry(*facet).or_default().insert(number);
        }
    }

    /// Notes that a device has other tags.
    pub(super) fn retagged(&mut self, number: u32, before: &[Box<str>], after: &[Box<str>]) {
        for tag in before.iter().filter(|tag| !after.contains(tag)) {
            drop_from(&mut self.tags, tag, number);
        }
        for tag in after.iter().filter(|tag| !before.contains(tag)) {
            self.tags.entry(tag.clone()).or_default().insert(number);
        }
        if after.is_empty() {
            self.tagged.remove(number);
        } else {
            self.tagged.insert(number);
        }
    }
}

fn drop_from<K: Ord>(index: &mut BTreeMap<K, RoaringBitmap>, key: &K, number: u32) {
    if let Some(devices) = index.get_mut(key) {
        devices.remove(number);
        if devices.is_empty() {
            index.remove(key);
        }
    }
}
