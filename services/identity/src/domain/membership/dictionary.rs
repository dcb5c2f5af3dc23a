//! The distinct texts of a column, by numbers.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::ordinals::Ordinals;

/// Texts in lower case, each with its number and its devices. Numbers of texts that no device has any more are given
/// again.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    texts: Vec<Box<str>>,
    devices: Vec<Ordinals>,
    numbers: HashTable<u32>,
    free: Vec<u32>,
}

impl Dictionary {
    /// Number of a text that some device has.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.numbers.find(hash(text), |number| *self.texts[*number as usize] == *text).copied()
    }

    pub(super) fn text(&self, number: u32) -> &str {
        &self.texts[number as usize]
    }

    pub(super) fn devices(&self, number: u32) -> &Ordinals {
        &self.devices[number as usize]
    }

    /// Texts that some device has, with their devices, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Ordinals)> {
        let entries = self.texts.iter().map(|text| &**text).zip(&self.devices);
        entries.filter(|(_, devices)| !devices.is_empty())
    }

    /// Notes that a device has a text; gives the text's number.
    pub(super) fn add(&mut self, text: &str, ordinal: u32) -> u32 {
        let number = self.find(text).unwrap_or_else(|| self.enter(text));
        self.devices[number as usize].insert(ordinal);
        number
    }

    /// Notes that a device has a text no longer.
    pub(super) fn remove(&mut self, number: u32, ordinal: u32) {
        let devices = &mut self.devices[number as usize];
        devices.remove(ordinal);
        if devices.is_empty() {
            let text = std::mem::take(&mut self.texts[number as usize]);
            if let Ok(entry) = self.numbers.find_entry(hash(&text), |other| *other == number) {
                entry.remove();
                self.free.push(number);
            }
        }
    }

    fn enter(&mut self, text: &str) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.texts.push(Box::default());
            self.devices.push(Ordinals::None);
            u32::try_from(self.texts.len() - 1).expect("there are fewer texts than a 32-bit number counts")
        });
        self.texts[number as usize] = text.into();
        let texts = &self.texts;
        self.numbers.insert_unique(hash(text), number, |number| hash(&texts[*number as usize]));
        number
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.texts.capacity() * size_of::<Box<str>>()
            + self.texts.iter().map(|text| text.len()).sum::<usize>()
            + self.devices.capacity() * size_of::<Ordinals>()
            + self.devices.iter().map(Ordinals::size_bytes).sum::<usize>()
            + self.numbers.allocation_size()
            + self.free.capacity() * size_of::<u32>()
    }
}

fn hash(text: &str) -> u64 {
    FxBuildHasher.hash_one(text)
}
