//! The distinct texts of a column, by numbers.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::ordinals::Ordinals;

/// Bytes of texts that nobody has any more, from which on the others are moved together.
const GARBAGE_MIN: usize = 64 * 1024;

/// Texts in lower case, each with its number and its devices. Numbers of texts that no device has any more are given
/// again.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// All texts, one behind the other: a search through all of them reads memory in order.
    text: String,
    spans: Vec<Span>,
    /// Bytes of `text` that belong to no number.
    garbage: usize,
    devices: Vec<Ordinals>,
    numbers: HashTable<u32>,
    free: Vec<u32>,
}

impl Dictionary {
    /// Number of a text that some device has.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.numbers.find(hash(text), |number| *self.text(*number) == *text).copied()
    }

    pub(super) fn text(&self, number: u32) -> &str {
        self.spans[number as usize].of(&self.text)
    }

    pub(super) fn devices(&self, number: u32) -> &Ordinals {
        &self.devices[number as usize]
    }

    /// Texts that some device has, with their devices, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Ordinals)> {
        let entries = self.spans.iter().map(|span| span.of(&self.text)).zip(&self.devices);
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
        if !devices.is_empty() {
            return;
        }
        let hash = hash(self.text(number));
        if let Ok(entry) = self.numbers.find_entry(hash, |other| *other == number) {
            entry.remove();
            self.free.push(number);
            self.garbage += std::mem::take(&mut self.spans[number as usize]).length as usize;
            if self.garbage > GARBAGE_MIN.max(self.text.len() / 2) {
                self.move_together();
            }
        }
    }

    fn enter(&mut self, text: &str) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.spans.push(Span::default());
            self.devices.push(Ordinals::None);
            u32::try_from(self.spans.len() - 1).expect("there are fewer texts than a 32-bit number counts")
        });
        self.spans[number as usize] = Span::append(&mut self.text, text);
        let (all, spans) = (&self.text, &self.spans);
        self.numbers.insert_unique(hash(text), number, |number| hash(spans[*number as usize].of(all)));
        number
    }

    fn move_together(&mut self) {
        let mut text = String::with_capacity(self.text.len() - self.garbage);
        for span in &mut self.spans {
            *span = Span::append(&mut text, span.of(&self.text));
        }
        self.text = text;
        self.garbage = 0;
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.text.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.devices.capacity() * size_of::<Ordinals>()
            + self.devices.iter().map(Ordinals::size_bytes).sum::<usize>()
            + self.numbers.allocation_size()
            + self.free.capacity() * size_of::<u32>()
    }
}

/// Where a text stands.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn of(self, all: &str) -> &str {
        &all[self.start as usize..][..self.length as usize]
    }

    fn append(all: &mut String, text: &str) -> Self {
        let number = |bytes| u32::try_from(bytes).expect("the texts of one property take less than 4 GiB");
        let span = Self { start: number(all.len()), length: number(text.len()) };
        all.push_str(text);
        span
    }
}

fn hash(text: &str) -> u64 {
    FxBuildHasher.hash_one(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_after_others_made_room() {
        let mut dictionary = Dictionary::default();
        let text = |n: u32| format!("{n:-<40}");
        let numbers: Vec<_> = (0..10_000).map(|n| dictionary.add(&text(n), n)).collect();
        for n in (0..10_000).filter(|n| n % 10 != 0) {
            dictionary.remove(numbers[n as usize], n);
        }
        assert!(dictionary.text.len() < 200_000, "{} bytes for 1,000 texts", dictionary.text.len());
        for n in 0..10_000 {
            assert_eq!(dictionary.find(&text(n)).is_some(), n % 10 == 0, "{n}");
        }
        assert_eq!(dictionary.entries().count(), 1_000);
        let again = dictionary.add(&text(1), 1);
        assert_eq!(dictionary.text(again), text(1));
    }
}
