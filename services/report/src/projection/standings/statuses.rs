//! What devices say, each thing once: entries by their bytes, lists of entries by what is in them.
//!
//! An entry is one `SettingStatus` as its author encoded it. A list that is known is found by the hashes of its entries
//! and compared byte by byte; nothing of it is decoded.

use std::sync::Arc;

use muster_eventlog::project::Dirty;
use muster_proto::convert::Malformed;
use muster_proto::report::v1 as pb;
use prost::Message as _;
use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};

use super::pool::Pool;
use super::words::Words;
use crate::domain::device_status::{SettingState, SettingStatus};
use crate::store::{Content, Key};
use crate::wire::{decoded, text};

/// What a device said of one setting.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The message as first encoded.
    pub(super) raw: Arc<[u8]>,
    pub(super) content: Content,
    pub(super) setting: u32,
    /// The value that the device was asked for.
    pub(super) desired: u32,
    pub(super) state: SettingState,
}

/// What a device said of all settings.
#[derive(Debug, Clone)]
pub(super) struct List {
    /// As told.
    pub(super) entries: Arc<[u32]>,
    /// Sorted by setting: the same but in a log that nobody checked.
    pub(super) sorted: Arc<[u32]>,
    pub(super) content: Content,
    /// The number of its shape.
    shape: u32,
    /// Every setting is as it should be, or cannot be or is exempt.
    pub(super) well: bool,
}

/// All of a list that a judgement asks for: setting, value asked for and state of each entry, sorted by setting. Lists that
/// differ in messages alone share it.
#[derive(Debug, Clone)]
struct Shape {
    parts: Box<[(u32, u32, SettingState)]>,
    /// Never given twice, unlike the shape's number.
    serial: u64,
}

/// The entries and the lists.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    pub(super) entries: Pool<Entry>,
    pub(super) lists: Pool<List>,
    entries_by_content: FxHashMap<Content, u32>,
    lists_by_content: FxHashMap<Content, u32>,
    shapes: Pool<Shape>,
    serials: u64,
}

fn content(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Content {
    let mut hasher = Sha256::new();
    parts.into_iter().for_each(|part| hasher.update(part));
    let digest: [u8; 32] = hasher.finalize().into();
    *digest.first_chunk().expect("a digest has more bytes")
}

impl Entry {
    pub(super) fn status(&self) -> Option<SettingStatus> {
        pb::SettingStatus::decode(&*self.raw).ok()?.try_into().ok()
    }
}

impl Statuses {
    /// The list of some raw entries, held once more.
    ///
    /// # Errors
    /// What is wrong with an entry.
    pub(super) fn intern(
        &mut self,
        raw: &[&[u8]],
        words: &mut Words,
        dirty: &mut Dirty,
    ) -> Result<u32, String> {
        let hash = self.lists.hash(raw);
        let same = |list: &List| {
            list.entries.len() == raw.len()
                && list.entries.iter().zip(raw).all(|(entry, raw)| *self.entries.of(*entry).raw == **raw)
        };
        if let Some(list) = self.lists.find(hash, same) {
            self.lists.hold(list);
            return Ok(list);
        }
        // Decoded before anything is kept: a list with a malformed entry leaves nothing behind.
        let new = |(index, raw): (usize, &&[u8])| {
            if self.entry(raw).is_some() { Ok(None) } else { status(index, raw).map(Some) }
        };
        let new = raw.iter().enumerate().map(new).collect::<Result<Vec<_>, _>>()?;
        let mut entries = Vec::with_capacity(raw.len());
        for (raw, status) in raw.iter().zip(new) {
            let entry = match (self.entry(raw), status) {
                (Some(entry), _) => entry,
                (None, Some(status)) => self.keep(raw, &status, words, dirty),
                (None, None) => return Err("an entry is gone".to_owned()),
            };
            self.entries.hold(entry);
            entries.push(entry);
        }
        let list = self.keep_list(hash, entries.into(), words, dirty);
        self.lists.hold(list);
        Ok(list)
    }

    fn entry(&self, raw: &[u8]) -> Option<u32> {
        self.entries.find(self.entries.hash(raw), |entry| *entry.raw == *raw)
    }

    fn keep(&mut self, raw: &[u8], status: &SettingStatus, words: &mut Words, dirty: &mut Dirty) -> u32 {
        let entry = Entry {
            raw: raw.into(),
            content: content([raw]),
            setting: words.settings.intern(status.id.clone()),
            desired: words.value(status.desired.as_ref()),
            state: status.state,
        };
        let content = entry.content;
        dirty.mark(Key::Entry(content).to_bytes());
        let at = self.entries.insert(self.entries.hash(raw), entry);
        self.entries_by_content.insert(content, at);
        at
    }

    fn keep_list(&mut self, hash: u64, entries: Arc<[u32]>, words: &Words, dirty: &mut Dirty) -> u32 {
        let each = || entries.iter().map(|entry| self.entries.of(*entry));
        let content = content(each().map(|entry| entry.content));
        let well = each().all(|entry| {
            matches!(
                entry.state,
                SettingState::Succeeded | SettingState::NotApplicable | SettingState::Waived
            )
        });
        let id = |entry: &u32| words.settings.of(self.entries.of(*entry).setting);
        let sorted = if entries.is_sorted_by_key(id) {
            entries.clone()
        } else {
            let mut sorted = entries.to_vec();
            sorted.sort_by_key(id);
            sorted.into()
        };
        dirty.mark(Key::List(content).to_bytes());
        let shape = self.shape(&sorted);
        let at = self.lists.insert(hash, List { entries, sorted, content, shape, well });
        self.lists_by_content.insert(content, at);
        at
    }

    /// The shape of some entries, held once more.
    fn shape(&mut self, sorted: &[u32]) -> u32 {
        let part = |entry: &u32| {
            let Entry { setting, desired, state, .. } = self.entries.of(*entry);
            (*setting, *desired, *state)
        };
        let parts: Box<[_]> = sorted.iter().map(part).collect();
        let hash = self.shapes.hash(&parts);
        let found = self.shapes.find(hash, |shape| shape.parts == parts);
        let at = found.unwrap_or_else(|| {
            self.serials += 1;
            self.shapes.insert(hash, Shape { parts, serial: self.serials })
        });
        self.shapes.hold(at);
        at
    }

    /// Names what a judgement asks of a list: lists that are judged alike have the same, and no other ever has.
    pub(super) fn serial(&self, list: &List) -> u64 {
        self.shapes.of(list.shape).serial
    }

    /// Lets a list go, and its entries with the last holder.
    pub(super) fn release(&mut self, list: u32, words: &mut Words, dirty: &mut Dirty) {
        let Some(list) = self.lists.release(list) else { return };
        dirty.mark(Key::List(list.content).to_bytes());
        self.lists_by_content.remove(&list.content);
        self.shapes.release(list.shape);
        for entry in &*list.entries {
            let Some(Entry { raw: _, content, setting, desired, state: _ }) = self.entries.release(*entry)
            else {
                continue;
            };
            dirty.mark(Key::Entry(content).to_bytes());
            self.entries_by_content.remove(&content);
            words.settings.release(setting);
            words.release_value(desired);
        }
    }

    /// The rows that there are.
    pub(super) fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.entries.iter().for_each(|entry| row(&Key::Entry(entry.content).to_bytes()));
        self.lists.iter().for_each(|list| row(&Key::List(list.content).to_bytes()));
    }

    /// An entry as a row.
    pub(super) fn entry_row(&self, content: Content) -> Option<Vec<u8>> {
        Some(self.entries.of(*self.entries_by_content.get(&content)?).raw.to_vec())
    }

    /// A list as a row: the contents of its entries.
    pub(super) fn list_row(&self, content: Content) -> Option<Vec<u8>> {
        let list = self.lists.of(*self.lists_by_content.get(&content)?);
        Some(list.entries.iter().flat_map(|entry| self.entries.of(*entry).content).collect())
    }

    /// Takes an entry back from its row; lists will hold it.
    pub(super) fn load_entry(&mut self, raw: &[u8], words: &mut Words) -> Result<(), String> {
        let status = status(0, raw)?;
        self.keep(raw, &status, words, &mut Dirty::default());
        Ok(())
    }

    /// Takes a list back from its row; devices will hold it.
    pub(super) fn load_list(&mut self, row: &[u8], words: &Words) -> Result<(), String> {
        let (contents, []) = row.as_chunks::<{ size_of::<Content>() }>() else {
            return Err("a list that ends within an entry".to_owned());
        };
        let entry = |content| self.entries_by_content.get(content).copied().ok_or("an entry is missing");
        let entries: Arc<[u32]> = contents.iter().map(entry).collect::<Result<_, _>>()?;
        entries.iter().for_each(|entry| self.entries.hold(*entry));
        let raw: Vec<&[u8]> = entries.iter().map(|entry| &*self.entries.of(*entry).raw).collect();
        let hash = self.lists.hash(&raw[..]);
        self.keep_list(hash, entries.clone(), words, &mut Dirty::default());
        Ok(())
    }

    /// The list with a content, held once more.
    pub(super) fn load_holder(&mut self, content: Content) -> Result<u32, String> {
        let list = *self.lists_by_content.get(&content).ok_or("a list is missing")?;
        self.lists.hold(list);
        Ok(list)
    }

    /// The statuses of a list, sorted by setting.
    pub(super) fn statuses(&self, list: u32) -> Vec<SettingStatus> {
        let entries = self.lists.of(list).sorted.iter();
        entries.filter_map(|entry| self.entries.of(*entry).status()).collect()
    }
}

fn status(index: usize, raw: &[u8]) -> Result<SettingStatus, String> {
    let message: pb::SettingStatus = decoded(raw)?;
    message.try_into().map_err(|malformed: Malformed| text(malformed.within(&format!("settings[{index}]"))))
}
