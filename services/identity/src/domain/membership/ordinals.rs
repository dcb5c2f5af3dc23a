//! The devices of a value: mostly one, or very many.

use std::borrow::Cow;

use roaring::{MultiOps as _, RoaringBitmap};

/// Ordinals, held by how many there are: names and ids are of one device each.
#[derive(Debug, Clone, Default)]
pub(super) enum Ordinals {
    /// None.
    #[default]
    None,
    /// One.
    One(u32),
    /// More than one.
    Many(Box<RoaringBitmap>),
}

impl Ordinals {
    pub(super) fn insert(&mut self, ordinal: u32) {
        match self {
            Self::None => *self = Self::One(ordinal),
            Self::One(one) if *one == ordinal => {}
            Self::One(one) => *self = Self::Many(Box::new(RoaringBitmap::from_iter([*one, ordinal]))),
            Self::Many(many) => {
                many.insert(ordinal);
            }
        }
    }

    pub(super) fn remove(&mut self, ordinal: u32) {
        match self {
            Self::One(one) if *one == ordinal => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(many) => {
                many.remove(ordinal);
                if let (1, Some(one)) = (many.len(), many.min()) {
                    *self = Self::One(one);
                }
            }
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Bytes held elsewhere, as far as the bitmap tells.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 0,
            // A container has a head of 32 bytes, of which the serialisation counts 8.
            Self::Many(many) => {
                size_of::<RoaringBitmap>()
                    + many.serialized_size()
                    + many.statistics().n_containers as usize * 24
            }
        }
    }
}

/// All ordinals of several values.
pub(super) fn union<'a>(sets: impl Iterator<Item = &'a Ordinals>) -> Cow<'a, RoaringBitmap> {
    let (mut single, mut many) = (Vec::new(), Vec::new());
    for set in sets {
        match set {
            Ordinals::None => {}
            Ordinals::One(one) => single.push(*one),
            Ordinals::Many(set) => many.push(&**set),
        }
    }
    if single.is_empty()
        && let [set] = many[..]
    {
        return Cow::Borrowed(set);
    }
    single.sort_unstable();
    // A device has one value of a text, but may have several of a collection.
    single.dedup();
    let single = RoaringBitmap::from_sorted_iter(single).expect("they are sorted and each stands once");
    if many.is_empty() {
        return Cow::Owned(single);
    }
    Cow::Owned(many.into_iter().chain([&single]).union())
}
