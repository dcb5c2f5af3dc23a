//! Groups of devices, by id and by name.

use std::collections::BTreeMap;
use std::ops::Bound;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, GroupId, Service, TenantId};
use rustc_hash::FxHashMap;

use crate::domain::group::{Defined, Group};
use crate::store;

/// The view.
#[derive(Debug, Default)]
pub struct Groups {
    rows: FxHashMap<GroupId, GroupRow>,
    by_name: BTreeMap<(TenantId, String), GroupId>,
}

/// A group of devices.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// Its id.
    pub id: GroupId,
    /// What is known of it.
    pub group: Defined,
}

impl Groups {
    /// One group.
    #[must_use]
    pub fn get(&self, id: GroupId) -> Option<&GroupRow> {
        self.rows.get(&id)
    }

    /// The group of a tenant that has this name.
    #[must_use]
    pub fn named(&self, tenant: TenantId, name: &str) -> Option<GroupId> {
        self.by_name.get(&(tenant, name.to_owned())).copied()
    }

    /// A tenant's groups by name, those after a name.
    pub fn after(&self, tenant: TenantId, name: Option<String>) -> impl Iterator<Item = &GroupRow> {
        let start = match name {
            Some(name) => Bound::Excluded((tenant, name)),
            None => Bound::Included((tenant, String::new())),
        };
        self.by_name
            .range((start, Bound::Unbounded))
            .take_while(move |((of, _), _)| *of == tenant)
            .filter_map(|(_, id)| self.rows.get(id))
    }

    /// How many dynamic groups a tenant has.
    #[must_use]
    pub fn dynamic_count(&self, tenant: TenantId) -> usize {
        self.rows.values().filter(|row| row.tenant == tenant && row.group.rule.is_some()).count()
    }

    /// Forgets a group; its name is free again.
    fn forget(&mut self, id: GroupId) {
        let Some(row) = self.rows.remove(&id) else { return };
        let name = (row.tenant, row.group.display_name);
        if self.by_name.get(&name) == Some(&id) {
            self.by_name.remove(&name);
        }
    }

    fn put(&mut self, row: GroupRow) {
        // Names do not change. Should two groups have the same one, the first keeps it.
        self.by_name.entry((row.tenant, row.group.display_name.clone())).or_insert(row.id);
        self.rows.insert(row.id, row);
    }
}

impl View for Groups {
    const NAME: &'static str = "groups";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::Group {
            return Ok(());
        }
        let damaged = |reason| FoldError::new(event, reason);
        let Some(change) = Group::decode(event).map_err(damaged)? else { return Ok(()) };
        let id = GroupId::from_uuid(event.stream.id);
        let mut group = Group::from(self.rows.get(&id).map(|row| row.group.clone()));
        group.evolve(&change);
        match group {
            Group::Defined(group) => self.put(GroupRow { tenant: event.stream.tenant, id, group }),
            Group::Deleted(_) => self.forget(id),
            Group::Undefined => return Err(FoldError::new(event, "the group was not defined")),
        }
        dirty.mark(store::group_key(id));
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.rows.keys().for_each(|id| row(&store::group_key(*id)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(&store::group(key)?).map(store::encode_group)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let id = store::group(key).ok_or("not the key of a group")?;
        self.put(store::decode_group(id, value)?);
        Ok(())
    }
}
