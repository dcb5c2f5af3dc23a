//! What became of each group, step by step: its rules, and who came in and who left, so that any past moment can be asked.
//!
//! A step that moves one device takes [`STEP_BYTES`]; one that moves many takes as much more as their bitmaps. With a
//! million single moves that is 40 MB.

use std::sync::Arc;

use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_eventlog::{Actor, Envelope};
use muster_types::{Aggregate, GroupId, Service, TenantId, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::domain::group::{Event, Group};
use crate::store::history::{self as store, Key, MOVES_PER_ROW};

/// Bytes that a step takes which moves one device.
pub const STEP_BYTES: usize = size_of::<Move>();

/// The view.
#[derive(Debug, Default)]
pub struct Histories {
    groups: FxHashMap<GroupId, History>,
    /// Each actor once: few make many steps.
    actors: FxHashSet<Arc<str>>,
}

/// What became of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// Its name for people: names do not change.
    pub display_name: Box<str>,
    /// What defined it, and each rule since: the last one at a position is in force.
    pub definitions: Vec<Definition>,
    /// When it was deleted.
    pub deleted: Option<Step>,
    pub(crate) moves: Vec<Move>,
}

/// An event, where it stands in identity's log, and who caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Position in identity's log.
    pub position: u64,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: Arc<str>,
}

/// What a group was, from a step on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The step.
    pub step: Step,
    /// Its rule; none for a static group.
    pub rule: Option<Box<str>>,
}

/// A step that changed who is in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Move {
    pub(crate) position: u64,
    pub(crate) time: Timestamp,
    pub(crate) actor: Arc<str>,
    pub(crate) change: Change,
}

/// Who moved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// One came in.
    In(u32),
    /// One left.
    Out(u32),
    /// Many came in, and others left.
    Many(Box<(RoaringBitmap, RoaringBitmap)>),
}

impl Change {
    pub(crate) fn of(added: RoaringBitmap, removed: RoaringBitmap) -> Self {
        match (added.len(), removed.len(), added.min(), removed.min()) {
            (1, 0, Some(one), _) => Self::In(one),
            (0, 1, _, Some(one)) => Self::Out(one),
            _ => Self::Many(Box::new((added, removed))),
        }
    }

    /// Whether a device came in (`true`) or left; `None` when it did not move.
    fn moves(&self, ordinal: u32) -> Option<bool> {
        match self {
            Self::In(one) => (*one == ordinal).then_some(true),
            Self::Out(one) => (*one == ordinal).then_some(false),
            // As a group folds it: who both came and left, has left.
            Self::Many(both) if both.1.contains(ordinal) => Some(false),
            Self::Many(both) => both.0.contains(ordinal).then_some(true),
        }
    }
}

impl History {
    /// What the group was at a position; `None` before it was defined and after it was deleted.
    #[must_use]
    pub fn at(&self, position: u64) -> Option<&Definition> {
        if self.deleted.as_ref().is_some_and(|deleted| deleted.position <= position) {
            return None;
        }
        let count = self.definitions.partition_point(|definition| definition.step.position <= position);
        self.definitions[..count].last()
    }

    /// Whether a device was in at a position, and the step that last brought it in or took it out.
    #[must_use]
    pub fn member(&self, ordinal: u32, position: u64) -> (bool, Option<Step>) {
        let count = self.moves.partition_point(|step| step.position <= position);
        let last =
            self.moves[..count].iter().rev().find_map(|step| Some((step.change.moves(ordinal)?, step)));
        last.map_or((false, None), |(member, Move { position, time, actor, change: _ })| {
            (member, Some(Step { position: *position, time: *time, actor: actor.clone() }))
        })
    }

    /// How many steps changed who is in.
    #[must_use]
    pub fn moves(&self) -> usize {
        self.moves.len()
    }
}

impl Histories {
    /// What became of a group, also of one that was deleted.
    #[must_use]
    pub fn get(&self, group: GroupId) -> Option<&History> {
        self.groups.get(&group)
    }

    pub(crate) fn actor(&mut self, actor: &str) -> Arc<str> {
        if let Some(known) = self.actors.get(actor) {
            return known.clone();
        }
        let actor: Arc<str> = actor.into();
        self.actors.insert(actor.clone());
        actor
    }

    fn step(&mut self, event: &Envelope) -> Step {
        let actor: &Actor = &event.context.actor;
        Step { position: event.position, time: event.context.time, actor: self.actor(actor.as_str()) }
    }

    fn fold(&mut self, event: &Envelope, change: Event) -> Option<Key> {
        let id = GroupId::from_uuid(event.stream.id);
        let step = self.step(event);
        if let Event::Defined { display_name, rule, at: _ } = change {
            let definitions = vec![Definition { step, rule }];
            let tenant = event.stream.tenant;
            let display_name = display_name.into();
            let group = History { tenant, display_name, definitions, deleted: None, moves: Vec::new() };
            self.groups.insert(id, group);
            return Some(Key::Group(id));
        }
        let group = self.groups.get_mut(&id)?;
        match change {
            Event::Defined { .. } => {}
            Event::RuleChanged { rule } => group.definitions.push(Definition { step, rule: Some(rule) }),
            Event::Deleted => group.deleted = Some(step),
            Event::MembershipChanged { added, removed, at: _ } => {
                let Step { position, time, actor } = step;
                let change = Change::of(added, removed);
                group.moves.push(Move { position, time, actor, change });
                return Some(Key::Moves(id, store::row_of(group.moves.len() - 1)));
            }
        }
        Some(Key::Group(id))
    }
}

impl View for Histories {
    const NAME: &'static str = "histories";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::Group {
            return Ok(());
        }
        let Some(change) = Group::decode(event).map_err(|reason| FoldError::new(event, reason))? else {
            return Ok(());
        };
        let key =
            self.fold(event, change).ok_or_else(|| FoldError::new(event, "the group was not defined"))?;
        dirty.mark(key.to_bytes());
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        for (id, group) in &self.groups {
            row(&Key::Group(*id).to_bytes());
            let rows = group.moves.len().div_ceil(MOVES_PER_ROW);
            (0..rows)
                .for_each(|place| row(&Key::Moves(*id, store::row_of(place * MOVES_PER_ROW)).to_bytes()));
        }
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        match Key::read(key)? {
            Key::Group(id) => self.groups.get(&id).map(store::encode_group),
            Key::Moves(id, row) => {
                let mut rows = self.groups.get(&id)?.moves.chunks(MOVES_PER_ROW);
                rows.nth(row as usize).map(store::encode_moves)
            }
        }
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match Key::read(key).ok_or("not the key of a row")? {
            Key::Group(id) => {
                let group = store::decode_group(value, &mut |actor| self.actor(actor))?;
                self.groups.insert(id, group);
            }
            Key::Moves(id, row) => {
                let moves = store::decode_moves(value, &mut |actor| self.actor(actor))?;
                let group = self.groups.get_mut(&id).ok_or("the group is missing")?;
                if group.moves.len() != row as usize * MOVES_PER_ROW {
                    return Err(format!("steps before row {row} are missing"));
                }
                group.moves.extend(moves);
            }
        }
        Ok(())
    }
}
