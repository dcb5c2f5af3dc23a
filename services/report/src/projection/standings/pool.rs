//! Values that many devices have in common, each kept once under a number and for as long as somebody holds it.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::column::Column;

/// The number of nothing.
pub(super) const NONE: u32 = u32::MAX;

/// Interned values. The hash has a key of its own in each process: what devices say cannot be made to collide.
#[derive(Debug)]
pub(super) struct Pool<T> {
    items: Column<Option<T>>,
    slots: Vec<Slot>,
    index: HashTable<u32>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u64,
    holders: u32,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            items: Column::default(),
            slots: Vec::new(),
            index: HashTable::new(),
            free: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

fn count(holders: u64) -> u32 {
    u32::try_from(holders).unwrap_or(u32::MAX)
}

/// An item by its number, also in a picture.
pub(super) fn held<T: Clone>(items: &Column<Option<T>>, at: u32) -> &T {
    items.get(at as usize).and_then(Option::as_ref).expect("whoever has a number holds the item")
}

impl<T: Clone> Pool<T> {
    pub(super) fn hash(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// The number of the item that has a hash and is meant.
    pub(super) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<u32> {
        self.index.find(hash, |at| is(self.of(*at))).copied()
    }

    /// Keeps an item that was not found; nobody holds it yet.
    pub(super) fn insert(&mut self, hash: u64, item: T) -> u32 {
        let slot = Slot { hash, holders: 0 };
        let at = if let Some(at) = self.free.pop() {
            self.slots[at as usize] = slot;
            *self.items.get_mut(at as usize).expect("a slot has a place") = Some(item);
            at
        } else {
            let at = u32::try_from(self.slots.len()).expect("memory ends before the numbers do");
            self.slots.push(slot);
            self.items.push(Some(item));
            at
        };
        let Self { slots, index, .. } = self;
        index.insert_unique(hash, at, |other| slots[*other as usize].hash);
        at
    }

    pub(super) fn hold(&mut self, at: u32) {
        self.hold_for(at, 1);
    }

    /// Holds an item for so many.
    pub(super) fn hold_for(&mut self, at: u32, holders: u64) {
        let slot = &mut self.slots[at as usize];
        slot.holders = slot.holders.saturating_add(count(holders));
    }

    /// Lets an item go; returns it when nobody holds it any more.
    pub(super) fn release(&mut self, at: u32) -> Option<T> {
        self.release_for(at, 1)
    }

    /// Lets an item go for so many; returns it when nobody holds it any more.
    pub(super) fn release_for(&mut self, at: u32, holders: u64) -> Option<T> {
        let slot = &mut self.slots[at as usize];
        slot.holders = slot.holders.saturating_sub(count(holders));
        if slot.holders > 0 {
            return None;
        }
        if let Ok(entry) = self.index.find_entry(slot.hash, |other| *other == at) {
            entry.remove();
        }
        self.free.push(at);
        self.items.get_mut(at as usize).and_then(Option::take)
    }

    pub(super) fn of(&self, at: u32) -> &T {
        held(&self.items, at)
    }

    pub(super) const fn items(&self) -> &Column<Option<T>> {
        &self.items
    }

    /// All items that are kept.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().flatten()
    }
}

impl<T: Clone + Hash + Eq> Pool<T> {
    /// The number of an item, held once more.
    pub(super) fn intern(&mut self, item: T) -> u32 {
        let hash = self.hash(&item);
        let at = self.find(hash, |other| *other == item).unwrap_or_else(|| self.insert(hash, item));
        self.hold(at);
        at
    }
}
