//! Sets of devices and of their complements.

use std::borrow::Cow;

use roaring::{MultiOps as _, RoaringBitmap};

/// Devices that are in a bitmap, or all that are not: complements cost nothing until the end.
#[derive(Debug, Clone)]
pub(super) struct Set<'a> {
    pub(super) bits: Cow<'a, RoaringBitmap>,
    pub(super) inverted: bool,
}

impl<'a> Set<'a> {
    pub(super) const fn of(bits: Cow<'a, RoaringBitmap>) -> Self {
        Self { bits, inverted: false }
    }

    pub(super) const fn all_but(bits: Cow<'a, RoaringBitmap>) -> Self {
        Self { bits, inverted: true }
    }

    pub(super) fn inverse(self) -> Self {
        Self { inverted: !self.inverted, ..self }
    }

    /// The devices, of those that there are.
    pub(super) fn among(self, all: &RoaringBitmap) -> RoaringBitmap {
        if self.inverted { all - &*self.bits } else { all & &*self.bits }
    }

    /// Devices that are in all of some sets.
    pub(super) fn intersection(sets: Vec<Self>) -> Self {
        let (out, mut into): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| set.inverted);
        if into.is_empty() {
            return match <[Self; 1]>::try_from(out) {
                Ok([one]) => one,
                Err(out) => Self::all_but(Cow::Owned(out.iter().map(|set| &*set.bits).union())),
            };
        }
        // What is left gets smaller with each step: the smallest first.
        into.sort_by_cached_key(|set| set.bits.len());
        let mut into = into.into_iter();
        let Some(first) = into.next() else { return Self::all_but(Cow::Owned(RoaringBitmap::new())) };
        let mut bits = first.bits;
        for set in into {
            bits = Cow::Owned(match bits {
                Cow::Owned(mut bits) => {
                    bits &= &*set.bits;
                    bits
                }
                Cow::Borrowed(bits) => bits & &*set.bits,
            });
        }
        for set in out {
            bits = Cow::Owned(match bits {
                Cow::Owned(mut bits) => {
                    bits -= &*set.bits;
                    bits
                }
                Cow::Borrowed(bits) => bits - &*set.bits,
            });
        }
        Self::of(bits)
    }

    /// Devices that are in any of some sets.
    pub(super) fn union(sets: Vec<Self>) -> Self {
        Self::intersection(sets.into_iter().map(Self::inverse).collect()).inverse()
    }
}

/// What a part of a rule says of all devices: of whom it is true, and of whom it is not known. No device is in both.
#[derive(Debug, Clone)]
pub(super) struct Truths<'a> {
    pub(super) yes: Set<'a>,
    /// Mostly empty.
    pub(super) unknown: Cow<'a, RoaringBitmap>,
}

impl<'a> Truths<'a> {
    pub(super) fn not(self) -> Self {
        let Self { yes, unknown } = self;
        if unknown.is_empty() {
            return Self { yes: yes.inverse(), unknown };
        }
        let either = Set::union(vec![yes, Set::of(unknown.clone())]);
        Self { yes: either.inverse(), unknown }
    }

    /// True where all are; unknown where none is false and one is unknown.
    pub(super) fn all(parts: Vec<Self>) -> Self {
        if parts.iter().all(|part| part.unknown.is_empty()) {
            let yes = Set::intersection(parts.into_iter().map(|part| part.yes).collect());
            return Self { yes, unknown: Cow::Owned(RoaringBitmap::new()) };
        }
        let unknown_somewhere = parts.iter().map(|part| &*part.unknown).union();
        let possible = |part: &Self| Set::union(vec![part.yes.clone(), Set::of(part.unknown.clone())]);
        let possible = Set::intersection(parts.iter().map(possible).collect());
        let yes = Set::intersection(parts.into_iter().map(|part| part.yes).collect());
        let unknown = possible.among(&unknown_somewhere);
        Self { yes, unknown: Cow::Owned(unknown) }
    }

    /// True where one is; unknown where none is true and one is unknown.
    pub(super) fn any(parts: Vec<Self>) -> Self {
        Self::all(parts.into_iter().map(Self::not).collect()).not()
    }
}
