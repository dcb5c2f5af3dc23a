//! Rows of the view of what became of groups.
//!
//! | key | value |
//! |---|---|
//! | `0x0b`, group id | `GroupValue`: its name, its rules, its end |
//! | `0x0c`, group id, number of the row (32 bits, big-endian) | `MovesValue`: [`MOVES_PER_ROW`] steps |

use std::sync::Arc;

use muster_types::{GroupId, TenantId, Timestamp};
use prost::Message;

use crate::projection::histories::{Change, Definition, History, Move, Step};
use crate::wire;

/// Steps in one row; the last row of a group has fewer.
pub const MOVES_PER_ROW: usize = 64;

const GROUP: u8 = 11;
const MOVES: u8 = 12;

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A group.
    Group(GroupId),
    /// Some of its steps, by the number of the row.
    Moves(GroupId, u32),
}

impl Key {
    /// The key.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Group(id) => [&[GROUP], &id.as_bytes()[..]].concat(),
            Self::Moves(id, row) => [&[MOVES], &id.as_bytes()[..], &row.to_be_bytes()].concat(),
        }
    }

    /// Reads a key.
    #[must_use]
    pub fn read(key: &[u8]) -> Option<Self> {
        let (first, rest) = key.split_first()?;
        let (id, row) = rest.split_at_checked(16)?;
        let id = GroupId::from_slice(id).ok()?;
        match (*first, row) {
            (GROUP, []) => Some(Self::Group(id)),
            (MOVES, row) => Some(Self::Moves(id, u32::from_be_bytes(row.try_into().ok()?))),
            _ => None,
        }
    }
}

/// The number of the row that a step is in.
#[must_use]
pub fn row_of(place: usize) -> u32 {
    u32::try_from(place / MOVES_PER_ROW).expect("a group of 270 billion steps does not fit in memory")
}

#[derive(Clone, PartialEq, Message)]
struct StepValue {
    #[prost(uint64, tag = "1")]
    position: u64,
    #[prost(sint64, tag = "2")]
    time_micros: i64,
    #[prost(string, tag = "3")]
    actor: String,
}

#[derive(Clone, PartialEq, Message)]
struct DefinitionValue {
    #[prost(message, optional, tag = "1")]
    step: Option<StepValue>,
    #[prost(string, optional, tag = "2")]
    rule: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct GroupValue {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(string, tag = "2")]
    display_name: String,
    #[prost(message, repeated, tag = "3")]
    definitions: Vec<DefinitionValue>,
    #[prost(message, optional, tag = "4")]
    deleted: Option<StepValue>,
}

#[derive(Clone, PartialEq, Message)]
struct MoveValue {
    #[prost(message, optional, tag = "1")]
    step: Option<StepValue>,
    #[prost(uint32, optional, tag = "2")]
    one_in: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    one_out: Option<u32>,
    #[prost(bytes = "vec", tag = "4")]
    added: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    removed: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct MovesValue {
    #[prost(message, repeated, tag = "1")]
    moves: Vec<MoveValue>,
}

/// Gives an actor that is kept once.
pub type Actors<'a> = dyn FnMut(&str) -> Arc<str> + 'a;

fn step_value(step: &Step) -> StepValue {
    let Step { position, time, actor } = step;
    StepValue { position: *position, time_micros: time.micros(), actor: actor.to_string() }
}

fn step(value: Option<StepValue>, actors: &mut Actors<'_>) -> Result<Step, String> {
    let StepValue { position, time_micros, actor } = value.ok_or("a step is missing")?;
    Ok(Step { position, time: Timestamp::from_micros(time_micros), actor: actors(&actor) })
}

/// Encodes a group without its steps.
#[must_use]
pub fn encode_group(group: &History) -> Vec<u8> {
    let History { tenant, display_name, definitions, deleted, moves: _ } = group;
    let definition = |Definition { step, rule }: &Definition| DefinitionValue {
        step: Some(step_value(step)),
        rule: rule.as_deref().map(ToOwned::to_owned),
    };
    let value = GroupValue {
        tenant: tenant.to_string(),
        display_name: display_name.to_string(),
        definitions: definitions.iter().map(definition).collect(),
        deleted: deleted.as_ref().map(step_value),
    };
    value.encode_to_vec()
}

/// Reads what [`encode_group`] wrote.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_group(value: &[u8], actors: &mut Actors<'_>) -> Result<History, String> {
    let GroupValue { tenant, display_name, definitions, deleted } = wire::decoded(value)?;
    let tenant: TenantId = tenant.parse().map_err(wire::text)?;
    let definition = |DefinitionValue { step: at, rule }: DefinitionValue| {
        Ok::<_, String>(Definition { step: step(at, actors)?, rule: rule.map(Into::into) })
    };
    let definitions = definitions.into_iter().map(definition).collect::<Result<_, _>>()?;
    let deleted = deleted.map(|deleted| step(Some(deleted), actors)).transpose()?;
    Ok(History { tenant, display_name: display_name.into(), definitions, deleted, moves: Vec::new() })
}

/// Encodes steps.
#[must_use]
pub(crate) fn encode_moves(moves: &[Move]) -> Vec<u8> {
    let value = |Move { position, time, actor, change }: &Move| {
        let step = StepValue { position: *position, time_micros: time.micros(), actor: actor.to_string() };
        let value = MoveValue { step: Some(step), ..Default::default() };
        match change {
            Change::In(one) => MoveValue { one_in: Some(*one), ..value },
            Change::Out(one) => MoveValue { one_out: Some(*one), ..value },
            Change::Many(both) => MoveValue {
                added: wire::bitmap_bytes(&both.0),
                removed: wire::bitmap_bytes(&both.1),
                ..value
            },
        }
    };
    MovesValue { moves: moves.iter().map(value).collect() }.encode_to_vec()
}

/// Reads what [`encode_moves`] wrote.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn decode_moves(value: &[u8], actors: &mut Actors<'_>) -> Result<Vec<Move>, String> {
    let MovesValue { moves } = wire::decoded(value)?;
    let decode = |MoveValue { step: at, one_in, one_out, added, removed }: MoveValue| {
        let Step { position, time, actor } = step(at, actors)?;
        let change = match (one_in, one_out) {
            (Some(one), _) => Change::In(one),
            (None, Some(one)) => Change::Out(one),
            (None, None) => Change::Many(Box::new((wire::bitmap(&added)?, wire::bitmap(&removed)?))),
        };
        Ok(Move { position, time, actor, change })
    };
    moves.into_iter().map(decode).collect()
}
