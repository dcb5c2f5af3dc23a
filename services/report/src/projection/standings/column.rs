//! Vectors that pictures share: kept in chunks, each copied only when it changes while somebody holds a picture of it.

use std::sync::Arc;

/// Items of a chunk: few enough that copying one takes microseconds.
const CHUNK: usize = 1_024;

/// A vector whose copy costs a pointer for each chunk.
#[derive(Debug, Clone)]
pub(super) struct Column<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Column<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        Arc::make_mut(self.chunks.get_mut(at / CHUNK)?).get_mut(at % CHUNK)
    }

    pub(super) fn push(&mut self, item: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(item),
            Some(_) | None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                self.chunks.push(Arc::new(chunk));
            }
        }
        self.len += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_stays_as_it_was_taken() {
        let mut column = Column::default();
        (0..3_000).for_each(|n| column.push(n));
        let picture = column.clone();
        *column.get_mut(2_000).unwrap() = 7;
        column.push(8);
        assert_eq!((picture.get(2_000), picture.get(3_000)), (Some(&2_000), None));
        assert_eq!((column.get(2_000), column.get(3_000)), (Some(&7), Some(&8)));
        assert!(picture.iter().copied().eq(0..3_000));
    }
}
