//! Why a note of sessions is refused: its rules refuse nothing.

/// A refusal; there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {}
