//! The version of a package in rpm's database, without rpm: as much of SQLite's file format and of rpm's headers as that
//! takes. The file may hold anything: what is out of bounds ends the reading, and a budget ends loops.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::machine::Machine;

/// Where rpm keeps its database.
const PLACES: [&str; 2] = ["usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite"];
/// What lies beside it while it changes; afterwards it is empty or gone.
const PENDING: [&str; 2] = ["-wal", "-journal"];
/// Most bytes that are read and copied for one package.
const BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// What looking at an entry of a page costs of it, at least.
const ENTRY_BYTES: usize = 64;
/// Tags of rpm's headers, and the type of a text.
const NAME: usize = 1000;
const VERSION: usize = 1001;
const TEXT: usize = 6;

/// The version of an installed package, without its release; `None` where it cannot be told.
pub(super) fn version(machine: &Machine, package: &str) -> Option<String> {
    PLACES.iter().find_map(|place| {
        // Only then is all in the file itself, and nothing of it half written.
        let settled = || PENDING.iter().all(|suffix| machine.is_empty(&format!("{place}{suffix}")));
        let (before, version) = (settled(), Database::open(machine.open(place)?)?.version(package)?);
        (before && settled()).then_some(version)
    })
}

struct Database {
    file: File,
    page_bytes: usize,
    /// Bytes of a page that are used.
    usable: usize,
    budget: usize,
}

impl Database {
    fn open(file: File) -> Option<Self> {
        let mut head = [0; 100];
        file.read_exact_at(&mut head, 0).ok()?;
        let page_bytes = if head[16..18] == [0, 1] { 65_536 } else { number(&head, 16, 2)? };
        let usable = page_bytes.checked_sub(head[20].into())?;
        let sound = head.starts_with(b"SQLite format 3\0") && page_bytes.is_power_of_two() && usable >= 480;
        sound.then_some(Self { file, page_bytes, usable, budget: BUDGET_BYTES })
    }

    fn version(&mut self, package: &str) -> Option<String> {
        let schema = self.rows(1, None)?;
        let root = |table: &str| {
            let is = |row: &&Vec<u8>, at, text: &str| column(row, at) == Some(text.as_bytes());
            integer(schema.iter().find(|row| is(row, 0, "table") && is(row, 1, table))?, 3)
        };
        let names = self.rows(root("Name")?, None)?;
        let name = names.iter().rfind(|row| column(row, 0) == Some(package.as_bytes()))?;
        let row = self.rows(root("Packages")?, Some(integer(name, 1)?))?.pop()?;
        let header = column(&row, 1)?;
        (tag(header, NAME)? == package).then(|| tag(header, VERSION).map(str::to_owned))?
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(bytes)?;
        Some(())
    }

    fn page(&mut self, page: usize) -> Option<Vec<u8>> {
        self.spend(self.page_bytes)?;
        let mut bytes = vec![0; self.page_bytes];
        let at = page.checked_sub(1)?.checked_mul(self.page_bytes)?;
        self.file.read_exact_at(&mut bytes, at.try_into().ok()?).ok()?;
        Some(bytes)
    }

    /// The rows of the table whose first page is `root`, in their order: all, or the one that is wanted.
    fn rows(&mut self, root: usize, wanted: Option<usize>) -> Option<Vec<Vec<u8>>> {
        let (mut rows, mut pages) = (Vec::new(), vec![root]);
        while let Some(at) = pages.pop() {
            let page = self.page(at)?;
            let start = if at == 1 { 100 } else { 0 };
            let (leaf, entries) = match page.get(start)? {
                13 => (true, start + 8),
                5 => (false, start + 12),
                _ => return None,
            };
            let mut children = Vec::new();
            for entry in 0..number(&page, start + 3, 2)? {
                self.spend(ENTRY_BYTES)?;
                let mut cell = page.get(number(&page, entries + 2 * entry, 2)?..)?;
                if leaf {
                    let (length, row) = (varint(&mut cell)?, varint(&mut cell)?);
                    if wanted.is_none_or(|wanted| wanted == row) {
                        rows.push(self.payload(cell, length)?);
                    }
                } else {
                    let child = number(cell.split_off(..4)?, 0, 4)?;
                    let last = varint(&mut cell)?;
                    children.extend(wanted.is_none_or(|wanted| wanted <= last).then_some(child));
                }
            }
            if !leaf {
                children.push(number(&page, start + 8, 4)?);
            }
            children.truncate(if wanted.is_some() { 1 } else { usize::MAX });
            pages.extend(children.into_iter().rev());
        }
        Some(rows)
    }

    /// A row's content: what is too long for its page goes on in pages of its own.
    fn payload(&mut self, cell: &[u8], length: usize) -> Option<Vec<u8>> {
        self.spend(length)?;
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        let kept = if length <= most { length } else { least + (length - least) % (self.usable - 4) };
        let (kept, rest) = cell.split_at_checked(if kept <= most { kept } else { least })?;
        let (mut payload, mut rest) = (kept.to_vec(), rest.to_vec());
        while payload.len() < length {
            rest = self.page(number(&rest, 0, 4)?)?;
            payload.extend(rest.get(4..self.usable)?.iter().take(length - payload.len()));
        }
        Some(payload)
    }
}

/// A number of some bytes, the first the greatest.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    Some(bytes.get(at..)?.get(..length)?.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

/// A number of up to nine bytes, which are cut off; the ninth, of what is greater than any length, has no mark.
fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let length = 1 + bytes.iter().take(8).take_while(|byte| **byte >= 0x80).count();
    let bytes = bytes.split_off(..length)?;
    Some(bytes.iter().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f)))
}

/// The bytes of a row's column.
fn column(row: &[u8], index: usize) -> Option<&[u8]> {
    let mut types = row;
    let mut values = row.get(varint(&mut types)?..)?;
    for column in 0..=index {
        let value = match varint(&mut types)? {
            0 => &[],
            // The numbers zero and one take no place.
            8 => &[0][..],
            9 => &[1],
            length @ 1..=4 => values.split_off(..length)?,
            5 => values.split_off(..6)?,
            6 | 7 => values.split_off(..8)?,
            kind => values.split_off(..kind.checked_sub(12)? / 2)?,
        };
        if column == index {
            return Some(value);
        }
    }
    None
}

fn integer(row: &[u8], index: usize) -> Option<usize> {
    column(row, index).and_then(|bytes| number(bytes, 0, bytes.len()))
}

/// A text in a header of rpm: after two counts an index, sixteen bytes for each tag, then the values.
fn tag(header: &[u8], tag: usize) -> Option<&str> {
    let (index, values) = header.get(8..)?.split_at_checked(number(header, 0, 4)?.checked_mul(16)?)?;
    let is = |entry: &&[u8], at, value| number(entry, at, 4) == Some(value);
    let entry = index.chunks_exact(16).find(|entry| is(entry, 0, tag) && is(entry, 4, TEXT))?;
    std::str::from_utf8(values.get(number(entry, 8, 4)?..)?.split(|byte| *byte == 0).next()?).ok()
}
