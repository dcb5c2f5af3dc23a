//! Why a command on an assignment is refused: the rules of one assignment refuse nothing. Whether policy and group are
//! there is asked before, since it is no fact of this aggregate.

/// A refusal; there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {}
