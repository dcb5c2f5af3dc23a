//! Rows and checkpoint of one view in a [`Kv`]. Everything here blocks.

use std::sync::Arc;

use muster_types::{EventId, Positions, Service};

use super::{View, ViewDigest};
use crate::kv::{Batch, Kv, KvError};

/// Form of the checkpoint's bytes.
const FORM: u8 = 1;
const CHECKPOINT_BYTES: usize = 1 + 4 + 4 * 8 + 4 * (8 + 16) + 16;

/// The last event folded of each log: tells a log from another one that was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tips([Option<(u64, EventId)>; 4]);

impl Tips {
    pub(super) fn set(&mut self, service: Service, position: u64, event: EventId) {
        self.0[service as usize - 1] = Some((position, event));
    }

    pub(super) fn get(&self, service: Service) -> Option<(u64, EventId)> {
        self.0[service as usize - 1]
    }
}

/// How far the rows in the store are folded, and what they add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) positions: Positions,
    pub(super) tips: Tips,
    pub(super) digest: ViewDigest,
}

impl Checkpoint {
    fn encode(&self, contract: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHECKPOINT_BYTES);
        bytes.push(FORM);
        bytes.extend_from_slice(&contract.to_be_bytes());
        for service in Service::ALL {
            bytes.extend_from_slice(&self.positions.get(service).to_be_bytes());
        }
        for service in Service::ALL {
            let (position, event) = self.tips.get(service).map_or((0, [0; 16]), |(p, e)| (p, *e.as_bytes()));
            bytes.extend_from_slice(&position.to_be_bytes());
            bytes.extend_from_slice(&event);
        }
        bytes.extend_from_slice(&self.digest.to_bytes());
        bytes
    }

    fn decode(bytes: &[u8], contract: u32) -> Result<Self, String> {
        let mut rest = bytes;
        let unreadable = || "the checkpoint cannot be read".to_owned();
        if bytes.len() != CHECKPOINT_BYTES || take::<1>(&mut rest) != Some([FORM]) {
            return Err(unreadable());
        }
        let found = u32::from_be_bytes(take(&mut rest).ok_or_else(unreadable)?);
        if found != contract {
            return Err(format!("the rows are of contract {found}, this is {contract}"));
        }
        let mut positions = Positions::ZERO;
        for service in Service::ALL {
            positions.advance(service, u64::from_be_bytes(take(&mut rest).ok_or_else(unreadable)?));
        }
        let mut tips = Tips::default();
        for service in Service::ALL {
            let position = u64::from_be_bytes(take(&mut rest).ok_or_else(unreadable)?);
            let event = take::<16>(&mut rest).ok_or_else(unreadable)?;
            if position > 0 {
                tips.set(service, position, EventId::from_slice(&event).map_err(|_| unreadable())?);
            }
        }
        let digest = ViewDigest::from_bytes(take(&mut rest).ok_or_else(unreadable)?);
        Ok(Self { positions, tips, digest })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

/// One batch of changed rows.
#[derive(Debug)]
pub(super) struct Write {
    /// Keys with their rows; `None` for those that are gone.
    pub(super) rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// How far the view is folded, if this batch leaves no changed row unwritten.
    pub(super) complete: Option<(Positions, Tips)>,
}

/// The rows of one view in the store.
pub(super) struct Store {
    kv: Arc<dyn Kv>,
    name: &'static str,
    contract: u32,
    digest: ViewDigest,
    /// Where the store's checkpoint is; `None` while it has none.
    checkpoint: Option<Positions>,
}

impl Store {
    pub(super) fn of<V: View>(kv: Arc<dyn Kv>) -> Self {
        let (name, contract) = (V::NAME, V::CONTRACT);
        Self { kv, name, contract, digest: ViewDigest::EMPTY, checkpoint: None }
    }

    pub(super) fn checkpoint(&self) -> Option<Positions> {
        self.checkpoint
    }

    fn key(&self, kind: u8, row: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.name.len() + 2 + row.len());
        key.extend_from_slice(self.name.as_bytes());
        key.extend_from_slice(&[0, kind]);
        key.extend_from_slice(row);
        key
    }

    /// Takes the stored rows back into an empty view; `None` when there is no checkpoint.
    ///
    /// # Errors
    /// Why the rows cannot be used.
    pub(super) fn load<V: View>(&mut self, mut view: V) -> Result<Option<(V, Checkpoint)>, String> {
        let stored = self.kv.get(&self.key(b'c', &[])).map_err(|error| error.to_string())?;
        let Some(stored) = stored else { return Ok(None) };
        let checkpoint = Checkpoint::decode(&stored, self.contract)?;
        let prefix = self.key(b'r', &[]);
        let mut digest = ViewDigest::EMPTY;
        let mut outcome = Ok(());
        self.kv
            .scan(&prefix, &mut |key, value| {
                let key = &key[prefix.len()..];
                digest.add(key, value);
                if outcome.is_ok() {
                    outcome = view.load_row(key, value);
                }
            })
            .map_err(|error| error.to_string())?;
        outcome.map_err(|reason| format!("a row cannot be read: {reason}"))?;
        if digest != checkpoint.digest {
            return Err("the rows do not add up to the checkpoint's digest".to_owned());
        }
        view.loaded(&checkpoint.positions);
        self.digest = digest;
        self.checkpoint = Some(checkpoint.positions);
        Ok(Some((view, checkpoint)))
    }

    /// Drops rows and checkpoint.
    pub(super) fn clear(&mut self) -> Result<(), KvError> {
        self.digest = ViewDigest::EMPTY;
        self.checkpoint = None;
        // The checkpoint first: half a clearing must not look like a store.
        self.kv.apply(Batch { puts: Vec::new(), deletes: vec![self.key(b'c', &[])] })?;
        self.kv.clear(&self.key(b'r', &[]))
    }

    /// Writes a batch, and with it the checkpoint, or the lack of one.
    pub(super) fn write(&mut self, write: Write) -> Result<(), KvError> {
        let mut batch = Batch::default();
        let mut digest = self.digest;
        let Write { rows, complete } = write;
        for (row, value) in rows {
            let key = self.key(b'r', &row);
            let old = self.kv.get(&key)?;
            if old == value {
                continue;
            }
            if let Some(old) = &old {
                digest.remove(&row, old);
            }
            match value {
                Some(value) => {
                    digest.add(&row, &value);
                    batch.puts.push((key, value));
                }
                None => batch.deletes.push(key),
            }
        }
        let checkpoint = complete.map(|(positions, tips)| Checkpoint { positions, tips, digest });
        match &checkpoint {
            Some(checkpoint) => batch.puts.push((self.key(b'c', &[]), checkpoint.encode(self.contract))),
            None if self.checkpoint.is_some() => batch.deletes.push(self.key(b'c', &[])),
            None => {}
        }
        self.kv.apply(batch)?;
        self.digest = digest;
        self.checkpoint = checkpoint.map(|checkpoint| checkpoint.positions);
        Ok(())
    }

    /// Hands what was written to the operating system.
    pub(super) fn flush(&self) -> Result<(), KvError> {
        self.kv.flush()
    }
}
