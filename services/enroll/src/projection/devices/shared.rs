//! What many rows have in common, kept once.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// Values by number, each once and for as long as it is held. Numbers are of this process alone: they are given anew,
/// and never stored.
#[derive(Debug)]
pub(super) struct Shared<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    numbers: HashTable<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    /// None when nobody holds it.
    value: Option<T>,
    holders: u32,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), numbers: HashTable::new() }
    }
}

impl<T: Hash + Eq> Shared<T> {
    /// Holds a value once more and tells its number.
    pub(super) fn hold(&mut self, value: T) -> u32 {
        if let Some(number) = self.find(&value) {
            self.slots[number as usize].holders += 1;
            return number;
        }
        let hash = hash(&value);
        let slot = Slot { value: Some(value), holders: 1 };
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = slot;
            number
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).expect("there are no more values than rows")
        };
        let slots = &self.slots;
        self.numbers.insert_unique(hash, number, |number| hash_of(slots, *number));
        number
    }

    /// Lets go of a value; the last holder takes it along.
    pub(super) fn let_go(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        slot.holders -= 1;
        if slot.holders == 0
            && let Some(value) = slot.value.take()
        {
            if let Ok(entry) = self.numbers.find_entry(hash(&value), |other| *other == number) {
                entry.remove();
            }
            self.free.push(number);
        }
    }

    /// The number of a value, if anyone holds it.
    pub(super) fn find(&self, value: &T) -> Option<u32> {
        let same = |number: &u32| self.slots[*number as usize].value.as_ref() == Some(value);
        self.numbers.find(hash(value), same).copied()
    }

    /// A value that is held.
    pub(super) fn get(&self, number: u32) -> &T {
        self.slots[number as usize].value.as_ref().expect("a row holds what it names")
    }

    /// All values that are held, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.slots).filter_map(|(number, slot)| Some((number, slot.value.as_ref()?)))
    }
}

fn hash<T: Hash>(value: &T) -> u64 {
    FxBuildHasher.hash_one(value)
}

fn hash_of<T: Hash>(slots: &[Slot<T>], number: u32) -> u64 {
    slots[number as usize].value.as_ref().map_or(0, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_once_and_as_long_as_it_is_held() {
        let mut shared = Shared::default();
        let (a, b) = (shared.hold("a"), shared.hold("b"));
        assert_eq!(shared.hold("a"), a);
        shared.let_go(a);
        assert_eq!(*shared.get(a), "a");
        shared.let_go(a);
        assert_eq!(shared.iter().collect::<Vec<_>>(), [(b, &"b")]);
        assert_eq!(shared.hold("c"), a, "a number that is free is given again");
        assert_eq!(shared.hold("b"), b);
    }
}
